"""The Neo4j adapter: the driver's own retries, typed errors, every text from `cypher.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from neo4j import AsyncGraphDatabase
from neo4j.exceptions import ClientError, ConstraintError, DriverError, Neo4jError, TransientError

from datastores.config import StoreUrlProblem
from datastores.errors import Conflict, Unavailable
from datastores.graph import cypher
from datastores.graph.port import (
    EDGES_MAX,
    EdgeKind,
    Pair,
    Suggestion,
    check_bounds,
    check_edges,
    check_pairs,
)

Statement = tuple[str, dict[str, Any]]
_SCHEMES = ("neo4j", "neo4j+s", "bolt", "bolt+s")


@dataclass(frozen=True, slots=True)
class Neo4jLimits:
    """Bounds of one client."""

    connections_max: int = 20
    connect_timeout_s: float = 3.0
    acquire_timeout_s: float = 5.0
    retry_first_s: float = 0.02
    retry_time_s: float = 10.0
    call_timeout_s: float = 20.0
    writes_at_once: int = 4


class Neo4jGraph:
    """`Graph` on a Neo4j server. `space` parts the deployments that share it."""

    def __init__(self, url: str, *, space: str = "stadion", limits: Neo4jLimits | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise StoreUrlProblem("a Neo4j URL looks like `neo4j://user:password@host:7687`")
        self._place = f"{parts.hostname}:{parts.port or 7687}"
        self._uri = f"{parts.scheme}://{self._place}"
        self._auth = (
            (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
        )
        self._space = space
        self._limits = limits or Neo4jLimits()
        self._driver: Any = None
        # Writers of one person wait for its lock anyway: in a queue here they cost the server nothing, and
        # leave connections to the readers.
        self._writing = asyncio.Semaphore(self._limits.writes_at_once)

    async def open(self) -> None:
        """Connect and make the constraint that keeps a person one node."""
        if self._driver is not None:
            return
        self._driver = AsyncGraphDatabase.driver(
            self._uri,
            auth=self._auth,
            max_connection_pool_size=self._limits.connections_max,
            connection_timeout=self._limits.connect_timeout_s,
            connection_acquisition_timeout=self._limits.acquire_timeout_s,
            max_transaction_retry_time=self._limits.retry_time_s,
            # The driver's own first pause of a second is long for two writers of one pair.
            initial_retry_delay=self._limits.retry_first_s,
            notifications_min_severity="OFF",
        )
        try:
            await self._write((cypher.CONSTRAINT, {}))
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Raise Unavailable where the server does not answer."""
        await self._read("RETURN 1 AS one")

    async def close(self) -> None:
        """Close the connections."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()

    async def befriend(self, pairs: Sequence[Pair]) -> None:
        """Make friends of each pair, or of none: Conflict across a block."""
        check_pairs(pairs)
        ordered = _ordered(pairs)

        async def work(transaction: Any) -> None:
            await _run(transaction, self._lock(pairs))
            answer = await transaction.run(cypher.BLOCKED_PAIRS, pairs=ordered, space=self._space)
            if (await answer.single())["count"]:
                raise Conflict("a friendship was refused: one of the two blocks the other")
            await _run(transaction, (cypher.BEFRIEND, {"pairs": ordered, "space": self._space}))

        await self._in_transaction("execute_write", work)

    async def unfriend(self, pairs: Sequence[Pair]) -> None:
        """End each friendship."""
        check_pairs(pairs)
        await self._write((cypher.UNFRIEND, {"pairs": _ordered(pairs)}))

    async def block(self, pairs: Sequence[Pair]) -> None:
        """The first of each pair blocks the second."""
        check_pairs(pairs)
        named = {"pairs": _listed(pairs)}
        await self._write(self._lock(pairs), (cypher.UNFRIEND, named), (cypher.BLOCK, named))

    async def unblock(self, pairs: Sequence[Pair]) -> None:
        """The first of each pair blocks the second no longer."""
        check_pairs(pairs)
        await self._write((cypher.UNBLOCK, {"pairs": _listed(pairs)}))

    async def forget(self, ids: Sequence[str]) -> None:
        """Remove people with every edge that names them."""
        await self._write((cypher.FORGET, {"ids": sorted(set(ids))}))

    async def friends(self, ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The friends of each of `ids`."""
        return _by_id(ids, await self._read(cypher.FRIENDS, ids=list(ids)))

    async def blocked_by(self, ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Whom each of `ids` blocks."""
        return _by_id(ids, await self._read(cypher.BLOCKED_BY, ids=list(ids)))

    async def mutuals(self, person: str, others: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The friends that `person` shares with each of `others`."""
        return _by_id(others, await self._read(cypher.MUTUALS, person=person, ids=list(others)))

    async def shortest_path(self, start: str, end: str, *, hops_max: int = 4) -> tuple[str, ...] | None:
        """A shortest way along friendships of at most `hops_max` hops."""
        check_bounds(hops_max=hops_max)
        if start == end:
            return (start,)
        found = await self._read(cypher.SHORTEST_PATH % hops_max, start=start, end=end)
        return tuple(found[0]["ids"]) if found else None

    async def suggestions(self, person: str, *, limit: int = 20) -> tuple[Suggestion, ...]:
        """Friends of friends, the likeliest first."""
        check_bounds(limit=limit)
        found = await self._read(cypher.SUGGESTIONS, person=person, limit=limit)
        return tuple(Suggestion(row["id"], row["score"], row["mutual_count"]) for row in found)

    async def edges(
        self, kind: EdgeKind, *, after: Pair | None = None, limit: int = EDGES_MAX
    ) -> tuple[Pair, ...]:
        """The next friendships or blocks behind `after`, by ids."""
        check_edges(limit)
        first, second = after or ("", "")
        text = cypher.ALL_FRIENDS if kind == "friends" else cypher.ALL_BLOCKS
        found = await self._read(text, first=first, second=second, limit=limit)
        return tuple((row["first"], row["second"]) for row in found)

    def one_moment(self) -> AbstractAsyncContextManager[None]:
        """None: its transactions read what others commit meanwhile."""
        return nullcontext()

    def _lock(self, pairs: Sequence[Pair]) -> Statement:
        return cypher.LOCK, {
            "ids": sorted({person for pair in pairs for person in pair}),
            "space": self._space,
        }

    async def _write(self, *statements: Statement) -> None:
        async def work(transaction: Any) -> None:
            for text, values in statements:
                await _run(transaction, (text, {"space": self._space, **values}))

        await self._in_transaction("execute_write", work)

    async def _read(self, text: str, **values: Any) -> list[Any]:
        async def work(transaction: Any) -> list[Any]:
            answer = await transaction.run(text, space=self._space, **values)
            return [record async for record in answer]

        found: list[Any] = await self._in_transaction("execute_read", work)
        return found

    async def _in_transaction(self, how: str, work: Any) -> Any:
        with self._typed_errors():
            async with asyncio.timeout(self._limits.call_timeout_s):
                async with self._writing if how == "execute_write" else nullcontext():
                    return await self._in_session(how, work)

    async def _in_session(self, how: str, work: Any) -> Any:
        if self._driver is None:
            raise Unavailable(f"the graph at `{self._place}` is not open")
        async with self._driver.session() as session:
            return await getattr(session, how)(work)

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except ConstraintError:
            raise Conflict("the graph refused a change: a rule of uniqueness does not hold") from None
        except (DriverError, TransientError, OSError, TimeoutError) as error:
            raise Unavailable(
                f"the graph at `{self._place}` is unavailable: {type(error).__name__}"
            ) from None
        except Neo4jError as error:
            if isinstance(error, ClientError) and "Security" not in (error.code or ""):
                raise  # a mistake in a text of ours
            raise Unavailable(f"the graph at `{self._place}` refuses: {error.code}") from None


async def _run(transaction: Any, statement: Statement) -> None:
    text, values = statement
    await (await transaction.run(text, **values)).consume()


def _listed(pairs: Sequence[Pair]) -> list[list[str]]:
    return [list(pair) for pair in pairs]


def _ordered(pairs: Sequence[Pair]) -> list[list[str]]:
    return [list(pair) for pair in sorted({(min(pair), max(pair)) for pair in pairs})]


def _by_id(ids: Sequence[str], records: list[Any]) -> dict[str, tuple[str, ...]]:
    found = {record["id"]: tuple(sorted(record["found"])) for record in records}
    return {each: found.get(each, ()) for each in ids}
