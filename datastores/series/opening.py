"""Chooses the series by URL: `sqlite:///path` or `postgresql+asyncpg://…`, with or without TimescaleDB."""

from __future__ import annotations

from datastores.relational.opening import open_relational
from datastores.series.port import Series
from datastores.series.relational import RelationalSeries


def open_series(url: str, *, search_path: str = "series") -> Series:
    """The series for `url`, not yet open. `search_path` names a PostgreSQL schema.

    Errors: StoreUrlProblem, which never repeats the password.
    """
    return RelationalSeries(open_relational(url, search_path=search_path))
