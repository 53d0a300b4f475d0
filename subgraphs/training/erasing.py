"""What training does when a person is erased: activities, files and thresholds go, the files' bytes too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.events.port import Event
from subgraphs.training.edits import sweep_files
from subgraphs.training.events import ACTIVITY_DELETED, activity_event
from subgraphs.training.imports import blob_key
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import tables
from subgraphs.training.store.doomed import doom

CONSUMER = "training"
CONSUMED_TOPICS = ("user.erased",)


def consumer(ports: TrainingPorts) -> Callable[[Event], Awaitable[None]]:
    """The handler of `CONSUMED_TOPICS`. Idempotent: an event that comes again changes nothing."""

    async def handle(event: Event) -> None:
        user_id = str(event.payload["user_id"])
        await ports.relational.write(lambda connection: _erase(connection, ports, user_id))
        # Bytes that cannot be deleted now are by the next sweep.
        while await sweep_files(ports):
            pass

    return handle


def _erase(connection: Connection, ports: TrainingPorts, user_id: str) -> None:
    activities, files, thresholds = tables.activities, tables.files, tables.thresholds
    of_person = sa.select(activities.c.id).where(activities.c.athlete_id == user_id)
    ids = list(connection.execute(of_person).scalars())
    for part in tables.PARTS:
        connection.execute(sa.delete(part).where(part.c.activity_id.in_(of_person)))
    for sha256 in connection.execute(
        sa.select(files.c.sha256).where(files.c.athlete_id == user_id)
    ).scalars():
        doom(connection, blob_key(user_id, sha256))
    for table in (activities, files, thresholds):
        connection.execute(sa.delete(table).where(table.c.athlete_id == user_id))
    now = ports.clock()
    told = [activity_event(ACTIVITY_DELETED, activity_id=id_, athlete_id=user_id, at_utc=now) for id_ in ids]
    if told:
        ports.outbox.append(connection, told)
