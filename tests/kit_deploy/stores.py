"""Every store beside the rows, filled, read and written on, whichever server is behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from datastores.documents.opening import open_documents
from datastores.documents.port import Document
from datastores.errors import Conflict
from datastores.events.outbox import new_event
from datastores.events.port import Event
from datastores.events.redis import RedisEvents
from datastores.events.relay import EventsLimits
from datastores.graph.opening import open_graph
from datastores.lifecycle import opened
from datastores.series.opening import open_series
from datastores.series.port import AT_MS_MAX, DAY_MS, Sample
from deploy.settings import Settings
from deploy.stores import stores_of

START_MS = 1_750_000_000_000
QUICK = EventsLimits(retry_first_s=0.001, retry_max_s=0.01, poll_s=0.05, failures_max=2)
TOPIC = "thing.changed"


def url_of(settings: Settings, name: str) -> str:
    named = getattr(settings, f"{name}_url")
    return named.get_secret_value() if named else f"sqlite:///{settings.data_folder / f'{name}.db'}"


@asynccontextmanager
async def three(settings: Settings) -> Any:
    """Series, graph and documents of a deployment, as a domain has them."""
    series, graph = open_series(url_of(settings, "series")), open_graph(url_of(settings, "graph"))
    documents = open_documents(url_of(settings, "documents"))
    async with opened({"series": series, "graph": graph, "documents": documents}):
        yield series, graph, documents


async def fill(settings: Settings) -> None:
    async with three(settings) as (series, graph, documents):
        half_months = range(START_MS, START_MS + 90 * DAY_MS, 15 * DAY_MS)
        await series.append([Sample(name, at, at / 7) for name in ("hr", "power") for at in half_months])
        await series.forget(["power"])  # so that a number once given out is free
        await series.append([Sample("pace", START_MS + n * 1_000, float(n)) for n in range(700)])
        await series.retain(samples_from_ms=START_MS + DAY_MS)
        await graph.befriend([(f"p{n:03}", f"p{n + 1:03}") for n in range(560)])
        await graph.block([("p1", "p7"), ("x", "p2"), ("p2", "x")])
        await documents.insert("plans", [Document(f"d{n:04}", {"n": n, "t": ["ü"]}) for n in range(560)])
        await documents.replace("plans", [Document("d0007", {"n": -7}, 1)])
        await documents.insert("notes", [Document("one", {"deep": {"er": None}})])


async def told(settings: Settings) -> dict[str, object]:
    """What a domain reads of it all."""
    async with three(settings) as (series, graph, documents):
        whole = {"start_ms": 0, "end_ms": AT_MS_MAX}
        return {
            "samples": await series.read(["hr", "power", "pace"], **whole),
            "days": await series.buckets(["hr", "pace"], **whole, step_ms=30 * DAY_MS),
            "friends": await graph.friends(["p000", "p001", "p300", "p560"]),
            "blocks": await graph.blocked_by(["p1", "x", "p2"]),
            "plans": await documents.get("plans", ["d0007", "d0559"]),
            "notes": await documents.find("notes"),
            "count": await documents.count("plans"),
        }


async def goes_on(settings: Settings) -> None:
    """What was restored takes writes: numbers are not given twice, partitions are made, versions hold."""
    async with three(settings) as (series, graph, documents):
        await series.append([Sample(f"new {n}", START_MS + n * 40 * DAY_MS, 1.0) for n in range(1, 4)])
        found = await series.read(["new 1", "pace"], start_ms=0, end_ms=AT_MS_MAX)
        assert [point.value for point in found["new 1"]] == [1.0]
        with pytest.raises(Conflict):
            await graph.befriend([("p1", "p7")])
        with pytest.raises(Conflict):
            await documents.replace("plans", [Document("d0007", {"n": 0}, 1)])
        await documents.replace("plans", [Document("d0007", {"n": 0}, 2)])


class Numbers:
    """A consumer that refuses one number and stops to think at another."""

    def __init__(self, *, refusing: int = -1, waiting_at: int = -1) -> None:
        self.seen: list[int] = []
        self.waits = asyncio.Event()
        self._refusing, self._waiting_at = refusing, waiting_at

    async def __call__(self, event: Event) -> None:
        number = event.payload["number"]
        if number == self._refusing:
            raise ValueError("no")
        if number == self._waiting_at:
            self.waits.set()
            await asyncio.Event().wait()
        self.seen.append(number)


def events_on(settings: Settings, consumers: Mapping[str, Numbers]) -> tuple[RedisEvents, Any]:
    stores = stores_of(settings)
    events = RedisEvents(url_of(settings, "events"), stores.rows(), limits=QUICK)
    for group, consumer in consumers.items():
        events.consume(group, [TOPIC], consumer)
    return events, stores


async def publish(events: RedisEvents, stores: Any, *numbers: int) -> None:
    made = [new_event(TOPIC, key="k", payload={"number": number}) for number in numbers]
    await stores.relational["training"].write(lambda c: events.outbox.append(c, made))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.005)
