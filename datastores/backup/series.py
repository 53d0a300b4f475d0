"""Series into chunks and back: samples, rollups and what was let go, from one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from datastores.backup.lines import Advance, KeptStore
from datastores.backup.repository import Repository
from datastores.backup.tables import difference, keep_store, restore_store
from datastores.relational.port import Relational
from datastores.series.relational import RelationalSeries
from datastores.series.room import Room
from datastores.series.tables import SCHEMA


@dataclass(frozen=True, slots=True)
class CarriedSeries:
    """`Carried` of the open relational store of series, whose tables this program knows."""

    rows: Relational

    async def keep(self, repository: Repository, *, advance: Advance) -> KeptStore:
        """Everything, as one snapshot. Errors: SchemaBehind where the store was never used."""
        return await keep_store(self.rows, (SCHEMA,), repository, advance=advance)

    async def restore(self, kept: KeptStore, repository: Repository, *, advance: Advance) -> None:
        """Everything into an empty store, with partitions or a hypertable as that one has them."""
        room = Room(self.rows)
        await restore_store(self.rows, (SCHEMA,), kept, repository, advance=advance, prepare=room.make)

    async def difference(self, kept: KeptStore, repository: Repository) -> str:
        """The first table that is not as it was kept."""
        return await difference(self.rows, (SCHEMA,), kept)

    async def forget(self, people: Sequence[str]) -> None:
        """Remove what is theirs."""
        await RelationalSeries(self.rows).forget_people(people)

    async def clear(self) -> None:
        """Delete every row."""

        def work(connection: sa.Connection) -> None:
            for table in SCHEMA.tables:
                connection.execute(sa.delete(table))

        await self.rows.write(work)
