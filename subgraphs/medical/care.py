"""Clearances, care teams and consents: each change is checked, stored and told of in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from authz.classes import RESTRICTED_LABELS, DataClass, Purpose
from datastores.errors import NotFound
from datastores.events.outbox import time_ordered_id
from datastores.events.port import Outbox
from datastores.relational.port import read_few
from datastores.vault.port import Vault
from subgraphs.medical import care_store as rows
from subgraphs.medical.events import clearance_changed, consent_changed, relationship_changed
from subgraphs.medical.model import (
    ERASED_MESSAGE,
    CareTeamMember,
    Clearance,
    ClearanceStatus,
    Consent,
    ConsentDecision,
    RuleBroken,
    checked_care,
    checked_clearance,
    checked_consent,
    checked_period,
)


@dataclass(frozen=True, slots=True)
class NewConsent:
    """What a patient wants to permit or deny."""

    patient_id: str
    decision: ConsentDecision
    data_class: DataClass
    actor_id: str | None = None
    purpose: Purpose | None = None
    labels: frozenset[str] = frozenset()
    valid_until_utc: datetime | None = None


class Care:
    """The writing side, and bulk readers by patient."""

    def __init__(self, vault: Vault, outbox: Outbox) -> None:
        self._vault = vault
        self._outbox = outbox

    async def set_clearance(
        self,
        patient_id: str,
        *,
        status: ClearanceStatus,
        restrictions: Sequence[str],
        valid_until_utc: datetime | None,
        set_by: str,
        now_utc: datetime,
    ) -> Clearance:
        """The next clearance of this person.  Errors: RuleBroken."""
        checked_clearance(status, restrictions, valid_until_utc, now_utc)
        clearance_id = time_ordered_id(now_utc)
        until = None if valid_until_utc is None else valid_until_utc.isoformat()
        value = {"status": status.value, "restrictions": list(restrictions), "valid_until_utc": until}
        context = rows.clearance_context(clearance_id)
        sealed = await self._seal(patient_id, context, value)

        def work(connection: Connection) -> int:
            self._outbox.append(connection, [clearance_changed(patient_id, at_utc=now_utc)])
            return rows.add_clearance(
                connection, clearance_id, patient_id, sealed=sealed, by=set_by, at_utc=now_utc
            )

        version = await self._vault.write(work)
        return Clearance(
            clearance_id,
            patient_id,
            version,
            status,
            tuple(restrictions),
            valid_until_utc,
            set_by,
            now_utc,
        )

    async def clearances(self, patient_ids: Sequence[str]) -> dict[str, Clearance]:
        """The last clearance of each, also where it has expired."""
        stored = await read_few(self._vault, lambda c: rows.newest_clearances(c, patient_ids))
        opened = await self._vault.unseal_each(
            [(each.patient_id, rows.clearance_context(each.id), each.sealed) for each in stored]
        )
        return {
            each.patient_id: _clearance(each, json.loads(text))
            for each, text in zip(stored, opened, strict=True)
            if text is not None
        }

    async def add_to_care_team(
        self,
        patient_id: str,
        practitioner_id: str,
        *,
        valid_from_utc: datetime,
        valid_until_utc: datetime | None,
        added_by: str,
        now_utc: datetime,
    ) -> CareTeamMember:
        """A treating relationship for this period.  Errors: RuleBroken where one is there already."""
        checked_care(patient_id, practitioner_id)
        checked_period(valid_from_utc, valid_until_utc)
        member_id = time_ordered_id(now_utc)

        def work(connection: Connection) -> CareTeamMember:
            for known in rows.memberships_of_patients(connection, [patient_id]):
                if known.practitioner_id == practitioner_id and not known.ended(now_utc):
                    raise RuleBroken("ALREADY_IN_CARE_TEAM", "this practitioner is in the care team already")
            version = rows.next_membership_version(connection, patient_id, practitioner_id)
            member = CareTeamMember(
                member_id, patient_id, practitioner_id, valid_from_utc, valid_until_utc, version
            )
            rows.save_membership(connection, member, added_by=added_by)
            self._outbox.append(connection, [relationship_changed(member, at_utc=now_utc)])
            return member

        return await self._vault.write(work)

    async def end_care(self, member_id: str, *, now_utc: datetime) -> CareTeamMember | None:
        """End a relationship now; one that has ended stays as it is. None where there is none."""

        def work(connection: Connection) -> CareTeamMember | None:
            member = rows.membership(connection, member_id)
            if member is None or member.ended(now_utc):
                return member
            version = rows.next_membership_version(connection, member.patient_id, member.practitioner_id)
            ended = replace(member, valid_until_utc=now_utc, version=version)
            rows.save_membership(connection, ended)
            self._outbox.append(connection, [relationship_changed(ended, at_utc=now_utc)])
            return ended

        return await self._vault.write(work)

    async def membership(self, member_id: str) -> CareTeamMember | None:
        """One membership by its id."""
        return await self._vault.read(lambda c: rows.membership(c, member_id))

    async def care_teams(self, patient_ids: Sequence[str]) -> dict[str, list[CareTeamMember]]:
        """Everyone who treats, treated or will treat each of them."""
        found: dict[str, list[CareTeamMember]] = {patient_id: [] for patient_id in patient_ids}
        for member in await self._vault.read(lambda c: rows.memberships_of_patients(c, patient_ids)):
            found[member.patient_id].append(member)
        return found

    async def patients_of(self, practitioner_id: str, *, now_utc: datetime, limit: int) -> list[str]:
        """Whom somebody treats now, by id."""
        members = await self._vault.read(
            lambda c: rows.memberships_of_practitioner(c, practitioner_id, limit=limit)
        )
        return list(dict.fromkeys(m.patient_id for m in members if m.in_force(now_utc)))

    async def grant_consent(self, new: NewConsent, *, now_utc: datetime) -> Consent:
        """Store what a patient permits or denies from now on.  Errors: RuleBroken."""
        checked_consent(new.data_class, new.labels, new.decision)
        checked_period(now_utc, new.valid_until_utc)
        unknown = new.labels - RESTRICTED_LABELS
        if unknown:
            known = ", ".join(f"`{label}`" for label in sorted(RESTRICTED_LABELS, key=str.lower))
            raise RuleBroken("UNKNOWN_LABEL", f"a label is one of {known}")
        consent = Consent(
            time_ordered_id(now_utc),
            new.patient_id,
            new.decision,
            new.actor_id,
            new.purpose,
            new.data_class,
            new.labels,
            now_utc,
            new.valid_until_utc,
            version=1,
        )
        context = rows.consent_context(consent.id)
        sealed = await self._seal(consent.patient_id, context, sorted(new.labels))

        def work(connection: Connection) -> None:
            rows.add_consent(connection, consent, sealed_labels=sealed)
            self._outbox.append(connection, [consent_changed(consent, at_utc=now_utc)])

        await self._vault.write(work)
        return consent

    async def consent(self, consent_id: str) -> Consent | None:
        """One consent by its id, None also where its patient's key was destroyed."""
        found = await self._vault.read(lambda c: rows.consent(c, consent_id))
        return None if found is None else next(iter(await self._opened([found])), None)

    async def revoke_consent(self, consent: Consent, *, now_utc: datetime) -> Consent:
        """End a consent now; one that has ended stays as it is."""
        if consent.ended(now_utc):
            return consent
        ended = replace(consent, valid_until_utc=now_utc, version=consent.version + 1)

        def work(connection: Connection) -> None:
            rows.end_consent(connection, ended)
            self._outbox.append(connection, [consent_changed(ended, at_utc=now_utc)])

        await self._vault.write(work)
        return ended

    async def consents(self, patient_ids: Sequence[str]) -> dict[str, list[Consent]]:
        """All consents of each, ended ones too, the latest first."""
        stored = await self._vault.read(lambda c: rows.consents_of_patients(c, patient_ids))
        found: dict[str, list[Consent]] = {patient_id: [] for patient_id in patient_ids}
        for consent in await self._opened(stored):
            found[consent.patient_id].append(consent)
        return found

    async def _seal(self, patient_id: str, context: str, value: object) -> bytes:
        """Errors: RuleBroken where the person's record was erased."""
        try:
            [sealed] = await self._vault.seal(patient_id, [(context, json.dumps(value).encode())])
        except NotFound:
            raise RuleBroken("RECORD_ERASED", ERASED_MESSAGE) from None
        return sealed

    async def _opened(self, stored: Sequence[tuple[Consent, bytes]]) -> list[Consent]:
        opened = await self._vault.unseal_each(
            [(each.patient_id, rows.consent_context(each.id), sealed) for each, sealed in stored]
        )
        return [
            replace(each, labels=frozenset(json.loads(text)))
            for (each, _), text in zip(stored, opened, strict=True)
            if text is not None
        ]


def _clearance(stored: rows.SealedClearance, value: Mapping[str, Any]) -> Clearance:
    until = value["valid_until_utc"]
    return Clearance(
        id=stored.id,
        patient_id=stored.patient_id,
        version=stored.version,
        status=ClearanceStatus(value["status"]),
        restrictions=tuple(value["restrictions"]),
        valid_until_utc=None if until is None else datetime.fromisoformat(until),
        set_by=stored.set_by,
        set_at_utc=stored.set_at_utc,
    )
