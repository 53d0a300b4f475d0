"""One store of a laptop onto a server: series, a graph, documents; begun again after a kill, it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import sqlalchemy as sa

from datastores.backup.documents import as_row, document_pages
from datastores.backup.graphs import KINDS, edge_pages
from datastores.config import parse_store_url
from datastores.documents.opening import open_documents
from datastores.documents.port import Documents
from datastores.errors import StoreError
from datastores.graph.opening import open_graph
from datastores.graph.port import EdgeKind, Graph, Pair
from datastores.lifecycle import opened
from datastores.relational.copying import (
    Advance,
    TargetNotEmpty,
    copy_rows,
    finish_copy,
    is_begun,
    verify_rows,
)
from datastores.relational.opening import open_relational
from datastores.relational.rows import RowsSum, packed
from datastores.series.room import Room
from datastores.series.tables import SCHEMA as SERIES

_EDGES_PER_CALL = 200
_KIND_BY_TABLE = {"series_samples": "series", "graph_friends": "graph", "documents": "documents"}


@dataclass(frozen=True, slots=True)
class Copied:
    """What the target has now, all of it compared with the source."""

    rows: int = 0
    files: int = 0
    edges: int = 0
    documents: int = 0
    events: int = 0

    def plus(self, other: Copied) -> Copied:
        """Both."""
        sums = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Copied(**sums)


class Journal:
    """What a copy has begun or done, line by line beside the source; an unfinished last line was not."""

    def __init__(self, file: Path) -> None:
        self._file = file
        text = file.read_text() if file.exists() else ""
        self.done = set(text[: text.rfind("\n") + 1].splitlines())
        file.write_text("".join(f"{key}\n" for key in sorted(self.done)))

    def note(self, key: str) -> None:
        """`key` is begun, or done."""
        self.done.add(key)
        with self._file.open("a") as stream:
            stream.write(f"{key}\n")

    def end(self) -> None:
        """All is done."""
        self._file.unlink()


def journal_for(folder: Path, urls: Mapping[str, str]) -> Journal:
    """The journal of a copy from `folder`, or from stores in it, to these places."""
    place = "\n".join(f"{name} {url}" for name, url in sorted(urls.items()))
    return Journal(folder / f"COPY-{hashlib.sha256(place.encode()).hexdigest()[:16]}")


async def copy_store(
    source_url: str, target_url: str, *, advance: Advance = lambda _name, _count: None
) -> Copied:
    """One embedded store, of series, a graph or documents, into another of its kind.

    Errors: StoreError where the source is none of them, or they end up different; TargetNotEmpty.
    """
    rows = open_relational(source_url)
    async with opened({"the source": rows}):
        tables = await rows.read(lambda c: set(sa.inspect(c).get_table_names()))
    for table, name in _KIND_BY_TABLE.items():
        if table in tables:
            path = parse_store_url(source_url, schemes=("sqlite",)).path
            assert path is not None  # noqa: S101  # of SQLite there is one
            journal = journal_for(path.parent, {name: target_url})
            copied = await copy_one(name, source_url, target_url, journal, advance=advance)
            journal.end()
            return copied
    raise StoreError(
        "the source is neither series nor a graph nor documents: name a data folder, or one of their stores"
    )


async def copy_one(
    name: str, source_url: str, target_url: str, journal: Journal, *, advance: Advance
) -> Copied:
    """The store called `name`, in SQLite, into another of its kind.  Errors: as of `copy_store`."""
    if name == "series":
        return Copied(rows=await _copy_series(source_url, target_url, journal, advance))
    if name == "graph":
        source, target = open_graph(source_url), open_graph(target_url)
        async with opened({"the source": source, "the target": target}):
            return Copied(edges=await _copy_graph(source, target, journal, advance))
    here, there = open_documents(source_url), open_documents(target_url)
    async with opened({"the source": here, "the target": there}):
        return Copied(documents=await _copy_documents(here, there, journal, advance))


async def _copy_series(source_url: str, target_url: str, journal: Journal, advance: Advance) -> int:
    source = open_relational(source_url)
    target = open_relational(target_url, search_path="series")
    async with opened({"the source": source, "the target": target}):
        if "series" in journal.done and not await is_begun(target):
            return await verify_rows(source, target, (SERIES,))
        source_id = hashlib.sha256(source_url.encode()).hexdigest()
        room = Room(target)
        count = await copy_rows(
            source, target, (SERIES,), source_id=source_id, advance=advance, prepare=room.make
        )
        journal.note("series")
        await finish_copy(target)
    return count


async def _copy_graph(source: Graph, target: Graph, journal: Journal, advance: Advance) -> int:
    """Every edge that is not there yet, page by page."""
    if "graph" not in journal.done:
        if [pair for kind in KINDS for pair in await target.edges(kind, limit=1)]:
            raise TargetNotEmpty("the target has edges already: copy into an empty one")
        journal.note("graph")
    count = 0
    for kind in KINDS:
        async for page in edge_pages(source, kind):
            missing = await _missing(target, kind, page)
            for at in range(0, len(missing), _EDGES_PER_CALL):
                some = missing[at : at + _EDGES_PER_CALL]
                await (target.befriend(some) if kind == "friends" else target.block(some))
                advance(kind, len(some))
        wanted, found = await _sum_of_edges(source, kind), await _sum_of_edges(target, kind)
        if wanted != found:
            raise TargetNotEmpty(
                f"the target has {found.rows} {kind} and the source {wanted.rows}, or others: empty it"
            )
        count += found.rows
    return count


async def _missing(target: Graph, kind: EdgeKind, page: Sequence[Pair]) -> list[Pair]:
    people = sorted({one for one, _ in page})
    there = await (target.friends(people) if kind == "friends" else target.blocked_by(people))
    known = {one: set(others) for one, others in there.items()}
    return [(one, other) for one, other in page if other not in known[one]]


async def _sum_of_edges(graph: Graph, kind: EdgeKind) -> RowsSum:
    found = RowsSum()
    async for page in edge_pages(graph, kind):
        for pair in page:
            found.add(packed(pair))
    return found


async def _copy_documents(source: Documents, target: Documents, journal: Journal, advance: Advance) -> int:
    """Every document that is not there yet, at its version."""
    if "documents" not in journal.done:
        if there := await target.collections():
            raise TargetNotEmpty(f"the target has documents already, in `{there[0]}`: copy into an empty one")
        journal.note("documents")
    count = 0
    for collection in await source.collections():
        async for page in document_pages(source, collection):
            known = await target.get(collection, [each.id for each in page])
            missing = [each for each in page if each.id not in known]
            await target.put_back(collection, missing)
            advance(collection, len(missing))
        wanted, found = await _sum_of(source, collection), await _sum_of(target, collection)
        if wanted != found:
            raise TargetNotEmpty(
                f"the target has {found.rows} documents in `{collection}` and the source {wanted.rows}, or"
                " others: empty it"
            )
        count += found.rows
    return count


async def _sum_of(documents: Documents, collection: str) -> RowsSum:
    found = RowsSum()
    async for page in document_pages(documents, collection):
        for each in page:
            found.add(packed(as_row(each)))
    return found
