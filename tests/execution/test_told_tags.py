"""Tags that subgraphs tell of what they answer, and events of the bus by which it is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from datastores.cache.opening import open_cache
from datastores.events.live import QUEUE_EVENTS_MAX, LiveStream, Subscribers
from datastores.events.port import Event
from router.config import ConfigError, read_config
from router.execution.answer_cache import cached as kept_answers
from router.execution.answer_cache.cached import AnswerCache, CachedTransport
from router.execution.answer_cache.forgetting import forget_by_events, tags_of_event
from router.execution.answer_cache.tags import (
    TAG_CHARS_MAX,
    TOLD_TAGS_MAX,
    named_tag,
    subgraph_tag,
    told_of_entities,
    told_of_root,
    type_tag,
)
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.operation.model import OperationKind
from router.traffic import CachedAnswers, Forgetting, SubgraphTraffic, Traffic
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import Supergraph, read_supergraph

SDL = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])
type Query { plain: String }
type Book @key(fields: "id") { id: ID! title: String }
"""
ENTITIES = "query($r:[_Any!]!){_entities(representations:$r){...on Book{title}}}"
JOINED = (
    "query($r0:[_Any!]!,$r1:[_Any!]!){_e0:_entities(representations:$r0){...on Book{title}} "
    "_e1:_entities(representations:$r1){...on Book{id title}}}"
)


@pytest.fixture(scope="module")
def supergraph() -> Supergraph:
    composed = compose([SubgraphSource(name="books", url="http://books.invalid", sdl=SDL)])
    assert composed.supergraph_sdl is not None, composed.problems
    return read_supergraph(composed.supergraph_sdl)


@dataclass
class Books:
    """A subgraph that tells the tags of each book: its own, and its author's."""

    asked: list[SubgraphRequest] = field(default_factory=list)
    extensions: Mapping[str, Any] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    held: bool = False

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        self.asked.append(request)
        if self.held:
            await self.gate.wait()
        told: dict[str, Any] = {"apolloCacheTags": ["all"]}
        data: dict[str, Any] = {"plain": f"answer {len(self.asked)}"}
        if "_entities" in request.query:
            names = ["_e0", "_e1"] if "_e0" in request.query else ["_entities"]
            data = {
                name: [{"title": f"{one['id']}, answer {len(self.asked)}"} for one in every]
                for name, every in zip(names, request.variables.values(), strict=True)
            }
            ids = [one["id"] for every in request.variables.values() for one in every]
            told = {"apolloEntityCacheTags": [[f"book-{one}", f"author-{one[0]}"] for one in ids]}
        extensions = told if self.extensions is None else self.extensions
        return SubgraphResponse(data=data, extensions=extensions, cache_control="public, max-age=60")

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        raise NotImplementedError

    async def close(self) -> None: ...


@dataclass
class Clock:
    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kept_answers, "now_s", clock)
    return clock


@asynccontextmanager
async def cached(books: Books, supergraph: Supergraph) -> AsyncIterator[CachedTransport]:
    store = open_cache("memory://")
    await store.open()
    traffic = Traffic(all=SubgraphTraffic(cache=CachedAnswers(enabled=True)))
    yield CachedTransport(books, AnswerCache(store), supergraph, traffic)
    await store.close()


def ask(query: str = "{plain}", subject: Subject = ANONYMOUS, **variables: Any) -> SubgraphRequest:
    return SubgraphRequest("books", OperationKind.QUERY, query, variables, subject)


def books_of(*ids: str) -> list[dict[str, str]]:
    return [{"__typename": "Book", "id": one} for one in ids]


async def forget(transport: CachedTransport, *tags: str) -> None:
    await transport.cache.forget([named_tag("books", one) for one in tags])


async def test_what_is_told_of_each_entity_forgets_that_entity_alone(
    supergraph: Supergraph, clock: Clock
) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        for tag, again in (("book-a1", ["a1"]), ("author-a", ["a1", "a2"]), ("author-c", []), ("all", [])):
            await transport.fetch(ask(ENTITIES, r=books_of("a1", "a2", "b1")))
            await transport.fetch(ask(ENTITIES, r=books_of("a1", "a2", "b1")))
            books.asked.clear()
            await forget(transport, tag)
            clock.now_s += 5
            answer = await transport.fetch(ask(ENTITIES, r=books_of("a1", "a2", "b1")))
            assert [one["id"] for call in books.asked for one in call.variables["r"]] == again
            assert answer.data is not None
            assert [one["title"][:2] for one in answer.data["_entities"]] == ["a1", "a2", "b1"]


async def test_a_tag_told_of_root_fields_forgets_their_answer(supergraph: Supergraph, clock: Clock) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        for times, tag in ((1, "other"), (1, "all"), (2, "all"), (3, "other")):
            await transport.fetch(ask())
            assert len(books.asked) == times
            await forget(transport, tag)
            clock.now_s += 5


async def test_the_tags_of_a_joined_request_belong_to_its_entities_in_their_order(
    supergraph: Supergraph, clock: Clock
) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        variables: dict[str, Any] = {"r0": books_of("a1", "b1"), "r1": books_of("c1")}
        await transport.fetch(ask(JOINED, **variables))
        await forget(transport, "author-c")
        clock.now_s += 5
        await transport.fetch(ask(JOINED, **variables))
    assert books.asked[1].variables == {"r0": [], "r1": books_of("c1")}


async def test_what_was_forgotten_while_it_was_fetched_is_not_kept(
    supergraph: Supergraph, clock: Clock
) -> None:
    """Its tags were not known yet when it was asked for."""
    books = Books(held=True)
    async with cached(books, supergraph) as transport:
        fetching = asyncio.create_task(transport.fetch(ask(ENTITIES, r=books_of("a1"))))
        while not books.asked:
            await asyncio.sleep(0)
        clock.now_s += 2
        await forget(transport, "book-a1")
        books.gate.set()
        await fetching
        clock.now_s += 5
        for times in (2, 2):
            await transport.fetch(ask(ENTITIES, r=books_of("a1")))
            assert len(books.asked) == times


@pytest.mark.parametrize(
    "extensions",
    [
        {"apolloEntityCacheTags": "book"},
        {"apolloEntityCacheTags": [7]},
        {"apolloEntityCacheTags": [["x", 7]]},
        {"apolloEntityCacheTags": [[""]]},
        {"apolloEntityCacheTags": [["x" * (TAG_CHARS_MAX + 1)]]},
        {"apolloEntityCacheTags": [[f"{number}" for number in range(TOLD_TAGS_MAX + 1)]]},
        {"apolloEntityCacheTags": {"0": ["x"]}},
    ],
    ids=["text", "number", "mixed", "empty", "long", "many", "object"],
)
async def test_what_cannot_be_forgotten_by_its_tags_is_not_kept(
    supergraph: Supergraph, extensions: dict[str, Any]
) -> None:
    books = Books(extensions=extensions)
    async with cached(books, supergraph) as transport:
        for times in (1, 2):
            await transport.fetch(ask(ENTITIES, r=books_of("a1")))
            assert len(books.asked) == times


def test_tags_of_another_number_of_entities_are_tags_of_each() -> None:
    told = {"apolloEntityCacheTags": [["a"], ["b", "a"]]}
    assert told_of_entities(told, 2) == [("a",), ("b", "a")]
    assert told_of_entities(told, 3) == [("a", "b")] * 3
    assert told_of_entities(told, 1) == [("a", "b")]
    assert told_of_entities({}, 2) == [(), ()]
    assert told_of_entities({"apolloEntityCacheTags": [["a"], 7]}, 3) == [None] * 3
    assert told_of_root({}) == ()
    assert told_of_root({"apolloCacheTags": ["a", "a"]}) == ("a",)
    assert told_of_root({"apolloCacheTags": None}) is None


RULES = (
    Forgetting(topic="book.changed", subgraphs=("books",), cache_tag="book-{$event.id}"),
    Forgetting(topic="author.left", subgraphs=("books", "stock"), type="Book"),
    Forgetting(topic="sale.began", subgraphs=("stock",)),
)


def event(topic: str, **payload: Any) -> Event:
    return Event("1", topic, "k", payload, datetime.now(UTC))


@pytest.mark.parametrize(
    ("told", "tags"),
    [
        (event("book.changed", id="a1"), [named_tag("books", "book-a1")]),
        (event("book.changed", id=7), [named_tag("books", "book-7")]),
        (event("book.changed", name="x"), [subgraph_tag("books")]),
        (event("author.left"), [type_tag("books", "Book"), type_tag("stock", "Book")]),
        (event("sale.began", id=1), [subgraph_tag("stock")]),
        (event("other"), []),
    ],
)
def test_a_rule_says_what_an_event_makes_stale(told: Event, tags: list[str]) -> None:
    assert list(tags_of_event(RULES, told)) == tags


class Feed:
    """The bus as one process hears it."""

    def __init__(self) -> None:
        self.subscribers = Subscribers()
        self.subscribed = 0

    @property
    def lost_count(self) -> int:
        return self.subscribers.lost_count

    def subscribe(self, topics: Any) -> LiveStream:
        self.subscribed += 1
        return self.subscribers.add(topics, None)


async def test_an_event_forgets_what_was_kept_and_a_lost_one_everything(
    supergraph: Supergraph, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.execution.answer_cache.forgetting.AGAIN_S", 0)
    books, feed = Books(), Feed()
    async with cached(books, supergraph) as transport:
        forgetting = asyncio.create_task(forget_by_events(transport.cache, RULES, feed))
        while not feed.subscribed:
            await asyncio.sleep(0)

        async def asked_again() -> list[str]:
            """Which of two books have to be asked for, once all that was told has been heard."""
            for _ in range(100):
                await asyncio.sleep(0)
            clock.now_s += 5
            books.asked.clear()
            await transport.fetch(ask(ENTITIES, r=books_of("a1", "b1")))
            return [one["id"] for call in books.asked for one in call.variables["r"]]

        assert await asked_again() == ["a1", "b1"]
        assert await asked_again() == []
        feed.subscribers.dispatch(event("book.changed", id="a1"))
        assert await asked_again() == ["a1"]
        feed.subscribers.dispatch(event("book.changed", id="other"))
        assert await asked_again() == []
        for number in range(QUEUE_EVENTS_MAX + 1):
            feed.subscribers.dispatch(event("book.changed", id=f"x{number}"))
        assert await asked_again() == ["a1", "b1"]
        # a bus that went away may have told of something meanwhile
        before = feed.subscribed
        feed.subscribers.end()
        while feed.subscribed == before:
            await asyncio.sleep(0)
        assert await asked_again() == ["a1", "b1"]
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)


@pytest.mark.parametrize(
    "rule",
    [
        {"subgraphs": ["books"]},
        {"topic": "book.changed"},
        {"topic": "a", "subgraphs": ["b"], "cache_tag": "c", "type": "D"},
    ],
)
def test_a_rule_that_says_too_little_or_too_much_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"subgraphs\.forget_on\[0\]"):
        read_config({"subgraphs": {"forget_on": [rule]}})
    assert Traffic(forget_on=RULES).needs_events
