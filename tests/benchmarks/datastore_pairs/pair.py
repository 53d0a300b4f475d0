"""What a row of `bench_datastores` is made of: a call of a port, and the same work by the driver below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from tests.servers.postgresql import NoPostgresql
from tests.servers.programs import ServerAbsent

ABSENT = (ServerAbsent, NoPostgresql)
Work = Callable[[], Awaitable[object]]


class Pair(NamedTuple):
    """One row: ours and the driver's, each doing `calls` calls in one go."""

    port: str
    adapter: str
    what: str
    calls: int
    ours: Work
    bare: Work


Opening = Callable[[Path], AbstractAsyncContextManager[list[Pair]]]

TABLE = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text))
ROWS = [{"id": number, "v": "x"} for number in range(1_000)]
ALL_ROWS = sa.select(TABLE)
ONE_ROW = sa.select(TABLE.c.id, TABLE.c.v).where(TABLE.c.id == sa.bindparam("id"))
UPDATE = "UPDATE t SET v = v WHERE id = 7"
MEAL = {"name": "oats", "kcal": 380, "tags": ["a", "b"], "by": {"id": "ann"}}
MEAL_IDS = [f"d{number:03}" for number in range(100)]


def times(count: int, work: Callable[[int], Awaitable[Any]]) -> Work:
    """`count` calls, one after the other."""

    async def run() -> None:
        for number in range(count):
            await work(number)

    return run
