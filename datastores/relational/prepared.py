"""Reads whose text is made once: a statement of SQLAlchemy Core, compiled, and then the driver's alone.

On SQLite, building, keying and adapting a statement costs ten times what SQLite takes to read a row by its
key. SQLAlchemy stays the source of the text and of what values become on their way in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Connection, Dialect, Row, Select, bindparam
from sqlalchemy.engine import result_tuple
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

TEXTS_MAX = 64
ROOM_ROUNDED_MAX = 8_192
"""Longer lists have a text for each length: SQLite takes no more than 32,766 values."""

Converter: TypeAlias = Callable[[Any], Any]
_Shape: TypeAlias = tuple[tuple[str, int], ...]
"""The lists among the parameters, by name, with how many places each has in the text."""


_Place: TypeAlias = tuple[str, int | None, Converter | None]
"""The value at one mark of a text: its name, for a list the place in it, and what it becomes."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement for one shape of its parameters; `constants` are values that it has itself."""

    sql: str
    places: tuple[_Place, ...]
    constants: Mapping[str, Any]
    converters: tuple[tuple[int, Converter], ...]
    row: Callable[[Any], Row[Any]]


class PreparedRead:
    """A SELECT that is read often; made once, when its module is loaded.

    Its values are `bindparam`s by name; one with `expanding=True` takes a list. Rows are as SQLAlchemy's own,
    by name and by place; not by column.
    """

    __slots__ = ("_statement", "_texts")

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._texts: dict[_Shape, _Text] = {}

    def rows(self, connection: Connection, **values: Any) -> Sequence[Row[Any]]:
        """All rows for these values.  Errors: those of the driver and of SQLAlchemy, which the port tells."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).all()
        shape = tuple((name, _room(value)) for name, value in values.items() if value.__class__ is list)
        text = self._texts.get(shape)
        if text is None:
            if len(self._texts) >= TEXTS_MAX:
                self._texts.clear()
            text = self._texts[shape] = _written(self._statement, connection.dialect, values, dict(shape))
        values |= text.constants
        found = driver_rows(connection, text.sql, [_value(place, values) for place in text.places])
        if text.converters:
            found = [_converted(row, text.converters) for row in found]
        return list(map(text.row, found))

    def scalar(self, connection: Connection, **values: Any) -> Any:
        """The first column of the first row; None where there is none."""
        found = self.rows(connection, **values)
        return found[0][0] if found else None


def driver_rows(connection: Connection, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    """All rows of a text that is in the driver's words already, with values and results as the driver's."""
    if connection.dialect.name != "sqlite":
        return connection.exec_driver_sql(sql, tuple(values)).all()
    driver: Any = connection.connection.driver_connection
    found: Sequence[Sequence[Any]] = driver.execute(sql, values).fetchall()
    return found


def _room(values: Sequence[Any]) -> int:
    """Places for a list: a power of two, so that lists of all lengths make few texts."""
    count = len(values)
    return count if not 1 < count <= ROOM_ROUNDED_MAX else 1 << (count - 1).bit_length()


def _value(place: _Place, values: Mapping[str, Any]) -> Any:
    name, at, convert = place
    value = values[name]
    if at is not None:
        value = value[at] if at < len(value) else value[-1]  # the last one again: it is in the list already
    return value if convert is None else convert(value)


def _converted(row: Sequence[Any], converters: Sequence[tuple[int, Converter]]) -> list[Any]:
    changed = list(row)
    for place, convert in converters:
        changed[place] = convert(changed[place])
    return changed


def listed(name: str) -> BindParameter[Any]:
    """The list `name` of a statement: `column.in_(listed("ids"))`."""
    return bindparam(name, expanding=True)


class _Mark:
    """Stands for one value while a text is written: tells which it was."""

    __slots__ = ("at", "name")

    def __init__(self, name: str, at: int | None) -> None:
        self.name = name
        self.at = at


def _written(
    statement: Select[Any], dialect: Dialect, values: Mapping[str, Any], room: Mapping[str, int]
) -> _Text:
    marks: dict[str, Any] = {
        name: [_Mark(name, at) for at in range(room[name])] if name in room else _Mark(name, None)
        for name in values
    }
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - a SELECT is never anything else
    state = compiled.construct_expanded_state(marks)
    places: list[_Place] = []
    constants: dict[str, Any] = {}
    for name in state.positiontup or ():
        stands = state.parameters[name]
        if isinstance(stands, _Mark):
            places.append((stands.name, stands.at, _bound(compiled.binds[stands.name].type, dialect)))
        else:
            constants[name] = stands
            places.append((name, None, _bound(compiled.binds[name].type, dialect)))
    columns = list(statement.selected_columns)
    read = ((at, _read(column.type, dialect)) for at, column in enumerate(columns))
    return _Text(
        sql=state.statement,
        places=tuple(places),
        constants=constants,
        converters=tuple((at, convert) for at, convert in read if convert is not None),
        row=result_tuple([str(column.key) for column in columns]),
    )


def _bound(of: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    """What a value becomes on its way to the driver."""
    return of.dialect_impl(dialect).bind_processor(dialect)


def _read(of: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    """What a value becomes that comes from the driver."""
    return of.dialect_impl(dialect).result_processor(dialect, None)
