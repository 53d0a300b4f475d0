"""Column types and statements that mean the same on SQLite and PostgreSQL; domains build tables of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Dialect, FromClause, String, Table, TypeDecorator
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

_OFFSET_LENGTH = len("+00:00")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, always timezone-aware UTC in Python.

    PostgreSQL: `timestamptz`. SQLite: sortable ISO text, because it has no type for instants.
    Errors: ValueError for a datetime without a zone.
    """

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The native type where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        value = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return value
        # Microseconds and a fixed width, whatever the year, so that text order is time order.
        return f"{value.isoformat(timespec='microseconds')[:-_OFFSET_LENGTH]}Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        # In a fiftieth of the time that `strptime` takes.
        return datetime.fromisoformat(value).astimezone(UTC)


def insert(connection: Connection, table: Table | FromClause) -> sqlite.Insert | postgresql.Insert:
    """An INSERT in this connection's dialect that knows `on_conflict_do_update` and `…_do_nothing`."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)  # type: ignore[arg-type]
    return sqlite.insert(table)  # type: ignore[arg-type]
