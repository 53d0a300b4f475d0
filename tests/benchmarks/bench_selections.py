"""What a subgraph's execution costs beside Strawberry's own, on the same types, in one run.

Run it: `python tests/benchmarks/bench_selections.py`. Strawberry executes its own schema of the same types;
the kit executes them with decisions about every object. Rounds alternate; the lower quartiles of CPU time
are compared, for noise only ever adds.
"""

from __future__ import annotations

import asyncio
import copy
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import strawberry
from strawberry.types.info import Info

from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer
from authz.facts import MemoryFacts, RelationshipFact
from authz.identity.subject import Subject
from subgraphs.kit import Connection, Edge, PageInfo, RequestContext, Subgraph, classified, resolved

Execute: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[Any]]
OBJECTS, ENTITIES, PAGE, ROUNDS = 1_000, 50, 100, 31
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COACH = Subject("coach", frozenset({Role.TRAINER}), acr=1)
FIELDS = "id f0 f1 f2 f3 f4 f5 f6 f7 f8"


@classified(DataClass.TRAINING)
@strawberry.federation.type(keys=["id"])
class Thing:
    id: strawberry.ID
    owner_id: strawberry.Private[str]
    f0: str | None
    f1: str | None
    f2: str | None
    f3: int | None
    f4: int | None
    f5: float | None
    f6: float | None
    f7: bool | None
    f8: str | None

    @classmethod
    async def resolve_reference(cls, info: Info[Any, Any], id: str) -> Thing | None:
        return THINGS.get(id)


def thing(number: int) -> Thing:
    text = f"value {number}"
    return Thing(
        id=strawberry.ID(f"t{number}"),
        owner_id="athlete",
        f0=text,
        f1=text,
        f2=text,
        f3=number,
        f4=number,
        f5=number / 3,
        f6=number / 7,
        f7=True,
        f8=None,
    )


THINGS = {f"t{number}": thing(number) for number in range(OBJECTS)}
LISTED = list(THINGS.values())


def page() -> Connection[Thing]:
    edges = [Edge(cursor=str(each.id), node=each) for each in LISTED[:PAGE]]
    info = PageInfo(has_next_page=True, has_previous_page=False, start_cursor=None, end_cursor=None)
    return Connection(edges=edges, nodes=[edge.node for edge in edges], page_info=info, total_count=OBJECTS)


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    def things(self) -> list[Thing]:
        """All things."""
        return LISTED

    @resolved()
    def page(self) -> Connection[Thing]:
        """The first things."""
        return page()


def authorizer() -> Authorizer:
    facts = MemoryFacts()
    facts.put(RelationshipFact("coach", Relation.COACH, "athlete", frozenset({"training"}), NOW, None, 1))
    return Authorizer(facts, clock=lambda: NOW)


def sides() -> dict[str, Execute]:
    """Strawberry's execution, and the kit's."""
    own = strawberry.federation.Schema(query=Query, types=[Thing])
    kit: Subgraph[RequestContext] = Subgraph(
        name="bench",
        query=Query,
        types=[Thing],
        authorizer=authorizer(),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
        now=lambda: NOW,
    )

    async def strawberry_(query: str, variables: dict[str, Any]) -> Any:
        result = await own.execute(query, variables)
        return {"data": result.data, "errors": result.errors}

    async def stadion(query: str, variables: dict[str, Any]) -> Any:
        return await kit.execute(query, variables, None, COACH)

    return {"Strawberry": strawberry_, "Stadion": stadion}


async def cpu_ms(execute: Execute, query: str, variables: dict[str, Any], expected: Any) -> float:
    given = copy.deepcopy(variables)  # Strawberry takes the representations apart
    began = time.process_time()
    answer = await execute(query, given)
    spent = (time.process_time() - began) * 1e3
    if answer.get("errors") or answer["data"] != expected:
        raise SystemExit(f"not the answer: {answer.get('errors')}")
    return spent


async def compare(name: str, query: str, variables: dict[str, Any], goal: float) -> None:
    both = sides()
    expected = (await both["Strawberry"](query, copy.deepcopy(variables)))["data"]
    measured: dict[str, list[float]] = {side: [] for side in both}
    for number in range(ROUNDS + 3):
        for side, execute in both.items():
            spent = await cpu_ms(execute, query, variables, expected)
            if number >= 3:
                measured[side].append(spent)
    own, kit = (statistics.quantiles(measured[side], n=4)[0] for side in ("Strawberry", "Stadion"))
    print(f"{name:<34} {own:9.2f} ms {kit:9.2f} ms   1/{own / kit:4.1f}   goal 1/{goal:g}")


async def main() -> None:
    """All comparisons."""
    print(f"{'':<34} {'Strawberry':>12} {'Stadion':>12}")
    await compare(f"{OBJECTS} objects × 10 fields", f"{{ things {{ {FIELDS} }} }}", {}, 10)
    representations = [{"__typename": "Thing", "id": f"t{number}"} for number in range(ENTITIES)]
    query = f"query ($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on Thing {{ {FIELDS} }} }} }}"
    await compare(f"_entities of {ENTITIES} × 10 fields", query, {"r": representations}, 5)
    paged = f"{{ page {{ edges {{ cursor node {{ {FIELDS} }} }} pageInfo {{ hasNextPage }} totalCount }} }}"
    await compare(f"a connection of {PAGE} × 10 fields", paged, {}, 5)


if __name__ == "__main__":
    asyncio.run(main())
