"""A prepared read gives what the same statement gives by SQLAlchemy, on every relational store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError

from datastores.errors import Conflict
from datastores.relational import prepared
from datastores.relational.columns import UtcDateTime
from datastores.relational.port import Relational
from datastores.relational.prepared import PreparedRead, listed

pytestmark = pytest.mark.port("relational")
NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ROWS = 40

things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at_utc", UtcDateTime()),
    sa.Column("day", sa.Date()),
    sa.Column("payload", sa.JSON()),
    sa.Column("kept", sa.Boolean()),
    sa.Column("size", sa.Float()),
    sa.Column("sealed", sa.LargeBinary()),
)
CHOSEN = sa.select(things).where(things.c.id.in_(listed("ids"))).order_by(things.c.id)
STATEMENTS: dict[str, sa.Select[Any]] = {
    "a list": CHOSEN,
    "two lists": CHOSEN.where(things.c.size.in_(listed("sizes"))),
    "an instant, a limit and a constant": CHOSEN.where(
        things.c.at_utc >= sa.bindparam("since"), things.c.size < 9.5, things.c.kept.is_(True)
    ).limit(sa.bindparam("limit")),
    "a day": CHOSEN.where(things.c.day == sa.bindparam("day")),
    "one value twice": CHOSEN.where(
        sa.or_(things.c.size > sa.bindparam("size"), things.c.size < sa.bindparam("size"))
    ),
    "a label": sa.select(
        things.c.kept, sa.func.count().label("how_many"), sa.func.max(things.c.at_utc).label("last")
    )
    .where(things.c.id.in_(listed("ids")))
    .group_by(things.c.kept)
    .order_by(things.c.kept),
}


def row(number: int) -> dict[str, Any]:
    return {
        "id": f"t{number:03}",
        "at_utc": None if number == 3 else NOW + timedelta(hours=number),
        "day": date(2026, 3, 1 + number % 2),
        "payload": None if number == 4 else {"of": [number, None]},
        "kept": None if number == 5 else number % 2 == 0,
        "size": number / 4,
        "sealed": bytes([number]),
    }


@pytest.fixture
async def filled(store: Relational) -> Relational:
    await store.write(things.create)
    await store.write(lambda c: c.execute(sa.insert(things), [row(number) for number in range(ROWS)]))
    return store


def values_for(statement: sa.Select[Any], ids: Sequence[str]) -> dict[str, Any]:
    values = {"ids": list(ids), "sizes": [1.0, 2.5], "since": NOW + timedelta(hours=2), "limit": 5}
    values |= {"day": date(2026, 3, 2), "size": 3.0}
    return {name: values[name] for name in statement.compile().params if name in values}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, ROWS])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_rows_and_their_names_are_sqlalchemys(filled: Relational, name: str, count: int) -> None:
    statement = STATEMENTS[name]
    read = PreparedRead(statement)

    def both(connection: Connection, ids: Sequence[str]) -> tuple[list[Any], list[Any]]:
        values = values_for(statement, ids)
        return [*read.rows(connection, **values)], [*connection.execute(statement, values)]

    ids = [f"t{number:03}" for number in range(count)]
    for asked in (ids, ids[::-1], [f"{each}?" for each in ids]):
        ours, theirs = await filled.read(lambda c, asked=asked: both(c, asked))  # type: ignore[misc]
        assert [tuple(each) for each in ours] == [tuple(each) for each in theirs]
        assert [dict(each._mapping) for each in ours] == [dict(each._mapping) for each in theirs]
        if ours:
            assert [getattr(ours[0], key) for key in ours[0]._fields] == list(theirs[0])


async def test_a_scalar_is_the_first_value_or_none(filled: Relational) -> None:
    read = PreparedRead(sa.select(things.c.size).where(things.c.id == sa.bindparam("id")))
    assert await filled.read(lambda c: read.scalar(c, id="t008")) == 2.0
    assert await filled.read(lambda c: read.scalar(c, id="nobody")) is None


async def test_a_value_of_the_wrong_kind_or_a_missing_one_is_refused_as_ever(filled: Relational) -> None:
    read = PreparedRead(STATEMENTS["an instant, a limit and a constant"])
    naive = {"ids": ["t001"], "since": NOW.replace(tzinfo=None), "limit": 1}
    with pytest.raises(Exception, match="time zone"):
        await filled.read(lambda c: read.rows(c, **naive))
    with pytest.raises((InvalidRequestError, sa.exc.StatementError), match="required"):
        await filled.read(lambda c: PreparedRead(CHOSEN).rows(c))


async def test_a_prepared_read_sees_what_its_own_transaction_wrote(filled: Relational) -> None:
    read = PreparedRead(CHOSEN)

    def work(connection: Connection) -> int:
        connection.execute(sa.insert(things).values(row(ROWS)))
        found = len(read.rows(connection, ids=[f"t{ROWS:03}"]))
        connection.execute(sa.insert(things).values(row(ROWS)))
        return found

    with pytest.raises(Conflict):
        await filled.write(work)
    assert not await filled.read(lambda c: read.rows(c, ids=[f"t{ROWS:03}"]))


async def test_lists_of_all_lengths_make_few_texts_and_no_more_than_are_kept(
    filled: Relational, monkeypatch: pytest.MonkeyPatch
) -> None:
    if filled.dialect != "sqlite":
        pytest.skip("texts are SQLAlchemy's there")
    read = PreparedRead(CHOSEN)
    everybody = [f"t{number:03}" for number in range(ROWS)]

    def each_length(connection: Connection) -> list[int]:
        return [len(read.rows(connection, ids=everybody[:count])) for count in range(ROWS + 1)]

    assert await filled.read(each_length) == list(range(ROWS + 1))
    assert len(read._texts) == 8  # none, 1, 2, 4, 8, 16, 32, 64
    monkeypatch.setattr(prepared, "ROOM_ROUNDED_MAX", 0)
    monkeypatch.setattr(prepared, "TEXTS_MAX", 10)
    assert await filled.read(each_length) == list(range(ROWS + 1))
    assert len(read._texts) <= 10
