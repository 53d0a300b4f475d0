"""A domain package made a subgraph: schema, request context and execution, without any transport.

A document is parsed and validated once. The same value serves the router in its own process
(`execute`, `subscribe`) and over HTTP (`kit.app`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Generic, Protocol, TypeVar, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    OperationType,
    create_source_event_stream,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types.info import Info

from authz.classes import DataClass
from authz.identity.subject import Subject
from authz.question import Decision
from authz.trail import Access, Touched
from subgraphs.kit.answer_headers import AnswerHeaders, headed
from subgraphs.kit.classification import FederatedSchema, NotClassified, problems_of, rules_of
from subgraphs.kit.declines import Declines
from subgraphs.kit.documents import DOCUMENTS_CACHED_MAX, may_be_kept
from subgraphs.kit.entities import entity_types, resolve_entities
from subgraphs.kit.errors import PublicError, Unauthenticated, formatted, trace_id
from subgraphs.kit.execution import execution
from subgraphs.kit.executor import SelectionExecutor, Selections
from subgraphs.kit.fence import Fence
from subgraphs.kit.guard import FieldGuard, Needs
from subgraphs.kit.inputs import Demand, root_inputs, undeclared_problems
from subgraphs.kit.owners import RowAccess
from subgraphs.kit.scalars import schema_config
from subgraphs.kit.trail import Decides, Ledger, Running, Trail, TrailedDecisions, accesses, running

DOCUMENT_TOKENS_MAX = 15_000
_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)


@dataclass(kw_only=True)
class RequestContext:
    """What every resolver finds in `info.context`; a domain adds its stores and loaders.

    One a request, and a fresh one for each event of a subscription.
    """

    subject: Subject
    decisions: Decides
    trail: Trail = field(init=False, repr=False)
    guard: FieldGuard = field(init=False, repr=False)
    answer_headers: AnswerHeaders = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.answer_headers = AnswerHeaders()
        self.trail = Trail(self.subject)
        trailed = TrailedDecisions(self.decisions, self.trail)
        self.decisions = trailed
        self.guard = FieldGuard(trailed, trail=self.trail)

    @property
    def caller_id(self) -> str:
        """The caller's user id. Errors: Unauthenticated for an anonymous caller."""
        if self.subject.id is None:
            raise Unauthenticated
        return self.subject.id

    async def decision(
        self, owner: RowAccess | str | None, data_class: DataClass, action: str = "read"
    ) -> Decision:
        """The decision about a row of `owner`, for what is no field: a filter, a write, an aggregate."""
        return await self.guard.verdict((owner, (data_class.value, str(action))))


C = TypeVar("C", bound=RequestContext)


class AuthorizesRequests(Protocol):
    """The part of authz's `Authorizer` that a subgraph uses."""

    def for_request(self, subject: Subject) -> Decides:
        """Decisions for one caller, memoised for one request."""
        ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A document that was parsed and validated once, with what its selections compile to. `needs` is the
    guard's memory of them."""

    document: DocumentNode | None
    errors: tuple[GraphQLError, ...]
    selections: Selections | None = None
    needs: Needs = field(default_factory=dict)


class Subgraph(Generic[C]):
    """One domain's part of the graph.

    Errors: NotClassified on construction, naming every field without a class, every protected field that is
    not nullable, every type that does not say whose it is, and every argument of a root that does not say
    what giving it demands.
    """

    def __init__(
        self,
        *,
        name: str,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        types: Sequence[type] = (),
        authorizer: AuthorizesRequests,
        context: Callable[[Subject, Decides], C],
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.name = name
        self._authorizer = authorizer
        self._context = context
        self._now = now
        self._ledger: Ledger | None = None
        self.declines = Declines(name)
        self._documents: OrderedDict[str, _Prepared] = OrderedDict()
        self._strawberry = FederatedSchema(
            query=query,
            mutation=mutation,
            subscription=subscription,
            types=types,
            config=schema_config(),
            federation_version="2.9",
        )
        self.schema = self._strawberry._schema
        rules = rules_of(self.schema)
        problems = [*problems_of(self.schema, rules), *sorted(undeclared_problems(self.schema))]
        if problems:
            raise NotClassified(f"subgraph `{name}` does not start: " + "; ".join(problems))
        self._fence = Fence.around(self.schema, rules)
        self._entities = entity_types(self.schema)
        self._sdl = self._strawberry.as_str() + "\n"
        self._lay_federation_fields()

    def sdl(self) -> str:
        """The subgraph's SDL, as composition reads it."""
        return self._sdl

    def record_in(self, ledger: Ledger) -> None:
        """Keep what requests touch there, from now on; without a ledger it is not kept."""
        self._ledger = ledger

    def classes(self) -> Mapping[str, tuple[DataClass, str]]:
        """Class and action of each field, by schema coordinate."""
        return {rule.coordinate: (rule.data_class, rule.action) for rule in self._fence.rules.values()}

    def inputs(self) -> Mapping[str, Demand]:
        """What giving each argument of a query, mutation or subscription demands, by its place."""
        return {place: says for place, says in root_inputs(self.schema).items() if says is not None}

    async def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None,
        operation_name: str | None,
        subject: Subject,
    ) -> dict[str, Any]:
        """The GraphQL response `{"data": …, "errors": […]}` to a query or mutation by `subject`. It has
        `headers` where resolvers have set any."""
        prepared = self._prepare(query)
        if prepared.document is None or prepared.errors:
            return self._refusal(prepared.errors)
        if _kind(prepared.document, operation_name) is OperationType.SUBSCRIPTION:
            return self._refusal([GraphQLError("a subscription needs a streaming transport")])
        return await self._run(prepared, variables, operation_name, subject, root_value=None)

    async def subscribe(
        self,
        query: str,
        variables: Mapping[str, Any] | None,
        operation_name: str | None,
        subject: Subject,
    ) -> AsyncIterator[dict[str, Any]]:
        """One response an event, each decided anew. It ends with an error SUBSCRIPTION_EXPIRED when the
        subject's token does; closing the iterator closes the domain's source."""
        prepared = self._prepare(query)
        if prepared.document is None or prepared.errors:
            yield self._refusal(prepared.errors)
            return
        if _kind(prepared.document, operation_name) is not OperationType.SUBSCRIPTION:
            yield await self.execute(query, variables, operation_name, subject)
            return
        source = await self._source(prepared, variables, operation_name, subject)
        if isinstance(source, ExecutionResult):
            yield self._response(source)
            return
        try:
            async for event in self._until_expiry(source, subject):
                yield await self._run(prepared, variables, operation_name, subject, root_value=event)
            if self._seconds_left(subject) == 0:
                expired = PublicError("SUBSCRIPTION_EXPIRED", "the token that opened the stream has expired")
                yield self._refusal([GraphQLError(expired.message, original_error=expired)])
        except Exception as fault:  # the domain's source broke: told like any other fault, then the end
            yield self._refusal([GraphQLError("the stream broke", original_error=fault)])
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _until_expiry(self, source: AsyncIterable[Any], subject: Subject) -> AsyncIterator[Any]:
        """The events of `source` up to the moment at which the subject's token expires."""
        events = aiter(source)
        while (seconds := self._seconds_left(subject)) != 0:
            try:
                async with asyncio.timeout(seconds):
                    event = await anext(events)
            except (StopAsyncIteration, TimeoutError):
                return
            if self._seconds_left(subject) == 0:
                return
            yield event

    def _seconds_left(self, subject: Subject) -> float | None:
        """Seconds until the token expires, not below 0; None for a token without an end."""
        if subject.expires_at_utc is None:
            return None
        return max(0.0, (subject.expires_at_utc - self._now()).total_seconds())

    async def _source(
        self,
        prepared: _Prepared,
        variables: Mapping[str, Any] | None,
        operation_name: str | None,
        subject: Subject,
    ) -> AsyncIterable[Any] | ExecutionResult:
        assert prepared.document is not None  # noqa: S101 - the caller has looked
        executor = SelectionExecutor.build(
            self.schema,
            prepared.document,
            context_value=self._request_context(subject, prepared),
            raw_variable_values=dict(variables or {}),
            operation_name=operation_name,
            hide_suggestions=True,
            operation_extensions=None,
        )
        if isinstance(executor, list):
            return ExecutionResult(None, executor)
        source = create_source_event_stream(executor)
        return await source if isawaitable(source) else source

    async def _run(
        self,
        prepared: _Prepared,
        variables: Mapping[str, Any] | None,
        operation_name: str | None,
        subject: Subject,
        *,
        root_value: Any,
    ) -> dict[str, Any]:
        assert prepared.document is not None  # noqa: S101 - the caller has looked
        context = self._request_context(subject, prepared)
        reach = getattr(context.decisions, "reach", None)
        here = running.set(Running(context.trail, self._recorded(subject), reach))
        try:
            result = execution(
                self.schema,
                prepared.document,
                prepared.selections,
                operation_name=operation_name,
                root_value=root_value,
                context=context,
                variables=variables or {},
            )
            result = result if isinstance(result, ExecutionResult) else await result
        finally:
            running.reset(here)
        unkept = await self._keep(context.trail, subject)
        if unkept is not None:
            return self._refusal([unkept])
        return headed(
            self._response(result),
            context.answer_headers,
            prepared.document,
            rules=self._fence.rules,
            schema=self.schema,
        )

    async def _keep(self, trail: Trail, subject: Subject) -> GraphQLError | None:
        """Keep what the request touched; the fault that kept it from being kept, and so its answer back."""
        touched = trail.take()
        if self._ledger is None or not touched:
            return None
        try:
            await self._ledger.keep(self._recorded(subject)(touched))
        except Exception as fault:
            return GraphQLError("the access could not be recorded", original_error=fault)
        return None

    def _recorded(self, subject: Subject) -> Callable[[Sequence[Touched]], list[Access]]:
        return lambda touched: accesses(subject, self.name, self._now(), trace_id(), touched)

    def _request_context(self, subject: Subject, prepared: _Prepared) -> C:
        context = self._context(subject, self._authorizer.for_request(subject))
        context.guard.needs = prepared.needs
        context.guard.places(len(self._fence.places))
        return context

    def _response(self, result: ExecutionResult) -> dict[str, Any]:
        response: dict[str, Any] = {"data": result.data}
        if result.errors:
            response["errors"] = [formatted(error, self.name) for error in result.errors]
        return response

    def _refusal(self, errors: Sequence[GraphQLError]) -> dict[str, Any]:
        return {"data": None, "errors": [formatted(error, self.name) for error in errors]}

    def _prepare(self, query: str) -> _Prepared:
        prepared = self._documents.get(query)
        if prepared is not None:
            self._documents.move_to_end(query)
            return prepared
        prepared = self._parsed(query)
        if not may_be_kept(query, prepared.document):
            return prepared
        self._documents[query] = prepared
        if len(self._documents) > DOCUMENTS_CACHED_MAX:
            self._documents.popitem(last=False)
        return prepared

    def _parsed(self, query: str) -> _Prepared:
        try:
            # Without positions: an error of a resolver would count the lines of the router's text each time.
            document = parse(query, max_tokens=DOCUMENT_TOKENS_MAX, no_location=True)
            if validate(self.schema, document, _RULES, hide_suggestions=True):
                placed = parse(query, max_tokens=DOCUMENT_TOKENS_MAX)
                return _Prepared(None, tuple(validate(self.schema, placed, _RULES, hide_suggestions=True)))
        except GraphQLError as error:
            return _Prepared(None, (error,))
        return _Prepared(document, (), Selections(self._fence, document, self.declines))

    def _lay_federation_fields(self) -> None:
        """Put our own resolvers behind `_service` and `_entities`."""
        query_type = self.schema.query_type
        assert query_type is not None  # noqa: S101 - Strawberry refuses a schema without Query
        query_type.fields["_service"].resolve = lambda *_: {"sdl": self._sdl}
        service = cast(Any, self.schema.type_map["_Service"])
        service.fields["sdl"].resolve = lambda source, *_: source["sdl"]
        entities_field = query_type.fields.get("_entities")
        if entities_field is None:
            return
        strawberry_field = entities_field.extensions["strawberry-definition"]
        union = self.schema.type_map["_Entity"]

        async def resolve(_: Any, info: GraphQLResolveInfo[Any], representations: list[Any]) -> list[Any]:
            found = await resolve_entities(
                self._entities,
                representations,
                strawberry_info=Info(_raw_info=info, _field=strawberry_field),
            )
            prepared: list[Any] = await self._fence.prepare(found, info, union)
            return prepared

        entities_field.resolve = resolve


def _kind(document: DocumentNode, operation_name: str | None) -> OperationType | None:
    operation = get_operation_ast(document, operation_name)
    return None if operation is None else operation.operation
