"""Audit with a real store and the real policy, fed events by hand, at a clock that tests turn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from authz.classes import DataClass, Role
from authz.decide import Authorizer
from authz.facts.store import MemoryFacts
from authz.identity.subject import ANONYMOUS, Subject
from authz.trail import TOPIC, Access, Outcome, Touched
from datastores.events.outbox import RelationalOutbox, new_event
from datastores.events.port import Event
from datastores.relational.port import Relational
from subgraphs.audit import store
from subgraphs.audit.entities import AuditContext
from subgraphs.audit.events import AuditLog, consumer
from subgraphs.audit.explaining import Explainer
from subgraphs.audit.model import Damage, Pseudonyms, Seal
from subgraphs.audit.subgraph import build, prepare
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.trail import OutboxLedger

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
MIRA = Subject(id="mira", roles=frozenset({Role.ATHLETE}), acr=1)
LIND = Subject(id="lind", roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2, session_id="s-lind")
TOMAS = Subject(id="tomas", roles=frozenset({Role.TRAINER}), acr=1)
ADA = Subject(id="ada", roles=frozenset({Role.ADMINISTRATOR}), acr=2)
PEOPLE = {each.id: each for each in (MIRA, LIND, TOMAS, ADA)}
CLASSES = {
    "MedicalRecord.conditions": (DataClass.CLINICAL, "read"),
    "User.clearance": (DataClass.CLINICAL, "clearance"),
    "User.handle": (DataClass.SOCIAL, "read"),
    "AuditRecord.rule": (DataClass.AUDIT, "read"),
}


@dataclass
class Office:
    """The subgraph under test, its log and its consumer."""

    relational: Relational
    subgraph: Subgraph[AuditContext]
    log: AuditLog
    facts: MemoryFacts
    clock: list[dt.datetime]

    async def ask(self, query: str, subject: Subject = ANONYMOUS, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL answer."""
        return await self.subgraph.execute(query, variables, None, subject)

    async def take(self, *events: Event) -> None:
        """Consume, as the relay does."""
        handle = consumer(self.log)
        for event in events:
            await handle(event)

    async def fill(self, count: int) -> None:
        """That many records, ten an event."""
        for start in range(0, count, 10):
            await self.take(event_of(*(touched(f"owner-{i}") for i in range(start, min(start + 10, count)))))

    async def damages(self) -> list[Damage]:
        """What a check of the chain finds."""
        report = await self.relational.read(lambda c: store.check_chain(c, self.log.seal))
        return list(report.damages)

    async def tamper(self, *statements: str) -> None:
        """What somebody with the database in hand can do, past the triggers."""

        def work(connection: Connection) -> None:
            names = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_%'")
            )
            for (name,) in list(names):
                connection.execute(text(f"DROP TRIGGER {name}"))
            for statement in statements:
                connection.execute(text(statement))

        await self.relational.write(work)


def touched(target_id: str | None = "mira", *, allowed: bool = True, **given: Any) -> Touched:
    """A clinical field of somebody's, read or refused."""
    values: dict[str, Any] = {
        "action": "read",
        "data_class": "CLINICAL",
        "fields": ("MedicalRecord.conditions",),
        "rule": "clinical-treating" if allowed else "default-deny",
        "outcome": Outcome.SHOWN if allowed else Outcome.REFUSED,
        "purpose": "TREAT",
    }
    return Touched(target_id=target_id, allowed=allowed, **{**values, **given})


def event_of(*parts: Touched, actor_id: str | None = "lind", at_utc: dt.datetime = NOON) -> Event:
    """An `access.recorded` event."""
    access = Access(
        at_utc=at_utc,
        subgraph="medical",
        actor_id=actor_id,
        on_behalf_of_id=None,
        client_id=None,
        session_id="s-lind",
        trace_id="0" * 31 + "1",
        touched=parts or (touched(),),
    )
    return new_event(TOPIC, key=actor_id or "anonymous", payload=access.as_payload(), at_utc=at_utc)


async def open_office(relational: Relational, *, prepared: bool = False) -> Office:
    """At noon, over an empty store, which is migrated here unless it was `prepared`."""
    if not prepared:
        await prepare(relational)
    clock, facts = [NOON], MemoryFacts()

    def now() -> dt.datetime:
        return clock[0]

    async def person(user_id: str, _at: dt.datetime | None) -> Subject | None:
        return PEOPLE.get(user_id)

    authorizer = Authorizer(facts, clock=now)
    log = AuditLog(relational, Pseudonyms(b"p" * 32), Seal(b"s" * 32), now)
    explainer = Explainer(
        lambda: CLASSES,
        person,
        lambda viewer, at: (authorizer if at is None else authorizer.at(at)).for_request(viewer),
        lambda owner: facts.subjects_of(owner, limit=100),
        lambda: authorizer.policy_version,
    )
    subgraph = build(log=log, explainer=explainer, authorizer=authorizer, cursors=CursorSigner(b"c" * 32))
    subgraph.record_in(OutboxLedger(relational, RelationalOutbox()))
    return Office(relational, subgraph, log, facts, clock)
