"""The tables of the series as `migrations/` makes them, and what a dialect does in its own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.relational.schemas import Schema
from datastores.series.port import Points

_metadata = sa.MetaData()
names = sa.Table("series_names", _metadata, sa.Column("key", sa.Integer), sa.Column("name", sa.String))
samples = sa.Table(
    "series_samples",
    _metadata,
    sa.Column("key", sa.Integer),
    sa.Column("at_ms", sa.BigInteger),
    sa.Column("value", sa.Double),
)
rollups = sa.Table(
    "series_rollups",
    _metadata,
    *(sa.Column(name, sa.BigInteger) for name in ("width_ms", "key", "start_ms", "count")),
    *(sa.Column(name, sa.Double) for name in ("total", "low", "high")),
)
horizon = sa.Table(
    "series_horizon", _metadata, sa.Column("kept", sa.String), sa.Column("from_ms", sa.BigInteger)
)
SCHEMA = Schema(
    "series", Path(__file__).parent / "migrations", "series_version", (names, samples, rollups, horizon)
)
SAMPLES = "samples"
"""What the horizon calls them; rollups by their width."""
Span = tuple[int, int, int]
"""Key of the series, and the times from which and before which something has changed."""


class SeriesSql(Protocol):
    """What the two databases say differently. Each function is part of one transaction."""

    def take_turns(self, connection: Connection, series_names: Iterable[str]) -> None:
        """Let nobody else append to or forget these series, nor retain, before this transaction ends."""
        ...

    def retain_alone(self, connection: Connection) -> None:
        """Let nobody append before this transaction ends."""
        ...

    def insert(self, connection: Connection, columns: Mapping[int, Points]) -> None:
        """Put samples by key; at a moment that has one already the new value stays."""
        ...

    def known(self, connection: Connection, series_ids: Sequence[str]) -> tuple[int, dict[str, int]]:
        """From when on samples are kept, and the keys of those series that have one."""
        ...

    def roll_up(self, connection: Connection, spans: Mapping[int, Sequence[Span]]) -> None:
        """Sum up anew what has changed, by the width of rollups: those of the smallest out of samples, each
        other out of smaller ones."""
        ...

    def first_points(
        self, connection: Connection, series_ids: Sequence[str], start_ms: int, end_ms: int, limit: int
    ) -> Mapping[str, Points]:
        """The first `limit` samples in a range of each series; one that is not known may be left out."""
        ...

    def drop_samples(self, connection: Connection, before_ms: int) -> None:
        """Remove all samples before a time."""
        ...
