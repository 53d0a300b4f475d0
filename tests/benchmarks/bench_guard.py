"""What field authorization costs: 1000 objects of 10 fields with the guard against without, in one run.

Run it: `python tests/benchmarks/bench_guard.py`. Both sides run the same executor on the same types; without
means the same subgraph with every field PUBLIC. Rounds alternate, and the medians of CPU time are compared.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import strawberry

from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer
from authz.facts import MemoryFacts, RelationshipFact
from authz.identity.subject import Subject
from subgraphs.kit import RequestContext, RowAccess, Subgraph, classified

OBJECTS, ROUNDS = 1_000, 31
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIELDS = tuple(f"f{number}" for number in range(10))
COACH = Subject("coach", frozenset({Role.TRAINER}), acr=1)
DOCTOR = Subject("doc", frozenset({Role.MEDICAL_SPECIALIST}), acr=2)


@dataclass(frozen=True)
class Side:
    """One subgraph and who asks it."""

    name: str
    subgraph: Subgraph[RequestContext]
    subject: Subject
    query: str


def side(
    name: str, data_class: DataClass, subject: Subject, authorizer: Authorizer, *, owners: int, rows: bool
) -> Side:
    """A subgraph whose objects belong to `owners` people, of one class; `rows` give a RowAccess each."""
    namespace: dict[str, Any] = {
        "__annotations__": {
            "owner_id": strawberry.Private[str],
            **({"row_access": strawberry.Private[RowAccess]} if rows else {}),
            **dict.fromkeys(FIELDS, str | None),
        },
    }
    thing = classified(data_class)(strawberry.type(type("Thing", (), namespace)))

    def build(number: int) -> Any:
        owner = f"athlete-{number % owners}"
        values: dict[str, Any] = {field: f"{field} of {number}" for field in FIELDS}
        if rows:
            values["row_access"] = RowAccess(owner_id=owner, resource_type="Observation")
        return thing(owner_id=owner, **values)

    things = [build(number) for number in range(OBJECTS)]

    def resolve_things() -> list[Any]:
        return things

    resolve_things.__annotations__["return"] = list[thing]  # type: ignore[valid-type]
    query = classified(DataClass.PUBLIC)(
        strawberry.type(type("Query", (), {"things": strawberry.field(resolver=resolve_things)}))
    )
    subgraph: Subgraph[RequestContext] = Subgraph(
        name=name,
        query=query,
        authorizer=authorizer,
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
        now=lambda: NOW,
    )
    return Side(name, subgraph, subject, f"{{ things {{ {' '.join(FIELDS)} }} }}")


def authorizer_for(owners: int) -> Authorizer:
    """A coach and a physician of everybody."""
    facts = MemoryFacts()
    for number in range(owners):
        owner, scopes = f"athlete-{number}", frozenset({"training"})
        facts.put(RelationshipFact("coach", Relation.COACH, owner, scopes, NOW, None, 1))
        facts.put(RelationshipFact("doc", Relation.TREATING, owner, frozenset(), NOW, None, 1))
    return Authorizer(facts, clock=lambda: NOW)


async def cpu_ms(one: Side) -> float:
    """The CPU time of one request, in milliseconds."""
    began = time.process_time()
    answer = await one.subgraph.execute(one.query, {}, None, one.subject)
    spent = (time.process_time() - began) * 1e3
    if answer.get("errors") or len(answer["data"]["things"]) != OBJECTS:
        raise SystemExit(f"{one.name}: not everything was shown")
    return spent


async def compare(name: str, guarded: Side, bare: Side) -> float:
    """Prints one line; the overhead in percent."""
    measured: dict[str, list[float]] = {"guarded": [], "bare": []}
    for number in range(ROUNDS + 3):
        pair = [("guarded", guarded), ("bare", bare)]
        for which, one in pair if number % 2 else reversed(pair):
            spent = await cpu_ms(one)
            if number >= 3:
                measured[which].append(spent)
    # Noise only ever adds: the lower quartile of each is what the work itself takes.
    with_guard, without = (statistics.quantiles(measured[which], n=4)[0] for which in ("guarded", "bare"))
    overhead = (with_guard / without - 1) * 100
    each = (with_guard - without) / (OBJECTS * len(FIELDS)) * 1e6
    print(f"{name:<44} {without:8.1f} ms {with_guard:8.1f} ms {overhead:+7.1f} % {each:8.0f} ns a field")
    return overhead


async def main() -> None:
    """All comparisons."""
    print(f"{OBJECTS} objects × {len(FIELDS)} fields{'':<20} {'without':>11} {'with':>11}")
    for owners in (1, 100, 1_000):
        authorizer = authorizer_for(owners)
        for rows in (False, True):
            bare = side("bare", DataClass.PUBLIC, COACH, authorizer, owners=owners, rows=rows)
            training = side("training", DataClass.TRAINING, COACH, authorizer, owners=owners, rows=rows)
            kind = "row access" if rows else "owner id"
            await compare(f"TRAINING, {owners} owners, by {kind}", training, bare)
    authorizer = authorizer_for(1)
    bare = side("bare", DataClass.PUBLIC, DOCTOR, authorizer, owners=1, rows=False)
    security = side("security", DataClass.SECURITY, Subject("athlete-0", frozenset({Role.ATHLETE})),
                    authorizer, owners=1, rows=False)  # fmt: skip
    await compare("SECURITY (audited), one's own", security, bare)
    guardian = Subject("ward", frozenset({Role.ATHLETE}), acr=1)
    facts = MemoryFacts()
    facts.put(RelationshipFact("ward", Relation.GUARDIAN, "athlete-0", frozenset(), NOW, None, 1))
    clinical = side("clinical", DataClass.CLINICAL, guardian, Authorizer(facts, clock=lambda: NOW),
                    owners=1, rows=True)  # fmt: skip
    await compare("CLINICAL (audited), somebody else's", clinical, bare)


if __name__ == "__main__":
    asyncio.run(main())
