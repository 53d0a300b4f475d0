"""Room for samples that come as rows, from a backup or another store: partitions, where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datastores.relational.port import Relational
from datastores.series import postgresql
from datastores.series.tables import samples


class Room:
    """Makes the partitions that rows need, in an open store that has its tables; elsewhere nothing."""

    def __init__(self, rows: Relational) -> None:
        self._rows = rows
        self._partitioned: bool | None = None
        self._months: set[postgresql.Month] = set()

    async def make(self, table_name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """The partitions for `rows` of the table, whose values come in the order of `columns`."""
        if table_name != samples.name or not await self._is_partitioned():
            return
        place = list(columns).index(samples.c.at_ms.name)
        missing = {postgresql.month_of(row[place]) for row in rows} - self._months
        if missing:
            await self._rows.write(lambda c: postgresql.make_partitions(c, missing))
            self._months |= missing

    async def _is_partitioned(self) -> bool:
        if self._partitioned is None:
            dialect = self._rows.dialect
            self._partitioned = dialect == "postgresql" and await self._rows.read(postgresql.is_partitioned)
        return self._partitioned
