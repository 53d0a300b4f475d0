"""The fence around loaded objects: a field is resolved after the decision about its owner and class.

Decisions are asked for a whole list at once (`prepare`, before its objects are completed), so that the
fields themselves look a verdict up and stay synchronous. An object that was not prepared is decided when
its field is reached. Fields that are PUBLIC keep their own resolver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
)

from authz.classes import Purpose
from authz.question import Decision
from authz.trail import AUDITED, Outcome
from subgraphs.kit.classification import (
    FieldRule,
    Mask,
    NotClassified,
    definition_of,
    names_owner,
    object_types,
    stored_name,
)
from subgraphs.kit.errors import FieldForbidden, PublicError, Unauthenticated
from subgraphs.kit.guard import FieldGuard, Needs
from subgraphs.kit.inputs import checked_values, input_problems
from subgraphs.kit.owners import Asked, Need, Owner, RowAccess, owner_of, question_of, told_by
from subgraphs.kit.settled import settle
from subgraphs.kit.trail import Decides as Decides  # noqa: PLC0414 - domains know it from here
from subgraphs.kit.trail import Trail

Resolver: TypeAlias = Callable[..., Any]
Asking: TypeAlias = AbstractSet[Asked]


@dataclass(frozen=True, slots=True)
class Fence:
    """The rules of one schema, laid around its resolvers by `lay`."""

    schema: GraphQLSchema
    rules: Mapping[tuple[str, str], FieldRule]
    owned: frozenset[str] = field(default_factory=frozenset)
    places: Mapping[Need, int] = field(default_factory=dict)

    @classmethod
    def around(cls, schema: GraphQLSchema, rules: Mapping[tuple[str, str], FieldRule]) -> Fence:
        """Wrap the resolvers of `schema`, once, and give the fence that they ask."""
        owned = frozenset(
            graphql_type.name
            for graphql_type in object_types(schema)
            if names_owner(definition_of(graphql_type))
        )
        problems = sorted(input_problems(_fields_with_arguments(schema), owned, rules))
        if problems:
            raise NotClassified("; ".join(problems))
        needed = sorted({(rule.data_class.value, rule.action) for rule in rules.values() if rule.protected})
        fence = cls(schema, rules, owned, {need: place for place, need in enumerate(needed)})
        roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
        for graphql_type in object_types(schema):
            for name, graphql_field in graphql_type.fields.items():
                rule = rules.get((graphql_type.name, name))
                decides = graphql_type in roots or graphql_type.name in owned
                cls_ = definition_of(graphql_type).origin
                changes = graphql_type is schema.mutation_type
                fence._lay(graphql_field, rule, cls_, decides=decides, changes=changes)
        return fence

    def _lay(
        self, graphql_field: GraphQLField, rule: FieldRule | None, cls: type, *, decides: bool, changes: bool
    ) -> None:
        resolve = graphql_field.resolve
        if resolve is None:
            return
        if rule is not None:
            for look in checked_values(rule.coordinate, graphql_field, self.rules):
                resolve = look(resolve)
        if changes and rule is not None:
            resolve = _noted(resolve, rule.coordinate)
        target = get_named_type(graphql_field.type)
        if is_composite_type(target) and self._leads_to_owned(target):
            resolve = self._prepared(resolve, target)
        if rule is not None and rule.protected and decides:
            stored = stored_name(graphql_field)
            decided, told = _decided(resolve, rule), told_by(cls)
            place = self.places[rule.data_class.value, rule.action]
            plain = stored is not None and told is not None
            resolve = _open_or(decided, rule, str(stored), place, (cls, str(told))) if plain else decided
        if rule is not None and rule.authenticated and graphql_field.subscribe is not None:
            graphql_field.subscribe = _logged_in(graphql_field.subscribe)
        elif rule is not None and rule.authenticated and not rule.protected:
            resolve = _logged_in(resolve)
        graphql_field.resolve = resolve

    def _leads_to_owned(self, target: GraphQLNamedType) -> bool:
        return any(possible.name in self.owned for possible in self._possible(target))

    def _possible(self, target: GraphQLNamedType | None) -> Sequence[GraphQLObjectType]:
        if isinstance(target, GraphQLObjectType):
            return (target,)
        if isinstance(target, GraphQLInterfaceType | GraphQLUnionType):
            return self.schema.get_possible_types(target)
        return ()

    def _prepared(self, resolve: Resolver, target: GraphQLNamedType) -> Resolver:
        """`resolve`, then one batch of decisions for what it gave."""

        async def arrives(pending: Awaitable[Any], info: GraphQLResolveInfo[Any]) -> Any:
            return await self.prepare(await pending, info, target)

        def resolve_prepared(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            value = resolve(source, info, **arguments)
            if value is None:
                return None
            if isawaitable(value):
                return arrives(value, info)
            guard: FieldGuard = info.context.guard
            needs = self.needs(info, target)
            settled, asked = self.settle(value, guard, needs, supposing=True)
            return self._settled_later(value, asked, guard, needs) if asked else settled

        return resolve_prepared

    async def _settled_later(
        self, value: Any, asked: Asking, guard: FieldGuard, needs: frozenset[Need]
    ) -> Any:
        """`value`, of whose objects some are not decided yet, once they are."""
        await guard.prepare(asked)
        settled, asked = self.settle(value, guard, needs, supposing=True)
        if asked:
            # What was told of everybody leaves out a few.
            await guard.prepare(asked)
            settled, _ = self.settle(value, guard, needs)
        return settled

    async def prepare(self, value: Any, info: GraphQLResolveInfo[Any], target: GraphQLNamedType) -> Any:
        """Decide at once what `info` selects on the objects of `value` (one object, or a list): the value to
        go on with."""
        guard: FieldGuard = info.context.guard
        needs = self.needs(info, target)
        settled, asked = self.settle(value, guard, needs, supposing=True)
        return await self._settled_later(value, asked, guard, needs) if asked else settled

    def settle(
        self, value: Any, guard: FieldGuard, needs: frozenset[Need], *, supposing: bool = False
    ) -> tuple[Any, Asking]:
        """See `settled.settle`."""
        return settle(value, guard, needs, self.places, supposing=supposing)

    def needs(self, info: GraphQLResolveInfo[Any], target: GraphQLNamedType) -> frozenset[Need]:
        """The classes and actions that the selection below this field reads on objects of `target`."""
        known: Needs = info.context.guard.needs
        key = (tuple(map(id, info.field_nodes)), target.name)
        found = known.get(key)
        if found is None:
            collected: set[Need] = set()
            for node in info.field_nodes:
                if node.selection_set is not None:
                    self._collect(node.selection_set, target, info.fragments, collected)
            found = known[key] = frozenset(collected)
        return found

    def _collect(
        self,
        selections: SelectionSetNode,
        target: GraphQLNamedType | None,
        fragments: Mapping[str, FragmentDefinitionNode],
        collected: set[Need],
    ) -> None:
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                for possible in self._possible(target):
                    rule = self.rules.get((possible.name, selection.name.value))
                    if rule is not None and rule.protected and possible.name in self.owned:
                        collected.add((rule.data_class.value, rule.action))
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                narrowed = target if condition is None else self.schema.get_type(condition.name.value)
                self._collect(selection.selection_set, narrowed, fragments, collected)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = fragments[selection.name.value]
                narrowed = self.schema.get_type(fragment.type_condition.name.value)
                self._collect(fragment.selection_set, narrowed, fragments, collected)


def _fields_with_arguments(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLField]]:
    for graphql_type in object_types(schema):
        for name, graphql_field in graphql_type.fields.items():
            if graphql_field.args and not name.startswith("_"):
                yield graphql_type.name, name, graphql_field


def _decided(resolve: Resolver, rule: FieldRule) -> Resolver:
    """`resolve` behind the decision about the object's owner."""
    need: Need = (rule.data_class.value, rule.action)
    audited = rule.data_class in AUDITED

    async def later(
        source: Any, info: GraphQLResolveInfo[Any], arguments: dict[str, Any], asked: Asked
    ) -> Any:
        verdict = await info.context.guard.verdict(asked)
        if audited:
            _trace(info, asked, verdict, rule)
        return await shown(source, info, arguments, verdict)

    async def shown(
        source: Any, info: GraphQLResolveInfo[Any], arguments: dict[str, Any], verdict: Decision
    ) -> Any:
        mask = _mask(verdict, rule)
        value = resolve(source, info, **arguments)
        value = await value if isawaitable(value) else value
        return value if mask is None else _masked(value, mask, rule)

    def resolve_decided(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        asked = (_for_purpose(owner_of(source, need), arguments), need)
        verdict = info.context.guard.known(asked)
        if verdict is None:
            return later(source, info, arguments, asked)
        if audited:
            _trace(info, asked, verdict, rule)
        if verdict.mask is not None:
            return shown(source, info, arguments, verdict)
        if not verdict.allowed:
            raise FieldForbidden(rule.coordinate, verdict.obligation)
        return resolve(source, info, **arguments)

    return resolve_decided


def _open_or(decided: Resolver, rule: FieldRule, name: str, place: int, plain: tuple[type, str]) -> Resolver:
    """A stored value as it is where its owner was found open, the common case; else as `decided` says.

    `plain` are the class whose objects tell their owner plainly, and the attribute that does.
    """
    cls, told = plain
    coordinates = frozenset({rule.coordinate})

    def resolve_open(source: Any, info: GraphQLResolveInfo[Any]) -> Any:
        if source.__class__ is cls:
            owner = getattr(source, told)
            if owner is not None and owner in info.context.guard.open[place]:
                return getattr(source, name)
        return decided(source, info)

    def resolve_seen(source: Any, info: GraphQLResolveInfo[Any]) -> Any:
        guard: FieldGuard = info.context.guard
        owner = getattr(source, told) if source.__class__ is cls else None
        if owner is None:
            return decided(source, info)
        if owner in guard.open[place]:
            return getattr(source, name)
        seen = guard.seen[place].get(owner)
        if seen is None:
            return decided(source, info)
        guard.trail.shown.append((seen, coordinates))
        return getattr(source, name)

    return resolve_seen if rule.data_class in AUDITED else resolve_open


def _trace(info: GraphQLResolveInfo[Any], asked: Asked, verdict: Decision, rule: FieldRule) -> None:
    shown = verdict.allowed and (verdict.mask is None or verdict.mask in rule.masks)
    info.context.guard.trail.read(question_of(asked), verdict, rule.coordinate, shown=shown)


def _noted(resolve: Resolver, coordinate: str) -> Resolver:
    """A mutation that leaves a record, whatever comes of it."""

    async def resolve_noted(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        trail: Trail = info.context.guard.trail
        trail.begins(coordinate)
        outcome = Outcome.FAILED
        try:
            value = resolve(source, info, **arguments)
            value = await value if isawaitable(value) else value
            outcome = Outcome.UNCHANGED
        except PublicError:
            outcome = Outcome.REFUSED
            raise
        finally:
            trail.ends(outcome)
        return value

    return resolve_noted


def _for_purpose(owner: Owner, arguments: Mapping[str, Any]) -> Owner:
    """A field with an argument `purpose` is decided for the purpose that its caller states."""
    stated = arguments.get("purpose")
    if stated is None:
        return owner
    row = owner if isinstance(owner, RowAccess) else RowAccess(owner_id=owner)
    # A resolver is given the member of `PurposeOfUse`; graphql-core may hand over what it stands for.
    return row.for_purpose(Purpose(getattr(stated, "value", stated)))


def _mask(verdict: Decision, rule: FieldRule) -> Mask | None:
    """How the value must be shortened; None shows it whole.  Errors: FieldForbidden.

    A view that the field has no way to show is a refusal: what is not shortened does not leave.
    """
    if not verdict.allowed:
        raise FieldForbidden(rule.coordinate, verdict.obligation)
    if verdict.mask is None:
        return None
    mask = rule.masks.get(verdict.mask)
    if mask is None:
        raise FieldForbidden(rule.coordinate, None)
    return mask


def _masked(value: Any, mask: Mask, rule: FieldRule) -> Any:
    try:
        return None if value is None else mask(value)
    except TypeError:
        raise FieldForbidden(rule.coordinate, None) from None


def _logged_in(resolve: Resolver) -> Resolver:
    """`resolve` for callers who have shown a valid token."""

    def resolve_logged_in(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        if not info.context.guard.authenticated:
            raise Unauthenticated
        return resolve(source, info, **arguments)

    return resolve_logged_in
