"""Revocations that outlive the process: no restart lets a revoked session back in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from authz.errors import FactInvalid
from authz.facts.tables import authz_revocations
from authz.identity.clock import Clock, now_utc
from authz.identity.revocation import (
    KEPT_LONGER,
    TOKEN_LIFETIME,
    Revocation,
    RevokedSessions,
    revocation_of,
)
from datastores.errors import StoreError
from datastores.events.port import Event
from datastores.relational.columns import insert
from datastores.relational.port import Relational

log = logging.getLogger("stadion.revocations")
LOOKED_AGAIN_S = 1.0
OVERLAP = timedelta(seconds=10)
"""Read again at each look: a revocation is kept a little after the moment that it names."""


class KeptRevocations:
    """Feeds a `RevokedSessions` and keeps what it feeds, in the store of `RelationalFacts`, for as long as a
    token lives. `RelationalFacts.open` makes the table, so it comes first.
    """

    def __init__(
        self,
        relational: Relational,
        revoked: RevokedSessions,
        *,
        lifetime: timedelta = TOKEN_LIFETIME,
        clock: Clock = now_utc,
    ) -> None:
        self._relational = relational
        self._revoked = revoked
        self._kept_for = lifetime + KEPT_LONGER
        self._clock = clock
        self._seen_until = clock() - self._kept_for

    async def open(self) -> None:
        """Refuse again what an earlier process refused. Call it before the first token is verified."""
        self._seen_until = self._clock()
        since = self._seen_until - self._kept_for
        for revocation in await self._relational.read(lambda connection: _kept(connection, since)):
            self._revoked.apply(revocation)

    async def renew(self) -> None:
        """Refuse what other processes have kept since the last look.  Errors: Unavailable."""
        now = self._clock()
        for revocation in await self.since(self._seen_until - OVERLAP):
            self._revoked.apply(revocation)
        self._seen_until = now

    def hear(self, payload: Mapping[str, Any]) -> None:
        """Refuse at once what an event names that another process keeps.  Errors: FactInvalid."""
        self._revoked.apply_event(payload)

    async def since(self, since_utc: datetime) -> list[Revocation]:
        """What is kept of the revocations after that moment, the oldest first, at most a token's lifetime of
        them.  Errors: Unavailable."""
        since = max(since_utc, self._clock() - self._kept_for)
        return await self._relational.read(lambda connection: _kept(connection, since))

    async def apply_event(self, payload: Mapping[str, Any]) -> None:
        """Take one event of `session.revoked`; it counts at once, and is kept when this returns.

        Errors: FactInvalid; Unavailable, after which the event is to be given again.
        """
        revocation = revocation_of(payload)
        self._revoked.apply(revocation)
        since = self._clock() - self._kept_for
        await self._relational.write(lambda connection: _keep(connection, revocation, since))


async def follow(
    changes: AsyncIterator[Event], kept: KeptRevocations, *, every_s: float = LOOKED_AGAIN_S
) -> None:
    """Refuse what other processes were told to: as each event arrives, and once more every `every_s`, for
    live events may be lost. Each of several processes needs this: a durable consumer's events go to one."""
    looking = asyncio.create_task(_look_again(kept, every_s))
    try:
        async for event in changes:
            try:
                kept.hear(event.payload)
            except FactInvalid as error:
                log.error("a revocation was not understood: %s", error)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look_again(kept: KeptRevocations, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await kept.renew()
        except StoreError as error:
            log.warning("revocations of other processes could not be read: %s", error)


def _kept(connection: Connection, since: datetime) -> list[Revocation]:
    columns = authz_revocations.c
    newest_last = (
        select(authz_revocations).where(columns.revoked_at_utc > since).order_by(columns.revoked_at_utc)
    )
    return [
        Revocation(row.kind, row.revoked_id, row.revoked_at_utc) for row in connection.execute(newest_last)
    ]


def _keep(connection: Connection, revocation: Revocation, since: datetime) -> None:
    connection.execute(delete(authz_revocations).where(authz_revocations.c.revoked_at_utc <= since))
    statement = insert(connection, authz_revocations).values(
        kind=revocation.kind,
        revoked_id=revocation.revoked_id,
        revoked_at_utc=revocation.revoked_at_utc,
    )
    later = authz_revocations.c.revoked_at_utc < statement.excluded.revoked_at_utc
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "revoked_id"],
            set_={"revoked_at_utc": statement.excluded.revoked_at_utc},
            where=later,
        )
    )
