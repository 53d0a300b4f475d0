"""Breaking the glass: a grant with a reason and an end, told to the patient, judged by somebody else.

Each change is checked, stored and told of in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection

from datastores.errors import NotFound
from datastores.events.outbox import time_ordered_id
from datastores.events.port import Outbox
from datastores.vault.port import Vault
from subgraphs.medical import emergency_store as rows
from subgraphs.medical.emergency_store import Place, SealedGrant
from subgraphs.medical.events import break_glass_reviewed, break_glass_used, relationship_changed
from subgraphs.medical.model import (
    ERASED_MESSAGE,
    GRANTS_PER_DAY_MAX,
    BreakGlassGrant,
    Review,
    ReviewOutcome,
    RuleBroken,
    checked_care,
    checked_emergency,
)

_DAY = timedelta(hours=24)


class Emergencies:
    """The writing side, and readers that open what is sealed."""

    def __init__(self, vault: Vault, outbox: Outbox) -> None:
        self._vault = vault
        self._outbox = outbox

    async def open(
        self, patient_id: str, clinician_id: str, *, reason: str, minutes: int, now_utc: datetime
    ) -> BreakGlassGrant:
        """Open somebody's record for so many minutes.  Errors: RuleBroken."""
        checked_care(patient_id, clinician_id)
        checked_emergency(reason, minutes)
        grant = BreakGlassGrant(
            time_ordered_id(now_utc), patient_id, clinician_id, None, reason,
            now_utc, now_utc + timedelta(minutes=minutes), version=1,
        )  # fmt: skip
        sealed = await self._seal(patient_id, rows.reason_context(grant.id), reason)

        def work(connection: Connection) -> BreakGlassGrant:
            if rows.open_grant(connection, patient_id, clinician_id, now_utc=now_utc) is not None:
                raise RuleBroken("ALREADY_OPEN", "this record is open to you already")
            if rows.count_since(connection, clinician_id, now_utc - _DAY) >= GRANTS_PER_DAY_MAX:
                raise RuleBroken(
                    "TOO_MANY_EMERGENCIES", f"{GRANTS_PER_DAY_MAX} records were opened within a day"
                )
            version = rows.next_version(connection, patient_id, clinician_id)
            opened = replace(grant, version=version)
            rows.add(connection, opened, sealed_reason=sealed)
            self._tell(connection, opened, now_utc)
            return opened

        return await self._vault.write(work)

    async def confirm(self, grant: BreakGlassGrant, second_id: str, *, now_utc: datetime) -> BreakGlassGrant:
        """A second clinician stands by the first: what is restricted opens too.  Errors: RuleBroken."""
        if grant.involves(second_id):
            raise RuleBroken("SECOND_CLINICIAN", "another clinician must confirm this emergency")

        def work(connection: Connection) -> BreakGlassGrant:
            known = self._in_force(connection, grant.id, now_utc)
            if known.second_clinician_id is not None:
                raise RuleBroken("ALREADY_CONFIRMED", "this emergency was confirmed before")
            return self._changed(connection, replace(known, second_clinician_id=second_id), now_utc)

        return replace(await self._vault.write(work), reason=grant.reason)

    async def end(self, grant: BreakGlassGrant, *, now_utc: datetime) -> BreakGlassGrant:
        """Shut the record again before its time.  Errors: RuleBroken where it is shut."""

        def work(connection: Connection) -> BreakGlassGrant:
            known = self._in_force(connection, grant.id, now_utc)
            return self._changed(connection, replace(known, valid_until_utc=now_utc), now_utc)

        return replace(await self._vault.write(work), reason=grant.reason)

    async def acknowledge(self, grant: BreakGlassGrant, *, now_utc: datetime) -> BreakGlassGrant:
        """The patient has seen the notice."""
        await self._vault.write(lambda c: rows.mark_seen(c, grant.id, at_utc=now_utc))
        return replace(grant, seen_by_patient_at_utc=grant.seen_by_patient_at_utc or now_utc)

    async def close_review(
        self,
        grant: BreakGlassGrant,
        reviewer_id: str,
        *,
        outcome: ReviewOutcome,
        note: str,
        now_utc: datetime,
    ) -> BreakGlassGrant:
        """Judge an emergency; what was found unjustified is shut at once.  Errors: RuleBroken."""
        if grant.involves(reviewer_id):
            raise RuleBroken("OWN_REVIEW", "who had a part in it does not judge it")
        review = Review(outcome, note, reviewer_id, now_utc)
        sealed: bytes | None
        try:
            sealed = await self._seal(grant.patient_id, rows.note_context(grant.id), note)
        except RuleBroken:
            sealed = None  # an erased patient's emergency is judged all the same, without words

        def work(connection: Connection) -> BreakGlassGrant:
            if not rows.close_review(connection, grant.id, review, sealed_note=sealed):
                raise RuleBroken("REVIEW_CLOSED", "this review was closed before")
            closed = replace(grant, review=review)
            self._outbox.append(connection, [break_glass_reviewed(closed, at_utc=now_utc)])
            if outcome is ReviewOutcome.UNJUSTIFIED and grant.in_force(now_utc):
                closed = self._changed(connection, replace(closed, valid_until_utc=now_utc), now_utc)
            return closed

        return await self._vault.write(work)

    async def grants(self, ids: Sequence[str]) -> dict[str, BreakGlassGrant]:
        """Grants by their ids, opened."""
        stored = await self._vault.read(lambda c: rows.grants_by_id(c, ids))
        return {each.id: each for each in await self._opened(list(stored.values()))}

    async def page(
        self, visible: ColumnElement[bool], *, limit: int, before: Place | None
    ) -> tuple[list[BreakGlassGrant], int]:
        """One page, the latest first, and how many there are in all."""
        stored, count = await self._vault.read(
            lambda c: (
                rows.list_grants(c, visible, limit=limit, before=before),
                rows.count_grants(c, visible),
            )
        )
        return await self._opened(stored), count

    def _in_force(self, connection: Connection, grant_id: str, now_utc: datetime) -> BreakGlassGrant:
        known = rows.grants_by_id(connection, [grant_id])[grant_id].grant
        if not known.in_force(now_utc):
            raise RuleBroken("EMERGENCY_ENDED", "this emergency has ended")
        return known

    def _changed(self, connection: Connection, grant: BreakGlassGrant, now_utc: datetime) -> BreakGlassGrant:
        version = rows.next_version(connection, grant.patient_id, grant.clinician_id)
        changed = replace(grant, version=version)
        rows.change(connection, changed)
        self._tell(connection, changed, now_utc)
        return changed

    def _tell(self, connection: Connection, grant: BreakGlassGrant, now_utc: datetime) -> None:
        told = [relationship_changed(grant, at_utc=now_utc)]
        if grant.in_force(now_utc):
            told.append(break_glass_used(grant, at_utc=now_utc))
        self._outbox.append(connection, told)

    async def _seal(self, patient_id: str, context: str, text: str) -> bytes:
        """Errors: RuleBroken where the person's record was erased."""
        try:
            [sealed] = await self._vault.seal(patient_id, [(context, text.encode())])
        except NotFound:
            raise RuleBroken("RECORD_ERASED", ERASED_MESSAGE) from None
        return sealed

    async def _opened(self, stored: Sequence[SealedGrant]) -> list[BreakGlassGrant]:
        sealed = [
            (each.grant.patient_id, context(each.grant.id), text)
            for each in stored
            for context, text in ((rows.reason_context, each.reason), (rows.note_context, each.note))
            if text is not None
        ]
        texts = iter(await self._vault.unseal_each(sealed))
        return [_with_texts(each, next(texts), next(texts) if each.note else None) for each in stored]


def _with_texts(stored: SealedGrant, reason: bytes | None, note: bytes | None) -> BreakGlassGrant:
    review = stored.grant.review
    if review is not None:
        review = replace(review, note=None if note is None else note.decode())
    return replace(stored.grant, reason=None if reason is None else reason.decode(), review=review)
