"""What a graph promises, in rows and on Neo4j."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
import zlib
from collections import deque
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from datastores.config import StoreUrlProblem
from datastores.errors import Conflict, StoreError, Unavailable
from datastores.graph.neo4j import Neo4jGraph, Neo4jLimits
from datastores.graph.opening import open_graph
from datastores.graph.port import EdgeKind, Graph, Pair
from datastores.graph.relational import RelationalGraph
from datastores.relational.one_moment import one_moment
from datastores.relational.opening import open_relational

pytestmark = pytest.mark.port("graph")


@pytest.fixture(params=["sqlite", "postgresql", "neo4j"])
async def graph(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Graph]:
    made: Graph
    if request.param == "sqlite":
        made = open_graph(f"sqlite:///{tmp_path}/graph.db")
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        made = RelationalGraph(open_relational(url, search_path=f"g{secrets.token_hex(6)}"))
    else:
        # Patient: on a loaded machine a hundred writers of one node wait for each other for a while.
        patient = Neo4jLimits(acquire_timeout_s=60.0, retry_time_s=60.0, call_timeout_s=90.0)
        made = Neo4jGraph(request.getfixturevalue("neo4j_url"), space=secrets.token_hex(6), limits=patient)
    await made.open()
    yield made
    await made.close()


async def test_a_friendship_goes_both_ways_and_once(graph: Graph) -> None:
    await graph.befriend([("b", "a"), ("a", "c")])
    await graph.befriend([("a", "b")])
    found = await graph.friends(["a", "b", "c", "nobody"])
    assert found == {"a": ("b", "c"), "b": ("a",), "c": ("a",), "nobody": ()}


async def test_a_friendship_that_ended_is_gone_for_both(graph: Graph) -> None:
    await graph.befriend([("a", "b"), ("a", "c")])
    await graph.unfriend([("b", "a"), ("b", "c")])
    assert await graph.friends(["a", "b"]) == {"a": ("c",), "b": ()}


async def test_nobody_pairs_with_oneself(graph: Graph) -> None:
    for call in (graph.befriend, graph.unfriend, graph.block, graph.unblock):
        with pytest.raises(ValueError, match="two different"):
            await call([("a", "b"), ("c", "c")])
    assert await graph.friends(["a"]) == {"a": ()}


async def test_a_block_ends_the_friendship_and_forbids_another_from_either_side(graph: Graph) -> None:
    await graph.befriend([("a", "b"), ("a", "c")])
    await graph.block([("a", "b")])
    assert await graph.friends(["a", "b"]) == {"a": ("c",), "b": ()}
    assert await graph.blocked_by(["a", "b"]) == {"a": ("b",), "b": ()}
    for pair in (("a", "b"), ("b", "a")):
        with pytest.raises(Conflict):
            await graph.befriend([("x", "y"), pair])
    assert await graph.friends(["x"]) == {"x": ()}  # all or nothing


async def test_an_ended_block_brings_no_friendship_back_but_allows_one(graph: Graph) -> None:
    await graph.befriend([("a", "b")])
    await graph.block([("a", "b")])
    await graph.unblock([("b", "a")])
    assert await graph.blocked_by(["a"]) == {"a": ("b",)}
    await graph.unblock([("a", "b")])
    assert await graph.friends(["a"]) == {"a": ()}
    await graph.befriend([("a", "b")])
    assert await graph.friends(["a"]) == {"a": ("b",)}


async def test_a_forgotten_person_is_in_no_answer(graph: Graph) -> None:
    await graph.befriend([("a", "b"), ("b", "c")])
    await graph.block([("b", "x"), ("y", "b")])
    await graph.forget(["b", "never"])
    assert await graph.friends(["a", "b", "c"]) == {"a": (), "b": (), "c": ()}
    assert await graph.blocked_by(["b", "y"]) == {"b": (), "y": ()}
    assert await graph.shortest_path("a", "c") is None


async def test_mutual_friends_in_bulk(graph: Graph) -> None:
    await graph.befriend([("a", "m"), ("a", "n"), ("b", "m"), ("b", "n"), ("c", "n"), ("a", "b")])
    assert await graph.mutuals("a", ["b", "c", "nobody"]) == {"b": ("m", "n"), "c": ("n",), "nobody": ()}


async def test_a_path_is_shortest_and_bounded(graph: Graph) -> None:
    await graph.befriend([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "x"), ("x", "e")])
    assert await graph.shortest_path("a", "e") == ("a", "x", "e")
    assert await graph.shortest_path("a", "d", hops_max=3) in {("a", "b", "c", "d"), ("a", "x", "e", "d")}
    assert await graph.shortest_path("a", "d", hops_max=2) is None
    assert await graph.shortest_path("a", "nobody") is None
    assert await graph.shortest_path("a", "a") == ("a",)


async def test_no_path_leads_over_a_block_of_the_start(graph: Graph) -> None:
    await graph.befriend([("a", "b"), ("b", "e"), ("a", "x"), ("x", "y"), ("y", "e")])
    assert await graph.shortest_path("a", "e") == ("a", "b", "e")
    await graph.block([("b", "a")])
    await graph.befriend([("x", "b")])
    assert await graph.shortest_path("a", "e") == ("a", "x", "y", "e")
    await graph.block([("a", "e")])
    assert await graph.shortest_path("a", "e") is None


@pytest.mark.parametrize("hops_max", [0, 7])
async def test_a_bound_has_bounds(graph: Graph, hops_max: int) -> None:
    with pytest.raises(ValueError, match="hops_max"):
        await graph.shortest_path("a", "b", hops_max=hops_max)
    with pytest.raises(ValueError, match="limit"):
        await graph.suggestions("a", limit=0)


async def test_suggestions_weigh_a_shared_friend_by_how_few_they_have(graph: Graph) -> None:
    quiet, busy = [("a", "q"), ("q", "p")], [("a", "m"), ("m", "o"), *(("m", f"z{n}") for n in range(5))]
    await graph.befriend([*quiet, *busy])
    first, second, *_ = await graph.suggestions("a")
    assert (first.id, first.mutual_count, second.id) == ("p", 1, "o")
    assert math.isclose(first.score, 1 / math.log(2))
    assert math.isclose(second.score, 1 / math.log(7))
    assert len(await graph.suggestions("a", limit=2)) == 2


async def test_no_friend_and_nobody_across_a_block_is_suggested(graph: Graph) -> None:
    await graph.befriend([("a", "m"), *(("m", other) for other in ("b", "c", "d", "e")), ("a", "e")])
    await graph.block([("a", "b"), ("c", "a")])
    assert [suggestion.id for suggestion in await graph.suggestions("a")] == ["d"]
    assert await graph.suggestions("nobody") == ()


async def test_a_random_graph_agrees_with_a_plain_search(graph: Graph) -> None:
    chance = random.Random(7)
    people = [f"p{number:02}" for number in range(40)]
    pairs: set[Pair] = set()
    while len(pairs) < 70:
        one, other = sorted(chance.sample(people, 2))
        pairs.add((one, other))
    await graph.befriend(sorted(pairs))
    circles = {p: {b if a == p else a for a, b in pairs if p in (a, b)} for p in people}
    assert await graph.friends(people) == {p: tuple(sorted(circles[p])) for p in people}
    for start, end in [chance.sample(people, 2) for _ in range(25)]:
        found = await graph.shortest_path(start, end, hops_max=6)
        expected = _distance(circles, start, end)
        assert (None if found is None else len(found) - 1) == (expected if expected <= 6 else None)
        assert found is None or all(b in circles[a] for a, b in pairwise(found))
    for person in people[:10]:
        expected_scores = _adamic_adar(circles, person)
        told = {s.id: s.score for s in await graph.suggestions(person, limit=200)}
        assert told == pytest.approx(expected_scores)


def _distance(circles: dict[str, set[str]], start: str, end: str) -> float:
    hops, queue = {start: 0}, deque([start])
    while queue:
        person = queue.popleft()
        for friend in circles[person] - hops.keys():
            hops[friend] = hops[person] + 1
            queue.append(friend)
    return hops.get(end, math.inf)


def _adamic_adar(circles: dict[str, set[str]], person: str) -> dict[str, float]:
    others = circles.keys() - circles[person] - {person}
    scores = {o: sum(1 / math.log(len(circles[m])) for m in circles[person] & circles[o]) for o in others}
    return {other: score for other, score in scores.items() if score}


async def test_a_block_and_a_friendship_at_once_never_both_stay(graph: Graph) -> None:
    for round_number in range(5):
        a, b = f"a{round_number}", f"b{round_number}"
        calls = [
            graph.befriend([(a, b)]),
            graph.block([(b, a)]),
            graph.befriend([(b, a)]),
            graph.block([(a, b)]),
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {type(None), Conflict}
        assert await graph.friends([a, b]) == {a: (), b: ()}
        assert await graph.blocked_by([a, b]) == {a: (b,), b: (a,)}


async def test_a_hundred_writers_of_one_person_lose_nothing(graph: Graph) -> None:
    friends = [f"f{number:02}" for number in range(100)]
    await asyncio.gather(*(graph.befriend([("hub", friend)]) for friend in friends))
    assert (await graph.friends(["hub"]))["hub"] == tuple(friends)
    await asyncio.gather(*(graph.block([(friend, "hub")]) for friend in friends[::2]))
    assert (await graph.friends(["hub"]))["hub"] == tuple(friends[1::2])


async def test_a_thousand_ids_in_one_call(graph: Graph) -> None:
    ids = [f"f{number:04}" for number in range(1_200)]
    await graph.befriend([("hub", other) for other in ids])
    found = await graph.friends(ids)
    assert (len(found), set(found.values())) == (1_200, {("hub",)})


@pytest.mark.parametrize("kind", ["friends", "blocks"])
async def test_every_edge_is_in_the_pages_once(graph: Graph, kind: EdgeKind) -> None:
    """Ids that databases sort each in their own way: capitals, letters beyond ASCII, a begin of another."""
    names = [f"{letter}{number}" for letter in ("a", "B", "é", "Ω", "a-") for number in range(6)]
    pairs = [(one, other) for one in names for other in names if one < other and hash_of(one, other) % 2]
    await graph.befriend(pairs[::2])
    await graph.block(pairs[1::2])
    pages, after = [], None
    while page := await graph.edges(kind, after=after, limit=7):
        pages.append(page)
        after = page[-1]
    found = [pair for page in pages for pair in page]
    assert {len(page) for page in pages[:-1]} == {7}
    if kind == "friends":
        assert sorted((min(pair), max(pair)) for pair in found) == sorted(pairs[::2])
    else:
        assert sorted(found) == sorted(pairs[1::2])
    with pytest.raises(ValueError, match="`limit` is 1 to 1000"):
        await graph.edges(kind, limit=1_001)


def hash_of(one: str, other: str) -> int:
    return zlib.crc32(f"{one} {other}".encode())


async def test_a_closed_graph_is_unavailable(graph: Graph) -> None:
    await graph.ready()
    await graph.close()
    with pytest.raises(Unavailable):
        await graph.friends(["a"])
    with pytest.raises(Unavailable):
        await graph.ready()
    await graph.open()
    assert await graph.friends(["a"]) == {"a": ()}


async def test_a_neo4j_that_is_not_there_is_unavailable_and_tells_no_password() -> None:
    quick = Neo4jLimits(connect_timeout_s=0.2, acquire_timeout_s=0.2, retry_time_s=0.2, call_timeout_s=1.0)
    graph = Neo4jGraph("bolt://neo4j:SECRET@127.0.0.1:1", limits=quick)
    with pytest.raises(Unavailable) as told:
        await graph.open()
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize("url", ["neo4j://", "mysql://h/d", "bolt://"])
def test_a_graph_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlProblem):
        open_graph(url)


async def test_one_moment_of_the_graph_stays_as_it_was_while_others_write(graph: Graph) -> None:
    await graph.befriend([("a", "b"), ("a", "c")])
    async with graph.one_moment() as then:
        if then is None:
            assert isinstance(graph, Neo4jGraph)
            return
        assert len(await then.edges("friends")) == 2
        await asyncio.gather(*(graph.befriend([(f"x{n}", "hub")]) for n in range(20)))
        await graph.block([("b", "a")])
        assert (len(await then.edges("friends")), await then.edges("blocks")) == (2, ())
        assert await then.friends(["a", "hub"]) == {"a": ("b", "c"), "hub": ()}
        with pytest.raises(StoreError, match="cannot be written"):
            await then.forget(["a"])
    assert len((await graph.friends(["hub"]))["hub"]) == 20
    with pytest.raises(Unavailable, match="passed"):
        await then.edges("friends")


async def test_an_error_of_a_read_of_one_moment_is_told_and_ends_the_moment(tmp_path: Path) -> None:
    rows = open_relational(f"sqlite:///{tmp_path}/rows.db")
    await rows.open()

    def fails(_connection: object) -> None:
        raise LookupError

    async with one_moment(rows) as then:
        with pytest.raises(LookupError):
            await then.read(fails)
        with pytest.raises(LookupError):
            await then.read(lambda c: c.exec_driver_sql("SELECT 1").scalar())
    assert await rows.read(lambda c: c.exec_driver_sql("SELECT 1").scalar()) == 1
    await rows.close()
