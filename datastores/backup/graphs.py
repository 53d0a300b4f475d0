"""A graph into chunks and back: friendships and blocks as rows, whatever keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from datastores.backup.errors import BackupDamaged
from datastores.backup.lines import (
    Advance,
    KeptStore,
    keep_rows,
    kept_pages,
    kept_steadily,
    sum_of_pages,
    told_difference,
)
from datastores.backup.repository import Repository
from datastores.graph.port import EDGES_MAX, EdgeKind, Graph, Pair
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.rows import Row, RowsSum, packed

KINDS: tuple[EdgeKind, ...] = ("friends", "blocks")


@dataclass(frozen=True, slots=True)
class CarriedGraph:
    """`Carried` of an open graph, as it was at one moment where its store has snapshots.

    Where it has none, it is read in pages until two passes agree. Blocks are read last and win in any case: a
    friendship across one ended meanwhile, and is not restored.
    """

    graph: Graph

    async def keep(self, repository: Repository, *, advance: Advance) -> KeptStore:
        """Every edge into chunks."""
        async with self.graph.one_moment() as then:
            if then is not None:
                return await _keep(then, repository, advance)
        return await kept_steadily(partial(_keep, self.graph, repository), advance=advance)

    async def restore(self, kept: KeptStore, repository: Repository, *, advance: Advance) -> None:
        """Every edge into the empty graph."""
        for kind in KINDS:
            if await self.graph.edges(kind, limit=1):
                raise TargetNotEmpty("the graph to restore into has edges: restore into an empty one")
        blocks = await _blocks(kept, repository)
        async for rows in kept_pages(repository, kept.table("friends")):
            await self.graph.befriend([pair for pair in _pairs(rows) if not _is_across(pair, blocks)])
            advance("friends", len(rows))
        async for rows in kept_pages(repository, kept.table("blocks")):
            await self.graph.block(_pairs(rows))
            advance("blocks", len(rows))
        if told := await self.difference(kept, repository):
            raise BackupDamaged(f"the graph does not hold what the backup has: {told}")

    async def difference(self, kept: KeptStore, repository: Repository) -> str:
        """The first kind of edges that is not as it was kept."""
        blocks = await _blocks(kept, repository)
        wanted = RowsSum()
        async for rows in kept_pages(repository, kept.table("friends")):
            for pair in _pairs(rows):
                if not _is_across(pair, blocks):
                    wanted.add(packed(pair))
        friends = await sum_of_pages(edge_pages(self.graph, "friends"))
        if told := told_difference("friends", friends, wanted.rows, wanted.digest):
            return told
        table = kept.table("blocks")
        found = await sum_of_pages(edge_pages(self.graph, "blocks"))
        return told_difference("blocks", found, table.rows, table.digest)

    async def forget(self, people: Sequence[str]) -> None:
        """Remove what is theirs."""
        await self.graph.forget(people)

    async def clear(self) -> None:
        """Forget everybody."""
        for kind in KINDS:
            while page := await self.graph.edges(kind):
                await self.graph.forget(sorted({person for pair in page for person in pair}))


async def _keep(graph: Graph, repository: Repository, advance: Advance) -> KeptStore:
    kept = [
        await keep_rows(kind, ("one", "other"), edge_pages(graph, kind), repository, advance=advance)
        for kind in KINDS
    ]
    return KeptStore({}, tuple(kept))


async def edge_pages(graph: Graph, kind: EdgeKind) -> AsyncIterator[Sequence[Pair]]:
    """All edges of a kind; a friendship with the smaller id first, whichever way the store tells it."""
    after: Pair | None = None
    while page := await graph.edges(kind, after=after):
        yield page if kind == "blocks" else [(min(pair), max(pair)) for pair in page]
        after = page[-1]
        if len(page) < EDGES_MAX:
            return


async def _blocks(kept: KeptStore, repository: Repository) -> set[Pair]:
    found: set[Pair] = set()
    async for rows in kept_pages(repository, kept.table("blocks")):
        found.update(_pairs(rows))
    return found


def _pairs(rows: Sequence[Row]) -> list[Pair]:
    return [(one, other) for one, other in rows]


def _is_across(pair: Pair, blocks: set[Pair]) -> bool:
    return pair in blocks or pair[::-1] in blocks
