"""What medical does when a person is erased: the patient's key is destroyed, and the rows go.

user.erased -> relations and consents end (published), rows deleted -> the key that every copy needs, gone.
A clinician who is erased leaves the records of patients as they are. Emergencies stay for who reviews them,
without their words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from datastores.events.port import Event, Outbox
from datastores.vault.port import Vault
from subgraphs.medical import care_store, erasing_store
from subgraphs.medical.events import consent_changed, relationship_changed

CONSUMER = "medical"
CONSUMED_TOPICS = ("user.erased",)
MEMBERSHIPS_PER_ERASURE_MAX = 100_000


def consumer(vault: Vault, outbox: Outbox, now: Callable[[], datetime]) -> Callable[[Event], Awaitable[None]]:
    """The handler of `CONSUMED_TOPICS`. Idempotent: an event that comes again changes nothing."""

    async def handle(event: Event) -> None:
        user_id = str(event.payload["user_id"])
        at_utc = now()
        await vault.write(lambda connection: _erase(connection, outbox, user_id, at_utc))
        await vault.shred(user_id)

    return handle


def _erase(connection: Connection, outbox: Outbox, user_id: str, at_utc: datetime) -> None:
    """End what others may know of the person, then delete."""
    told = []
    treated_by = care_store.memberships_of_patients(connection, [user_id])
    treats = care_store.memberships_of_practitioner(connection, user_id, limit=MEMBERSHIPS_PER_ERASURE_MAX)
    for member in (*treated_by, *treats):
        version = care_store.next_membership_version(connection, member.patient_id, member.practitioner_id)
        ended = replace(member, valid_until_utc=at_utc, version=version)
        told.append(relationship_changed(ended, at_utc=at_utc))
    for consent, _ in care_store.consents_of_patients(connection, [user_id]):
        if not consent.ended(at_utc):
            ended_consent = replace(consent, valid_until_utc=at_utc, version=consent.version + 1)
            told.append(consent_changed(ended_consent, at_utc=at_utc))
    if told:
        outbox.append(connection, told)
    erasing_store.delete_person(connection, user_id)
