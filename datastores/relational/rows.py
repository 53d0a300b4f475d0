"""Rows in a form of their own: read from one database, carried, checked and written into another.

The form is the same for SQLite and PostgreSQL: one JSON array a row, values tagged where JSON has no type.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection, Table, text

from datastores.errors import StoreError
from datastores.relational.schemas import Schema

ROWS_PER_PAGE = 500
_DIGEST_BITS = 256
Row = tuple[Any, ...]


@dataclass(slots=True)
class RowsSum:
    """How many rows, and a digest that does not depend on their order: the sum of their SHA-256.

    It finds damage and loss; it is no signature.
    """

    rows: int = 0
    total: int = 0

    def add(self, packed: bytes) -> None:
        """Count one packed row."""
        self.rows += 1
        hashed = int.from_bytes(hashlib.sha256(packed).digest(), "big")
        self.total = (self.total + hashed) % (1 << _DIGEST_BITS)

    @property
    def digest(self) -> str:
        """64 hex digits."""
        return f"{self.total:064x}"


def tables_of(connection: Connection, schemas: Sequence[Schema]) -> list[Table]:
    """The tables of `schemas` as they are in this database, a table behind those that it refers to.

    Where the program says what a column means (an instant, JSON), that holds; else what the database says.
    """
    declared = {table.name: table for schema in schemas for table in schema.tables}
    reflected = sa.MetaData()
    present = set(sa.inspect(connection).get_table_names())
    reflected.reflect(connection, only=sorted(present & set(declared)))
    return [_typed(table, declared[table.name]) for table in reflected.sorted_tables]


def read_pages(connection: Connection, table: Table, *, after: Row | None = None) -> Iterator[list[Row]]:
    """All rows behind the key `after`, by primary key, at most 500 at a time."""
    while page := read_page(connection, table, after=after):
        yield page
        if len(page) < ROWS_PER_PAGE:
            return
        after = key_of(table, page[-1])


def read_page(connection: Connection, table: Table, *, after: Row | None = None) -> list[Row]:
    """The next rows behind the key `after`, by primary key, at most 500."""
    key = list(table.primary_key.columns)
    if not key:
        raise StoreError(f"the table `{table.name}` has no primary key: it cannot be carried")
    query = sa.select(table).order_by(*key).limit(ROWS_PER_PAGE)
    if after is not None:
        query = query.where(_behind(key, after))
    return [tuple(row) for row in connection.execute(query)]


def key_of(table: Table, row: Row) -> Row:
    """The primary key of a row of `table`."""
    columns = list(table.columns)
    return tuple(row[columns.index(column)] for column in table.primary_key.columns)


def write_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert `rows`, whose values come in the order of `columns`."""
    unknown = set(columns) - {column.name for column in table.columns}
    if unknown:
        raise StoreError(
            f"`{table.name}` has no column `{min(unknown)}`: migrate to the revision of the rows"
        )
    if rows:
        connection.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])


def is_empty(connection: Connection, schemas: Sequence[Schema]) -> bool:
    """Whether no table of `schemas` has a row."""
    return not any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in tables_of(connection, schemas)
    )


def sum_of(connection: Connection, table: Table, columns: Sequence[str]) -> RowsSum:
    """Count and digest of the table's rows, by the columns in that order."""
    order = [list(table.columns.keys()).index(name) for name in columns]
    found = RowsSum()
    for page in read_pages(connection, table):
        for row in page:
            found.add(packed([row[place] for place in order]))
    return found


def packed(row: Iterable[Any]) -> bytes:
    """One row as one line without its end. Equal rows give equal bytes, whatever database they come from."""
    try:
        return orjson.dumps([_tagged(value) for value in row], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise StoreError("a row holds a value that JSON cannot tell exactly") from None


def unpacked(line: bytes) -> Row:
    """The row of a line.  Errors: StoreError for anything that `packed` does not write."""
    try:
        return tuple(_untagged(value) for value in orjson.loads(line))
    except (ValueError, TypeError, KeyError):
        raise StoreError("a line of rows is damaged") from None


def sequence_of(connection: Connection, table: Table) -> int | None:
    """The last number that the database gave to a row of `table` by itself; None where it gives none.

    It is more than the largest that is there, once the newest rows are deleted: a copy that began again
    lower would give numbers twice.
    """
    column = _numbered(table)
    if column is None:
        return None
    if connection.dialect.name == "sqlite":
        if not _remembers_its_last(connection, table):
            return connection.execute(sa.select(sa.func.max(table.columns[column.name]))).scalar()
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return connection.execute(query, {"name": table.name}).scalar()
    sequence = _sequence(connection, table, column)
    if sequence is None:
        return None
    row = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608
    return int(row.last_value) if row.is_called else 0


def set_sequence(connection: Connection, table: Table, last: int | None) -> None:
    """Give the next row of `table` a number above `last`."""
    column = _numbered(table)
    if column is None or not last:
        return
    if connection.dialect.name == "sqlite":
        if not _remembers_its_last(connection, table):
            return
        given = {"name": table.name, "last": last}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), given)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), given)
        return
    sequence = _sequence(connection, table, column)
    if sequence is not None:
        connection.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def _typed(found: Table, declared: Table) -> Table:
    types = {column.name: column.type for column in declared.columns}
    columns: list[sa.Column[Any]] = []
    for column in found.columns:
        kind = types.get(column.name, column.type)
        if isinstance(kind, sa.types.NullType):
            kind = column.type
        # A number that the database gives is written like any other value here.
        copied = sa.Column(column.name, kind, primary_key=column.primary_key, autoincrement=False)
        columns.append(copied)
    return sa.Table(found.name, sa.MetaData(), *columns)


def _behind(key: Sequence[sa.Column[Any]], after: Row) -> sa.ColumnElement[bool]:
    """Rows whose key comes after: as a row value, which an index finds at once however long a key's own
    rows are. Each value by its column's own conversion."""
    values = [sa.literal(value, column.type) for column, value in zip(key, after, strict=True)]
    return sa.tuple_(*key) > sa.tuple_(*values)


def _numbered(table: Table) -> sa.Column[Any] | None:
    key = list(table.primary_key.columns)
    return key[0] if len(key) == 1 and isinstance(key[0].type, sa.Integer) else None


def _remembers_its_last(connection: Connection, table: Table) -> bool:
    """Whether SQLite never gives a number of this table twice, rather than one above the largest there."""
    query = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    return "AUTOINCREMENT" in str(connection.execute(query, {"name": table.name}).scalar() or "").upper()


def _sequence(connection: Connection, table: Table, column: sa.Column[Any]) -> str | None:
    query = text("SELECT pg_get_serial_sequence(:name, :column)")
    given = {"name": table.name, "column": column.name}
    found: str | None = connection.execute(query, given).scalar()
    return found


_UNTAGGED: dict[str, Callable[[Any], Any]] = {
    "b": lambda value: base64.b64decode(value, validate=True),
    "t": datetime.fromisoformat,
    "d": date.fromisoformat,
    "j": lambda value: value,
    "f": float,
}


def _tagged(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"f": str(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"t": value.astimezone(UTC).isoformat(timespec="microseconds")}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    if isinstance(value, dict | list):
        return {"j": value}
    raise TypeError(type(value).__name__)


def _untagged(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    [(tag, inner)] = value.items()
    return _UNTAGGED[tag](inner)
