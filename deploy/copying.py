"""A laptop's data folder onto servers: rows, the vault with its keys, files. A graph or documents alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import Connection

from datastores.blobs.opening import open_blobs
from datastores.blobs.port import Blobs
from datastores.documents.opening import open_documents
from datastores.documents.port import PAGE_MAX, Document, Documents
from datastores.errors import StoreError
from datastores.folder import DataFolder
from datastores.graph.opening import open_graph
from datastores.graph.port import Graph, Pair
from datastores.lifecycle import opened
from datastores.relational.copying import Advance, TargetNotEmpty, copy_rows, finish_copy
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from deploy.backup import TIMEOUT_S, readable
from deploy.schemas import SCHEMAS
from deploy.settings import Region, Settings
from deploy.stores import stores_of

BLOB_BYTES_MAX = 5 * 1024**4
_PAIRS_PER_CALL = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Copied:
    """What the target has now, all of it compared with the source."""

    rows: int = 0
    files: int = 0
    edges: int = 0
    documents: int = 0


async def copy_folder(
    folder: Path,
    *,
    relational_url: str | None,
    vault_url: str | None,
    blobs_url: str | None,
    advance: Advance = lambda _name, _count: None,
) -> Copied:
    """The stores of a data folder, which no platform uses meanwhile, onto the servers that are named; what
    is not named stays. Begun again after a kill, it goes on where it was.

    Errors: Unavailable (folder in use), TargetNotEmpty, SchemaBehind, StoreError.
    """
    claim = DataFolder(folder)
    claim.claim()
    try:
        embedded = _embedded(folder)
        source = stores_of(embedded, timeout_s=TIMEOUT_S)
        urls = dict.fromkeys(SCHEMAS, relational_url) | {"medical": vault_url}
        moved = {name: url for name, url in urls.items() if url is not None}
        servers = embedded.model_copy(update=_named(relational_url, vault_url))
        target = stores_of(servers, timeout_s=TIMEOUT_S).rows()
        rows = 0
        async with (
            opened({name: source.rows()[name] for name in moved}),
            opened({f"the target of {name}": target[name] for name in moved}),
        ):
            for name in moved:
                rows += await copy_rows(
                    source.rows()[name], target[name], SCHEMAS[name], source_id=_id(folder), advance=advance
                )
            files = 0 if blobs_url is None else await _copy_files(folder, source.blobs, blobs_url, advance)
            for name in moved:
                await finish_copy(target[name])
        return Copied(rows=rows, files=files)
    finally:
        claim.release()


async def copy_store(
    source_url: str, target_url: str, *, advance: Advance = lambda _name, _count: None
) -> Copied:
    """One embedded store, of the graph or of documents, into another of its kind.

    Errors: StoreError where the source is neither; TargetNotEmpty; StoreError where they end up different.
    """
    rows = open_relational(source_url)
    async with opened({"the source": rows}):
        tables = await rows.read(lambda c: set(sa.inspect(c).get_table_names()))
        if "graph_friends" in tables:
            graph = open_graph(target_url)
            async with opened({"the target": graph}):
                return Copied(edges=await _copy_graph(rows, graph, advance))
        if "documents" in tables:
            documents = open_documents(target_url)
            async with opened({"the target": documents}):
                return Copied(documents=await _copy_documents(rows, source_url, documents, advance))
    raise StoreError(
        "the source is neither a graph nor documents: name a data folder, or one of their stores"
    )


def _embedded(folder: Path) -> Settings:
    """Settings of a folder alone, whatever the environment names."""
    urls = [name for name in Region.model_fields if name in Settings.model_fields]
    alone = {"regions": {}, "home_region": "", "region": ""}
    return Settings().model_copy(update={"data_folder": folder, **alone, **dict.fromkeys(urls)})


def _named(relational_url: str | None, vault_url: str | None) -> dict[str, SecretStr]:
    given = {"relational_url": relational_url, "vault_url": vault_url}
    return {name: SecretStr(url) for name, url in given.items() if url is not None}


def _id(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()


async def _copy_files(folder: Path, source: Blobs, url: str, advance: Advance) -> int:
    """Every file; its hash is compared with the one that the target acknowledged."""
    target = open_blobs(url)
    journal = _Journal(folder / f"COPY-{hashlib.sha256(url.encode()).hexdigest()[:16]}")
    async with readable(source), opened({"the target of files": target}):
        if not journal.begun and await _has_any(target):
            raise TargetNotEmpty("the target has files already: copy into an empty one")
        journal.begin()
        count = 0
        async for key in source.list_keys():
            count += 1
            if key not in journal.done:
                advance("files", await _copy_file(source, target, key))
                journal.note(key)
        journal.end()
    return count


async def _copy_file(source: Blobs, target: Blobs, key: str) -> int:
    digest = hashlib.sha256()

    async def content() -> AsyncIterator[bytes]:
        async for part in source.get(key):
            digest.update(part)
            yield part

    blob = await target.put(key, content(), size_bytes_max=BLOB_BYTES_MAX)
    if blob.sha256 != digest.hexdigest():
        raise StoreError(f"the file `{key}` did not arrive as it was: begin again")
    return blob.size_bytes


async def _has_any(blobs: Blobs) -> bool:
    async for _ in blobs.list_keys():
        return True
    return False


class _Journal:
    """Which files are copied, line by line beside the source; an unfinished last line counts as not done."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.begun = file.exists()
        text = file.read_text() if self.begun else ""
        self.done = set(text[: text.rfind("\n") + 1].splitlines())

    def begin(self) -> None:
        """Start over whole lines only."""
        self._file.write_text("".join(f"{key}\n" for key in sorted(self.done)))

    def note(self, key: str) -> None:
        """`key` is copied."""
        with self._file.open("a") as stream:
            stream.write(f"{key}\n")

    def end(self) -> None:
        """All are."""
        self._file.unlink()


async def _copy_graph(rows: Relational, target: Graph, advance: Advance) -> int:
    """Every edge. Adding one again is nothing, so a copy begun again begins at the start."""
    friends, blocks = await rows.read(lambda c: (_pairs(c, "graph_friends"), _pairs(c, "graph_blocks")))
    once = [pair for pair in friends if pair[0] < pair[1]]
    for some in _portions(once):
        await target.befriend(some)
        advance("friendships", len(some))
    for some in _portions(blocks):
        await target.block(some)
        advance("blocks", len(some))
    for ask, edges in ((target.friends, friends), (target.blocked_by, blocks)):
        wanted = _by_first(edges)
        for people in _portions(sorted(wanted)):
            found = await ask(people)
            if any(set(found[person]) != wanted[person] for person in people):
                raise TargetNotEmpty("the target has other edges of the same people: copy into an empty one")
    return len(once) + len(blocks)


def _pairs(connection: Connection, table: str) -> list[Pair]:
    return [(row[0], row[1]) for row in connection.execute(sa.text(f"SELECT * FROM {table}"))]  # noqa: S608


def _by_first(pairs: list[Pair]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for first, second in pairs:
        found.setdefault(first, set()).add(second)
    return found


def _portions(items: list[T]) -> list[list[T]]:
    return [items[at : at + _PAIRS_PER_CALL] for at in range(0, len(items), _PAIRS_PER_CALL)]


async def _copy_documents(rows: Relational, url: str, target: Documents, advance: Advance) -> int:
    """Every document, at version 1; one that is there already must be equal."""
    query = sa.text("SELECT DISTINCT collection FROM documents ORDER BY 1")
    collections = await rows.read(lambda c: list(c.execute(query).scalars()))
    count = 0
    async with _documents(url) as source:
        for collection in collections:
            after: str | None = None
            while page := await source.find(collection, after_id=after, limit=PAGE_MAX):
                after = page[-1].id
                there = await target.get(collection, [each.id for each in page])
                await target.insert(collection, [each for each in page if each.id not in there])
                _check_documents(page, await target.get(collection, [each.id for each in page]))
                count += len(page)
                advance(collection, len(page))
            if await target.count(collection) != await source.count(collection):
                raise TargetNotEmpty(
                    f"the target has other documents in `{collection}`: copy into an empty one"
                )
    return count


def _check_documents(page: tuple[Document, ...], there: Mapping[str, Document]) -> None:
    for each in page:
        found = there.get(each.id)
        if found is None or json.dumps(found.content, sort_keys=True) != json.dumps(
            each.content, sort_keys=True
        ):
            raise TargetNotEmpty("the target has another document under the same id: copy into an empty one")


@asynccontextmanager
async def _documents(url: str) -> AsyncIterator[Documents]:
    source = open_documents(url)
    async with opened({"the source": source}):
        yield source
