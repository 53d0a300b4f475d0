"""What field authorization costs: 1000 objects of 10 fields with the guard against without, in one run.

Run it: `python tests/benchmarks/bench_guard.py [ROUNDS]`. Both sides run the same executor on the same types;
without means the same subgraph with every field PUBLIC. Rounds alternate, and the lower quartiles of CPU time
are compared: noise only adds.

`met before`: what the caller is to whom is remembered, as after its first request to a process; `look due`:
so it is, and this request is the one of its half second that looks for changed facts; `never met`: all
facts are loaded in the request. `from SQLite`: each request reads the rows and makes the objects, as the
platform does it; else the objects are there from the start. Facts are in SQLite either way.

`store's` is the part of the overhead that only another statement could save: those which the request runs
on the facts, caught as SQLite gets them, run again in each round by the bare driver, on the same file.
What is left of the overhead is `ours`. A row is met where the whole overhead is within the goal.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import strawberry
from sqlalchemy import Column, Connection, MetaData, String, Table, insert, select

from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer
from authz.facts import Facts, MemoryFacts, RelationshipFact
from authz.facts.relational import RelationalFacts
from authz.identity.subject import Subject
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational, glance
from subgraphs.kit import RequestContext, RowAccess, Subgraph, classified

OBJECTS, ROUNDS = 1_000, 31
GOAL_PERCENT = 5.0
REACHED: dict[str, list[bool]] = {}
"""By part and by what is remembered: which rows are within the goal."""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIELDS = tuple(f"f{number}" for number in range(10))
QUERY = f"{{ things {{ {' '.join(FIELDS)} }} }}"
COACH = Subject("coach", frozenset({Role.TRAINER}), acr=1)
THINGS = Table(
    "things",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("owner_id", String, nullable=False),
    *(Column(name, String) for name in FIELDS),
)
Load: TypeAlias = "Callable[[Any], Awaitable[list[Any]]]"


@dataclass(frozen=True)
class Side:
    """One subgraph and who asks it."""

    name: str
    subgraph: Subgraph[RequestContext]
    subject: Subject


def thing_type(data_class: DataClass, *, rows: bool) -> Any:
    """The type of the objects, all of one class; `rows` give a RowAccess each."""
    annotations: dict[str, Any] = {"owner_id": strawberry.Private[str]}
    if rows:
        annotations["row_access"] = strawberry.Private[RowAccess]
    namespace = {"__annotations__": {**annotations, **dict.fromkeys(FIELDS, str | None)}}
    return classified(data_class)(strawberry.type(type("Thing", (), namespace)))


def side(
    data_class: DataClass,
    subject: Subject,
    authorizer: Authorizer,
    *,
    rows: bool,
    owners: int = 1,
    store: Relational | None = None,
) -> Side:
    """A subgraph whose objects belong to `owners` people; from `store` where there is one."""
    thing = thing_type(data_class, rows=rows)

    def build(owner_id: str, values: dict[str, Any]) -> Any:
        if rows:
            access = RowAccess(owner_id=owner_id, resource_type="Observation")
            return thing(owner_id=owner_id, row_access=access, **values)
        return thing(owner_id=owner_id, **values)

    there = [
        build(f"athlete-{number % owners}", {field: f"{field} of {number}" for field in FIELDS})
        for number in range(OBJECTS)
    ]

    def read(connection: Connection) -> list[Any]:
        found = connection.execute(select(THINGS).order_by(THINGS.c.id))
        return [build(row.owner_id, dict(zip(FIELDS, row[2:], strict=True))) for row in found]

    async def loaded() -> list[Any]:
        assert store is not None
        return await store.read(read)

    def at_hand() -> list[Any]:
        return there

    resolve: Any = at_hand if store is None else loaded
    resolve.__annotations__["return"] = list[thing]  # type: ignore[valid-type]
    query = classified(DataClass.PUBLIC)(
        strawberry.type(type("Query", (), {"things": strawberry.field(resolver=resolve)}))
    )
    subgraph: Subgraph[RequestContext] = Subgraph(
        name="bench",
        query=query,
        authorizer=authorizer,
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
        now=lambda: NOW,
    )
    return Side(data_class.value, subgraph, subject)


def coached(owners: int) -> list[RelationshipFact]:
    """A coach of everybody."""
    return [
        RelationshipFact("coach", Relation.COACH, f"athlete-{number}", frozenset({"training"}), NOW, None, 1)
        for number in range(owners)
    ]


MET, DUE, NEVER = "met before", "look due", "never met"
LOOK_EVERY_S = {MET: 3_600.0, DUE: 1e-9, NEVER: 0.0}


def authorizer_of(facts: Facts, met: str) -> Authorizer:
    """Decisions with facts remembered, remembered but looked after, or loaded each time."""
    return Authorizer(facts, clock=lambda: NOW, remember_s=LOOK_EVERY_S[met])


async def cpu_ms(one: Side) -> float:
    """The CPU time of one request, in milliseconds; of all threads."""
    began = time.process_time()
    answer = await one.subgraph.execute(QUERY, {}, None, one.subject)
    spent = (time.process_time() - began) * 1e3
    if answer.get("errors") or len(answer["data"]["things"]) != OBJECTS:
        raise SystemExit(f"{one.name}: not everything was shown")
    return spent


def driver_ms(driver: sqlite3.Connection, texts: list[str]) -> float:
    """The CPU time of these statements by the driver alone, in milliseconds."""
    began = time.process_time()
    for text in texts:
        driver.execute(text).fetchall()
    return (time.process_time() - began) * 1e3


async def compare(kind: str, name: str, guarded: Side, bare: Side, kept: Kept | None = None) -> None:
    """Prints one line; notes whether the goal is reached among rows of the `kind`."""
    measured: dict[str, list[float]] = {"guarded": [], "bare": [], "store": []}
    for _ in range(3):
        # The first look for changes drops what the first request remembered.
        await cpu_ms(guarded)
    texts = [] if kept is None else await kept.asked_by(guarded)
    for number in range(ROUNDS + 3):
        pair = [("guarded", guarded), ("bare", bare)]
        for which, one in pair if number % 2 else reversed(pair):
            spent = await cpu_ms(one)
            if number >= 3:
                measured[which].append(spent)
        if kept is not None and number >= 3:
            measured["store"].append(driver_ms(kept.driver, texts))
    with_guard, without = (statistics.quantiles(measured[which], n=4)[0] for which in ("guarded", "bare"))
    store = statistics.quantiles(measured["store"], n=4)[0] if texts else 0.0
    overhead, stores = (with_guard / without - 1) * 100, store / without * 100
    each = (with_guard - without) / (OBJECTS * len(FIELDS)) * 1e6
    verdict = "met" if overhead <= GOAL_PERCENT else "missed"
    print(
        f"{kind + ', ' + name:<52} {without:8.2f} ms {with_guard:8.2f} ms {overhead:+7.1f} % {each:7.1f} ns"
        f" {store:7.3f} ms {stores:+6.1f} % {overhead - stores:+6.1f} %  {verdict}"
    )
    REACHED.setdefault(kind, []).append(overhead <= GOAL_PERCENT)


@dataclass(frozen=True)
class Kept:
    """The file of the facts: as the platform has it open, and by the driver alone."""

    store: Relational
    driver: sqlite3.Connection

    async def asked_by(self, one: Side) -> list[str]:
        """The statements that one request runs on the facts, with their values; it waits for no thread."""
        texts: list[str] = []
        self._trace(texts.append)
        try:
            await cpu_ms(one)
        finally:
            self._trace(None)
        # What sets and takes the trace away is a glance as well, and seen to begin or to end.
        selects = [text for text in texts if text.startswith("SELECT")]
        return ["BEGIN", *selects, "COMMIT"] if selects else []

    def _trace(self, note: Callable[[str], None] | None) -> None:
        def traced(connection: Connection) -> bool:
            driver: Any = connection.connection.driver_connection
            driver.set_trace_callback(note)
            return True

        if not glance(self.store, traced):
            raise SystemExit("the facts could not be looked at on the caller's own thread")


@asynccontextmanager
async def stored(folder: Path, owners: int) -> AsyncIterator[tuple[Relational, RelationalFacts, Kept]]:
    """The rows and the facts in SQLite."""
    store = open_relational(f"sqlite:///{folder / f'rows-{owners}.db'}")
    kept = open_relational(f"sqlite:///{folder / f'facts-{owners}.db'}")
    await store.open()
    await kept.open()
    driver = sqlite3.connect(folder / f"facts-{owners}.db", isolation_level=None)
    try:
        facts = RelationalFacts(kept)
        await facts.open()
        await facts.put(*coached(owners))

        def fill(connection: Connection) -> None:
            THINGS.metadata.create_all(connection)
            connection.execute(
                insert(THINGS),
                [
                    {"id": f"{number:06}", "owner_id": f"athlete-{number % owners}"}
                    | {field: f"{field} of {number}" for field in FIELDS}
                    for number in range(OBJECTS)
                ],
            )

        await store.write(fill)
        yield store, facts, Kept(kept, driver)
    finally:
        driver.close()
        await store.close()
        await kept.close()


async def from_sqlite(folder: Path) -> None:
    """What a request of the platform pays."""
    for owners in (1, 100, 1_000):
        async with stored(folder, owners) as (store, facts, kept):
            for rows, met in product((False, True), LOOK_EVERY_S):
                authorizer = authorizer_of(facts, met)
                bare = side(DataClass.PUBLIC, COACH, authorizer, rows=rows, store=store)
                training = side(DataClass.TRAINING, COACH, authorizer, rows=rows, store=store)
                await compare(f"from SQLite, {met}", _named(owners, rows=rows), training, bare, kept)


async def at_hand(folder: Path) -> None:
    """What remains where no row is loaded or made: the execution alone."""
    for owners in (1, 100, 1_000):
        async with stored(folder, owners) as (_, facts, kept):
            for rows, met in product((False, True), (MET, NEVER)):
                authorizer = authorizer_of(facts, met)
                bare = side(DataClass.PUBLIC, COACH, authorizer, rows=rows, owners=owners)
                training = side(DataClass.TRAINING, COACH, authorizer, rows=rows, owners=owners)
                await compare(f"at hand, {met}", _named(owners, rows=rows), training, bare, kept)
    memory = MemoryFacts()
    memory.put(RelationshipFact("ward", Relation.GUARDIAN, "athlete-0", frozenset(), NOW, None, 1))
    authorizer = authorizer_of(memory, MET)
    for subject, data_class, what in (
        (Subject("athlete-0", frozenset({Role.ATHLETE})), DataClass.SECURITY, "one's own"),
        (Subject("ward", frozenset({Role.ATHLETE}), acr=1), DataClass.CLINICAL, "a ward's"),
    ):
        bare = side(DataClass.PUBLIC, subject, authorizer, rows=False)
        audited = side(data_class, subject, authorizer, rows=False)
        await compare(f"at hand, {MET}", f"{data_class.value} (audited), {what}", audited, bare)


def _named(owners: int, *, rows: bool) -> str:
    return f"{owners} owners, by {'row access' if rows else 'owner id'}"


async def main() -> None:
    """All comparisons."""
    title, stores = f"{OBJECTS} objects × {len(FIELDS)} fields", "store's"
    print(f"{title:<52} {'without':>11} {'with':>11} {'':9} {'a field':>10} {stores:>10} {'':8} {'ours':>8}")
    for part in (from_sqlite, at_hand):
        with tempfile.TemporaryDirectory() as folder:
            await part(Path(folder))
    for kind, reached in REACHED.items():
        print(f"{kind}: at most {GOAL_PERCENT} % more in {sum(reached)} of {len(reached)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ROUNDS = int(sys.argv[1])
    asyncio.run(main())
