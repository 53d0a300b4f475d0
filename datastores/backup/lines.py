"""Rows of any store as lines in chunks, and out of them again; counted and hashed on the way."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from datastores.backup.errors import BackupDamaged
from datastores.backup.repository import Repository
from datastores.relational.rows import ROWS_PER_PAGE, Row, RowsSum, packed, unpacked

log = logging.getLogger(__name__)

PASSES_MAX = 4
Advance = Callable[[str, int], None]
"""Told the name of a part, and how many rows or bytes of it are done since the last call."""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """One table of a backup, or what is like one: a collection, a kind of edges.

    `sequence` is the last number that the database gave out itself.
    """

    name: str
    columns: tuple[str, ...]
    rows: int
    digest: str
    size_bytes: int
    sequence: int | None
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptStore:
    """A store of a backup: the revision of each schema, and its tables, each behind those it refers to."""

    revisions: dict[str, str]
    tables: tuple[KeptTable, ...]

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(table.rows for table in self.tables)

    def table(self, name: str) -> KeptTable:
        """One table.  Errors: BackupDamaged where the backup has none of that name."""
        for each in self.tables:
            if each.name == name:
                return each
        raise BackupDamaged(f"the backup has no `{name}`, which a backup of its kind has")


class Carried(Protocol):
    """A store that a backup holds, whatever it is made of. It is open."""

    async def keep(self, repository: Repository, *, advance: Advance) -> KeptStore:
        """Everything in the store, which may be busy, into chunks."""
        ...

    async def restore(self, kept: KeptStore, repository: Repository, *, advance: Advance) -> None:
        """Fill the empty store with what was kept, and check it.

        Errors: TargetNotEmpty; BackupDamaged, after which what was written so far is to be thrown away.
        """
        ...

    async def difference(self, kept: KeptStore, repository: Repository) -> str:
        """What the store holds otherwise than it was kept; empty where nothing is."""
        ...

    async def forget(self, people: Sequence[str]) -> None:
        """Remove what it keeps of people who were erased after it was kept."""
        ...

    async def clear(self) -> None:
        """Remove everything, as a drill does where it restored."""
        ...


async def kept_steadily(keep: Callable[[Advance], Awaitable[KeptStore]], *, advance: Advance) -> KeptStore:
    """What `keep` keeps, of a store that is read in pages beside its writers: until it is twice the same.

    What two passes found was there in between, all of it at once, but for what went and came back unseen. A
    store that is written to during each of the passes is kept as the last one found it, and that is logged.
    """
    kept = await keep(advance)
    for _ in range(PASSES_MAX - 1):
        again = await keep(lambda _name, _rows: None)
        if again == kept:
            return kept
        kept = again
    log.warning(
        "a store was written to during each of %d passes: its backup is not of one moment", PASSES_MAX
    )
    return kept


async def keep_rows(
    name: str,
    columns: tuple[str, ...],
    pages: AsyncIterable[Sequence[Row]],
    repository: Repository,
    *,
    advance: Advance,
) -> KeptTable:
    """All rows of `pages` into chunks."""
    stream, found = repository.stream(), RowsSum()
    async for page in pages:
        lines = [packed(row) for row in page]
        for line in lines:
            found.add(line)
        if lines:
            await stream.feed(b"\n".join(lines) + b"\n")
        advance(name, len(page))
    chunks = await stream.end()
    return KeptTable(name, columns, found.rows, found.digest, stream.bytes_whole, None, tuple(chunks))


async def kept_pages(repository: Repository, kept: KeptTable) -> AsyncIterator[list[Row]]:
    """The rows of `kept`, at most 500 at a time.

    Errors: BackupDamaged, also behind the last one, where they are not those that the backup counted.
    """
    rows: list[Row] = []
    found, begun = RowsSum(), b""
    async for chunk in repository.chunks(kept.chunks):
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            found.add(line)
            rows.append(unpacked(line))
        while len(rows) >= ROWS_PER_PAGE:
            yield rows[:ROWS_PER_PAGE]
            rows = rows[ROWS_PER_PAGE:]
    if begun:
        raise BackupDamaged("a table of the backup breaks off within a row")
    if rows:
        yield rows
    if (found.rows, found.digest) != (kept.rows, kept.digest):
        raise BackupDamaged(f"the rows of `{kept.name}` are not those that the backup counted")


async def sum_of_pages(pages: AsyncIterable[Sequence[Row]]) -> RowsSum:
    """Count and digest of rows."""
    found = RowsSum()
    async for page in pages:
        for row in page:
            found.add(packed(row))
    return found


def told_difference(name: str, found: RowsSum, rows: int, digest: str) -> str:
    """One sentence where `found` is not what was kept; empty where it is."""
    if (found.rows, found.digest) == (rows, digest):
        return ""
    return f"`{name}` has {found.rows} rows, the backup has {rows}, or other content"
