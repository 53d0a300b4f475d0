"""What audit does about what others publish: every access becomes records of the chain, once."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from authz.trail import TOPIC as ACCESS_RECORDED
from authz.trail import Access, Touched, access_of
from datastores.events.port import Event
from datastores.relational.port import Relational
from subgraphs.audit import store
from subgraphs.audit.model import TIME_FORMAT, AuditRecord, Pseudonyms, Seal

USER_ERASED = "user.erased"
CONSUMER = "audit"
CONSUMED_TOPICS = (ACCESS_RECORDED, USER_ERASED)
SUBJECT, SESSION = "subject", "session"
_RECORD_IDS = uuid.UUID("2f4c1f0e-52c8-4c52-9a2f-3a4c8f1f6b70")


@dataclass(frozen=True, slots=True)
class AuditLog:
    """What audit works with; one a process."""

    relational: Relational
    pseudonyms: Pseudonyms
    seal: Seal
    now: Callable[[], datetime]


def consumer(log: AuditLog) -> Callable[[Event], Awaitable[None]]:
    """The handler of `CONSUMED_TOPICS`. Idempotent: an event that comes again changes nothing."""

    async def handle(event: Event) -> None:
        if event.topic == USER_ERASED:
            name = log.pseudonyms.of(SUBJECT, str(event.payload["user_id"]))
            await log.relational.write(lambda c: store.forget_subject(c, name))
            return
        access = access_of(event.payload)
        records = [_record(log, event.id, i, access, each) for i, each in enumerate(access.touched)]
        people = {
            log.pseudonyms.of(SUBJECT, user_id): user_id
            for user_id in (
                access.actor_id,
                access.on_behalf_of_id,
                *(each.target_id for each in access.touched),
            )
            if user_id is not None
        }

        def work(connection: Connection) -> None:
            # An event that comes again must not bring back whom an erasure took out.
            if store.append(connection, records, seal=log.seal, at_utc=log.now()):
                store.know_subjects(connection, people)

        await log.relational.write(work)

    return handle


def _record(log: AuditLog, event_id: str, entry: int, access: Access, touched: Touched) -> AuditRecord:
    def pseudonym(kind: str, plain_id: str | None) -> str | None:
        return None if plain_id is None else log.pseudonyms.of(kind, plain_id)

    return AuditRecord(
        number=0,
        id=str(uuid.uuid5(_RECORD_IDS, f"{event_id}/{entry}")),
        event_id=event_id,
        entry=entry,
        at=access.at_utc.astimezone(UTC).strftime(TIME_FORMAT),
        subgraph=access.subgraph,
        actor=pseudonym(SUBJECT, access.actor_id),
        on_behalf_of=pseudonym(SUBJECT, access.on_behalf_of_id),
        client=access.client_id,
        session=pseudonym(SESSION, access.session_id),
        purpose=touched.purpose,
        action=touched.action,
        target=pseudonym(SUBJECT, touched.target_id),
        data_class=touched.data_class,
        fields=touched.fields,
        decision="allow" if touched.allowed else "deny",
        rule=touched.rule,
        outcome=touched.outcome.value,
        trace_id=access.trace_id,
        prev_hash="",
        hash="",
    )
