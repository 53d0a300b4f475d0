"""One row with a field for every class and action, asked in four ways: by a client, past the router, in a
list, and as a stream's event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from inspect import signature
from typing import Any, TypeAlias

import strawberry
from strawberry.types.info import Info

from authz.classes import Action, DataClass
from authz.decide import Authorizer
from authz.facts import ConsentFact, MemoryFacts, RelationshipFact
from authz.facts.store import Standing
from authz.identity.subject import Subject
from authz.policies.rules import VIEWS
from authz.question import Question
from router.config import RouterConfig
from router.execution.transports.in_process import InProcessTransport
from router.operation.authorize import Rights
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from schema.composition import compose
from schema.sources import SubgraphSource
from subgraphs.kit import RequestContext, RowAccess, Subgraph, classified
from tests.kit_authz.people import NOW

Cell: TypeAlias = tuple[DataClass, str]
WAYS = ("client", "direct", "list", "stream")
CELLS: tuple[Cell, ...] = tuple(
    (data_class, action.value)
    for data_class in DataClass
    for action in Action
    if data_class is not DataClass.PUBLIC or action is Action.READ
)


def field_name(cell: Cell) -> str:
    """The GraphQL name of a cell's field."""
    return f"{cell[0].lower()}_{cell[1]}".replace("_", "x")


@dataclass
class Situation:
    """What is stored now: whose row it is, and what the facts say."""

    access: RowAccess = field(default_factory=lambda: RowAccess(owner_id="owner"))
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    now: datetime = NOW

    def set(
        self, question: Question, facts: Iterable[RelationshipFact | ConsentFact], *, now: datetime = NOW
    ) -> None:
        """The row that `question` is about, and these facts, no others, at this time."""
        self.now = now
        told = {name: getattr(question, name) for name in signature(RowAccess).parameters}
        self.access = RowAccess(**told)
        self.facts = MemoryFacts()
        self.facts.put(*facts)

    async def load(self, subject_id: str, owner_ids: Sequence[str]) -> Mapping[str, Standing]:
        return await self.facts.load(subject_id, owner_ids)

    async def of_subject(self, subject_id: str) -> Mapping[str, Standing]:
        return await self.facts.of_subject(subject_id)


class FourWays:
    """The row behind a router, with the means to ask for it."""

    def __init__(self) -> None:
        self.situation = Situation()
        facts: Any = self.situation
        self.authorizer = Authorizer(facts, clock=lambda: self.situation.now)
        self.subgraph = _subgraph(self.situation, self.authorizer)
        composed = compose([SubgraphSource("rows", "http://rows.test/graphql", self.subgraph.sdl())])
        assert composed.supergraph_sdl is not None, composed.problems
        # A cell's answer is what counts here, however long a list of all of them takes on a busy machine.
        config = RouterConfig(request_timeout_ms_max=600_000, subgraph_timeout_ms_max=600_000)
        self.router = Router(
            snapshot_of(composed.supergraph_sdl, config),
            InProcessTransport({"rows": self.subgraph}),
            config=config,
            rights=Rights(can_ever=self.authorizer.can_ever),
        )

    async def ask(self, way: str, subject: Subject, cells: Sequence[Cell]) -> dict[Cell, str]:
        """By cell: the value shown, or the code of its denial with the obligation, if there is one."""
        names = " ".join(dict.fromkeys(field_name(cell) for cell in cells))
        answer, prefix = await getattr(self, f"_{way}")(subject, f"id {names}")
        row: Any = answer["data"]
        for step in prefix:
            row = row[step]
        errors = {tuple(error["path"]): error for error in answer.get("errors") or ()}
        assert len(errors) == len(answer.get("errors") or ()), "two errors at one path"
        told = {cell: _told(row, errors, (*prefix, field_name(cell)), field_name(cell)) for cell in cells}
        assert set(errors) <= {(*prefix, field_name(cell)) for cell in cells}
        return told

    async def _client(self, subject: Subject, fields: str) -> tuple[Any, tuple[str | int, ...]]:
        return await self._routed(f"{{ row {{ {fields} }} }}", subject), ("row",)

    async def _list(self, subject: Subject, fields: str) -> tuple[Any, tuple[str | int, ...]]:
        return await self._routed(f"{{ rows {{ {fields} }} }}", subject), ("rows", 1)

    async def _direct(self, subject: Subject, fields: str) -> tuple[Any, tuple[str | int, ...]]:
        row = '_entities(representations: [{__typename: "Row", id: "1"}])'
        asked = f"{{ {row} {{ ... on Row {{ {fields} }} }} }}"
        return await self.subgraph.execute(asked, {}, None, subject), ("_entities", 0)

    async def _stream(self, subject: Subject, fields: str) -> tuple[Any, tuple[str | int, ...]]:
        request = GraphQLRequest(text=f"subscription {{ changed {{ {fields} }} }}")
        graph = self.router.snapshot
        document = await self.router.read(request, graph)
        events: Any = await self.router.events(request, document, subject, graph)
        async with aclosing(events) as stream, asyncio.timeout(30):
            return _plain(await anext(stream)), ("changed",)

    async def _routed(self, text: str, subject: Subject) -> dict[str, Any]:
        return _only_row(_plain(await self.router.handle(GraphQLRequest(text=text), subject)))


def _plain(response: Any) -> dict[str, Any]:
    return {"data": response.data, "errors": [dict(error) for error in response.errors]}


def _only_row(answer: dict[str, Any]) -> dict[str, Any]:
    """Of a list of two equal rows, what is said of the second: both are answered alike."""
    rows = (answer["data"] or {}).get("rows")
    if rows is None:
        return answer
    first, second = ([e for e in answer["errors"] if e["path"][1:2] == [place]] for place in (0, 1))
    assert rows[0] == rows[1]
    assert [error["path"][2:] for error in first] == [error["path"][2:] for error in second]
    # What is cut before planning has one error for the whole list, at the path without the index.
    cut = [
        {**e, "path": ["rows", 1, *e["path"][1:]]}
        for e in answer["errors"]
        if not isinstance(e["path"][1], int)
    ]
    return {"data": answer["data"], "errors": [*second, *cut]}


def _told(row: Any, errors: Mapping[Any, Any], path: tuple[str | int, ...], name: str) -> str:
    error = errors.get(path)
    if error is None:
        assert row[name] is not None, (path, "null without an error")
        return str(row[name])
    assert row[name] is None
    obligation = error["extensions"].get("obligation")
    assert error["extensions"]["code"] == "FORBIDDEN_FIELD", error
    return "-" if obligation is None else str(obligation)


def _subgraph(situation: Situation, authorizer: Authorizer) -> Subgraph[RequestContext]:
    namespace: dict[str, Any] = {
        "__annotations__": {"id": strawberry.ID, "row_access": strawberry.Private[RowAccess]}
    }
    for cell in CELLS:
        name = field_name(cell)
        masks = {view: (lambda value, view=view: view) for view in VIEWS[1:]}
        namespace["__annotations__"][name] = str | None
        namespace[name] = strawberry.field(
            default="allow", directives=[classified(cell[0], action=cell[1], masks=masks)]
        )

    def resolve_reference(cls: Any, info: Info[RequestContext, None], id: str) -> Any:
        return cls(id=strawberry.ID(id), row_access=situation.access)

    namespace["resolve_reference"] = classmethod(resolve_reference)
    row: Any = classified(DataClass.PUBLIC)(
        strawberry.federation.type(keys=["id"])(type("Row", (), namespace))
    )

    def make(number: int) -> Any:
        return row(id=strawberry.ID(str(number)), row_access=situation.access)

    def one() -> Any:
        return make(1)

    def two() -> Any:
        return [make(1), make(1)]

    async def changed() -> AsyncIterator[Any]:
        yield make(1)

    one.__annotations__["return"], two.__annotations__["return"] = row, list[row]
    changed.__annotations__["return"] = AsyncIterator[row]
    query = type("Query", (), {"row": strawberry.field(resolver=one), "rows": strawberry.field(resolver=two)})
    stream = type("Subscription", (), {"changed": strawberry.subscription(resolver=changed)})
    return Subgraph(
        name="rows",
        query=classified(DataClass.PUBLIC)(strawberry.type(query)),
        subscription=classified(DataClass.PUBLIC)(strawberry.type(stream)),
        types=[row],
        authorizer=authorizer,
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
        now=lambda: NOW,
    )
