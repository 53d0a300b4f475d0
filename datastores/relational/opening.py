"""Chooses the relational adapter by URL: `sqlite:///path` or `postgresql+asyncpg://…`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from datastores.config import StoreUrlProblem
from datastores.relational.port import Relational
from datastores.relational.postgresql_limits import PostgresqlLimits
from datastores.relational.sqlite import SqliteLimits, SqliteRelational


def open_relational(
    url: str,
    *,
    sqlite_limits: SqliteLimits | None = None,
    postgresql_limits: PostgresqlLimits | None = None,
    search_path: str | None = None,
) -> Relational:
    """The adapter for `url`, not yet connected: `await …open()` does that.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql+asyncpg://user:password@host/database`
    (`postgresql://` means the same). `search_path` names a PostgreSQL schema; SQLite ignores it.
    Errors: StoreUrlProblem, which never repeats the password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreUrlProblem("a store URL looks like `sqlite:///path` or `postgresql+asyncpg://…`") from None
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise StoreUrlProblem("`sqlite://` needs a path: `sqlite:///stadion.db`")
        return SqliteRelational(Path(parsed.database), limits=sqlite_limits)
    if parsed.drivername in ("postgresql", "postgresql+asyncpg"):
        from datastores.relational.postgresql import PostgresqlRelational

        server = parsed.set(drivername="postgresql+asyncpg")
        return PostgresqlRelational(server, limits=postgresql_limits, search_path=search_path)
    raise StoreUrlProblem(
        f"no relational adapter for `{parsed.drivername}://`: use `sqlite:///path` or `postgresql+asyncpg://…`"
    )
