"""Revocations that outlive the process: no restart lets a revoked session back in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from authz.facts.tables import authz_revocations
from authz.identity.keys import Clock, now_utc
from authz.identity.revocation import (
    KEPT_LONGER,
    TOKEN_LIFETIME,
    Revocation,
    RevokedSessions,
    revocation_of,
)
from datastores.relational.columns import insert
from datastores.relational.port import Relational


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

    async def open(self) -> None:
        """Refuse again what an earlier process refused. Call it before the first token is verified."""
        since = self._clock() - self._kept_for
        for revocation in await self._relational.read(lambda connection: _kept(connection, since)):
            self._revoked.apply(revocation)

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
