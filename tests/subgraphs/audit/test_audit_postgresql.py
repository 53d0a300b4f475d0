"""The chain on PostgreSQL: appended by several at once, refused to be changed, sound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from subgraphs.audit import store
from tests.kit_subgraphs.audit import event_of, open_office, touched
from tests.kit_subgraphs.stores import open_postgresql, postgresql_server


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


async def test_appends_at_once_make_one_sound_chain_that_nothing_may_change(server_url: str) -> None:
    async with open_postgresql(server_url) as relational:
        office = await open_office(relational)
        events = [event_of(*(touched(f"owner-{i}-{j}") for j in range(15))) for i in range(8)]
        await asyncio.gather(*(office.take(event) for event in (*events, *events)))
        report = await relational.read(lambda c: store.check_chain(c, office.log.seal))
        assert (report.records, report.checkpoints, report.damages) == (120, 1, ())
        for statement in ("UPDATE audit_records SET rule = 'x'", "DELETE FROM audit_records"):

            def work(connection: Connection, statement: str = statement) -> None:
                connection.execute(text(statement))

            with pytest.raises(Exception, match="append-only"):
                await relational.write(work)
        assert await office.damages() == []
