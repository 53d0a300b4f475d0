"""Documents into chunks and back: one table a collection, each document with its version."""

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
from datastores.documents.port import PAGE_MAX, Document, Documents
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.rows import Row

_COLUMNS = ("id", "version", "content")


@dataclass(frozen=True, slots=True)
class CarriedDocuments:
    """`Carried` of open documents, as they were at one moment where their store has snapshots. Where it has
    none, they are read in pages until two passes agree; each document is as it was at one moment in any case.
    """

    documents: Documents

    async def keep(self, repository: Repository, *, advance: Advance) -> KeptStore:
        """Every document into chunks."""
        async with self.documents.one_moment() as then:
            if then is not None:
                return await _keep(then, repository, advance)
        return await kept_steadily(partial(_keep, self.documents, repository), advance=advance)

    async def restore(self, kept: KeptStore, repository: Repository, *, advance: Advance) -> None:
        """Every document into the empty store, at the version that it had."""
        if there := await self.documents.collections():
            raise TargetNotEmpty(
                f"the store to restore into has documents in `{there[0]}`: restore into an empty one"
            )
        for table in kept.tables:
            async for rows in kept_pages(repository, table):
                await self.documents.put_back(table.name, [_document(row) for row in rows])
                advance(table.name, len(rows))
        if told := await self.difference(kept, repository):
            raise BackupDamaged(f"the documents are not what the backup has: {told}")

    async def difference(self, kept: KeptStore, repository: Repository) -> str:
        """The first collection that is not as it was kept."""
        wanted = {table.name for table in kept.tables if table.rows}
        if others := set(await self.documents.collections()) - wanted:
            return f"`{min(others)}` is a collection that the backup has not"
        for table in kept.tables:
            found = await sum_of_pages(_row_pages(self.documents, table.name))
            if told := told_difference(table.name, found, table.rows, table.digest):
                return told
        return ""

    async def forget(self, people: Sequence[str]) -> None:
        """Remove what is theirs."""
        await self.documents.forget_people(people)

    async def clear(self) -> None:
        """Delete every document."""
        for name in await self.documents.collections():
            while page := await self.documents.find(name, limit=PAGE_MAX):
                await self.documents.delete(name, [each.id for each in page])


async def _keep(documents: Documents, repository: Repository, advance: Advance) -> KeptStore:
    kept = [
        await keep_rows(name, _COLUMNS, _row_pages(documents, name), repository, advance=advance)
        for name in await documents.collections()
    ]
    return KeptStore({}, tuple(kept))


async def document_pages(documents: Documents, collection: str) -> AsyncIterator[tuple[Document, ...]]:
    """All documents of a collection, by id."""
    after: str | None = None
    while page := await documents.find(collection, after_id=after, limit=PAGE_MAX):
        yield page
        after = page[-1].id


def as_row(document: Document) -> Row:
    """A document as a row."""
    return document.id, document.version, dict(document.content)


async def _row_pages(documents: Documents, collection: str) -> AsyncIterator[Sequence[Row]]:
    async for page in document_pages(documents, collection):
        yield [as_row(document) for document in page]


def _document(row: Row) -> Document:
    document_id, version, content = row
    return Document(document_id, content, version)
