"""The graph in rows: adjacency in two tables, paths by a recursive query, on SQLite or PostgreSQL."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import Conflict
from datastores.graph.port import (
    EDGES_MAX,
    EdgeKind,
    Pair,
    Suggestion,
    check_bounds,
    check_edges,
    check_pairs,
)
from datastores.relational.columns import insert
from datastores.relational.migrate import migrate
from datastores.relational.one_moment import one_moment
from datastores.relational.port import Relational
from datastores.relational.schemas import Schema

# SQLite takes some thousands of bound values a statement; a pair is two.
_IDS_PER_STATEMENT = 500

_metadata = sa.MetaData()
_friends = sa.Table("graph_friends", _metadata, sa.Column("person"), sa.Column("friend"))
_blocks = sa.Table("graph_blocks", _metadata, sa.Column("blocker"), sa.Column("blocked"))
SCHEMA = Schema("graph", Path(__file__).parent / "migrations", "graph_version", (_friends, _blocks))


class RelationalGraph:
    """`Graph` on a relational store of its own, which it opens and closes."""

    def __init__(self, rows: Relational) -> None:
        self._rows = rows

    async def open(self) -> None:
        """Open the store and bring its tables up to date."""
        await self._rows.open()
        await migrate(self._rows, SCHEMA.scripts, SCHEMA.version_table)

    async def ready(self) -> None:
        """Raise Unavailable where the store cannot serve."""
        await self._rows.ready()

    async def close(self) -> None:
        """Close the store."""
        await self._rows.close()

    async def befriend(self, pairs: Sequence[Pair]) -> None:
        """Make friends of each pair, or of none: Conflict across a block."""
        check_pairs(pairs)
        await self._rows.write(lambda c: _befriend(c, pairs))

    async def unfriend(self, pairs: Sequence[Pair]) -> None:
        """End each friendship."""
        check_pairs(pairs)
        await self._rows.write(lambda c: _unfriend(c, pairs))

    async def block(self, pairs: Sequence[Pair]) -> None:
        """The first of each pair blocks the second."""
        check_pairs(pairs)

        def work(connection: Connection) -> None:
            _unfriend(connection, pairs)
            for blocker, blocked in pairs:
                row = insert(connection, _blocks).values(blocker=blocker, blocked=blocked)
                connection.execute(row.on_conflict_do_nothing())

        await self._rows.write(work)

    async def unblock(self, pairs: Sequence[Pair]) -> None:
        """The first of each pair blocks the second no longer."""
        check_pairs(pairs)

        def work(connection: Connection) -> None:
            for blocker, blocked in pairs:
                gone = (_blocks.c.blocker == blocker) & (_blocks.c.blocked == blocked)
                connection.execute(sa.delete(_blocks).where(gone))

        await self._rows.write(work)

    async def forget(self, ids: Sequence[str]) -> None:
        """Remove people with every edge that names them."""

        def work(connection: Connection) -> None:
            for some in _portions(ids):
                named = _friends.c.person.in_(some) | _friends.c.friend.in_(some)
                connection.execute(sa.delete(_friends).where(named))
                named = _blocks.c.blocker.in_(some) | _blocks.c.blocked.in_(some)
                connection.execute(sa.delete(_blocks).where(named))

        await self._rows.write(work)

    async def friends(self, ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The friends of each of `ids`."""
        return await self._rows.read(lambda c: _sorted_of(ids, _friends_of(c, ids)))

    async def blocked_by(self, ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Whom each of `ids` blocks."""

        def work(connection: Connection) -> Mapping[str, tuple[str, ...]]:
            found: dict[str, set[str]] = defaultdict(set)
            for some in _portions(ids):
                for row in connection.execute(sa.select(_blocks).where(_blocks.c.blocker.in_(some))):
                    found[row.blocker].add(row.blocked)
            return _sorted_of(ids, found)

        return await self._rows.read(work)

    async def mutuals(self, person: str, others: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The friends that `person` shares with each of `others`."""

        def work(connection: Connection) -> Mapping[str, tuple[str, ...]]:
            found = _friends_of(connection, [person, *others])
            return {other: tuple(sorted(found[person] & found[other])) for other in others}

        return await self._rows.read(work)

    async def shortest_path(self, start: str, end: str, *, hops_max: int = 4) -> tuple[str, ...] | None:
        """A shortest way along friendships of at most `hops_max` hops."""
        check_bounds(hops_max=hops_max)
        if start == end:
            return (start,)
        return await self._rows.read(lambda c: _path(c, start, end, hops_max))

    async def suggestions(self, person: str, *, limit: int = 20) -> tuple[Suggestion, ...]:
        """Friends of friends, the likeliest first."""
        check_bounds(limit=limit)
        return await self._rows.read(lambda c: _suggestions(c, person)[:limit])

    async def edges(
        self, kind: EdgeKind, *, after: Pair | None = None, limit: int = EDGES_MAX
    ) -> tuple[Pair, ...]:
        """The next friendships or blocks behind `after`, by the primary key."""
        check_edges(limit)
        table = _friends if kind == "friends" else _blocks
        first, second = table.columns
        query = sa.select(first, second).order_by(first, second).limit(limit)
        if kind == "friends":
            query = query.where(first < second)
        if after is not None:
            query = query.where((first > after[0]) | ((first == after[0]) & (second > after[1])))
        return await self._rows.read(lambda c: tuple((row[0], row[1]) for row in c.execute(query)))

    @asynccontextmanager
    async def one_moment(self) -> AsyncIterator[RelationalGraph]:
        """The graph as it was at one moment."""
        async with one_moment(self._rows) as rows:
            yield RelationalGraph(rows)


def _befriend(connection: Connection, pairs: Sequence[Pair]) -> None:
    both_ways = {pair for one, other in pairs for pair in ((one, other), (other, one))}
    for some in _portions(sorted({one for one, _ in both_ways})):
        found = connection.execute(sa.select(_blocks).where(_blocks.c.blocker.in_(some)))
        if any((row.blocker, row.blocked) in both_ways for row in found):
            raise Conflict("a friendship was refused: one of the two blocks the other")
    for person, friend in sorted(both_ways):
        row = insert(connection, _friends).values(person=person, friend=friend)
        connection.execute(row.on_conflict_do_nothing())


def _unfriend(connection: Connection, pairs: Sequence[Pair]) -> None:
    for one, other in pairs:
        there = (_friends.c.person == one) & (_friends.c.friend == other)
        back = (_friends.c.person == other) & (_friends.c.friend == one)
        connection.execute(sa.delete(_friends).where(there | back))


def _friends_of(connection: Connection, ids: Sequence[str]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for some in _portions(ids):
        for row in connection.execute(sa.select(_friends).where(_friends.c.person.in_(some))):
            found[row.person].add(row.friend)
    return found


def _shunned(connection: Connection, person: str) -> set[str]:
    """Who blocks `person` or is blocked by them."""
    either = (_blocks.c.blocker == person) | (_blocks.c.blocked == person)
    found = connection.execute(sa.select(_blocks).where(either)).all()
    return {row.blocked if row.blocker == person else row.blocker for row in found}


def _path(connection: Connection, start: str, end: str, hops_max: int) -> tuple[str, ...] | None:
    """Distances from `start` by a recursive query, then the way back from `end`, each step one nearer."""
    shunned = (
        sa.select(_blocks.c.blocked.label("id"))
        .where(_blocks.c.blocker == start)
        .union(sa.select(_blocks.c.blocker).where(_blocks.c.blocked == start))
    )
    first = sa.select(sa.literal(start, sa.String(64)).label("person"), sa.literal(0).label("hops"))
    # UNION, not UNION ALL: a person enters once a distance, so that circles cost nothing.
    reach = first.cte("reach", recursive=True)
    step = (
        sa.select(_friends.c.friend, reach.c.hops + 1)
        .join(reach, reach.c.person == _friends.c.person)
        .where(reach.c.hops < hops_max, _friends.c.friend.not_in(shunned))
    )
    reach = reach.union(step)
    query = sa.select(reach.c.person, sa.func.min(reach.c.hops)).group_by(reach.c.person)
    hops: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    if end not in hops:
        return None
    way = [end]
    while way[-1] != start:
        nearer = hops[way[-1]] - 1
        way.append(min(f for f in _friends_of(connection, [way[-1]])[way[-1]] if hops.get(f) == nearer))
    return tuple(reversed(way))


def _suggestions(connection: Connection, person: str) -> tuple[Suggestion, ...]:
    known = _friends_of(connection, [person])[person]
    circles = _friends_of(connection, sorted(known))
    left_out = known | _shunned(connection, person) | {person}
    shared: defaultdict[str, list[str]] = defaultdict(list)
    for friend in sorted(known):
        for other in circles[friend] - left_out:
            shared[other].append(friend)
    found = [
        # fsum: the same score in whatever order the friends come
        Suggestion(other, math.fsum(1 / math.log(len(circles[f])) for f in friends), len(friends))
        for other, friends in shared.items()
    ]
    return tuple(sorted(found, key=lambda s: (-round(s.score, 9), s.id)))


def _sorted_of(ids: Iterable[str], found: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {each: tuple(sorted(found.get(each, ()))) for each in ids}


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + _IDS_PER_STATEMENT] for at in range(0, len(ids), _IDS_PER_STATEMENT))
