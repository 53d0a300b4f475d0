"""Medical in a test: a real vault, real events, the real policy, and the people who come to it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from authz.classes import Relation, Role
from authz.decide import Authorizer
from authz.facts.model import CONSENT_TOPIC, RELATIONSHIP_TOPIC, RelationshipFact
from authz.facts.store import MemoryFacts
from authz.identity.subject import Subject
from datastores.events import outbox as outbox_rows
from datastores.events.embedded import EmbeddedEvents
from datastores.events.port import Event
from datastores.relational.port import Relational
from datastores.relational.sqlite import SqliteRelational
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.row_fence import FencedRows
from subgraphs.medical.subgraph import build, prepare

DATA = Path(__file__).parents[1] / "data" / "fhir"
EXPECTED: Mapping[str, Mapping[str, Any]] = json.loads((DATA / "expected.json").read_text())
START = datetime(2026, 11, 1, 8, tzinfo=UTC)
TOPICS = (RELATIONSHIP_TOPIC, CONSENT_TOPIC)

ATHLETE = Subject(id="athlete", roles=frozenset({Role.ATHLETE}), acr=1)
COACH = Subject(id="coach", roles=frozenset({Role.ATHLETE, Role.TRAINER}), acr=2)
PHYSICIAN = Subject(id="physician", roles=frozenset({Role.ATHLETE, Role.MEDICAL_SPECIALIST}), acr=2)
STRANGER = Subject(id="stranger", roles=frozenset({Role.ATHLETE, Role.MEDICAL_SPECIALIST}), acr=2)
MODERATOR = Subject(id="moderator", roles=frozenset({Role.ATHLETE, Role.MODERATOR}), acr=2)
ADMINISTRATOR = Subject(id="administrator", roles=frozenset({Role.ATHLETE, Role.ADMINISTRATOR}), acr=2)


def document(name: str) -> bytes:
    """A file of the FHIR test data, by its name in `expected.json`."""
    path = DATA / name
    return path.read_bytes() if path.exists() else gzip.decompress((DATA / f"{name}.gz").read_bytes())


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        self.at += by


class Medical:
    """One running medical subgraph with everything behind it."""

    def __init__(self, relational: Relational, folder: Path) -> None:
        self.clock = Clock()
        self.folder = folder
        self.vault = SealedVault(relational, FileKeyProvider(folder / "keys.json"), clock=self.clock)
        self.facts = MemoryFacts()
        self.events = EmbeddedEvents([self.vault], clock=self.clock)
        self.events.consume("authz", TOPICS, self._learn)
        self.authorizer = Authorizer(self.facts, clock=self.clock)
        self._learnt: set[str] = set()
        self._changed = asyncio.Event()
        self.subgraph: Subgraph[Any] = build(
            vault=cast(SealedVault, FencedRows(self.vault)),
            outbox=self.events.outbox,
            events=self.events,
            authorizer=self.authorizer,
            cursors=CursorSigner(b"c" * 32),
            now=self.clock,
        )

    async def ask(self, subject: Subject, query: str, **variables: Any) -> dict[str, Any]:
        """The response of the subgraph, once authorization knows of everything that was published."""
        response = await self.subgraph.execute(query, variables, None, subject)
        await self.told()
        return response

    async def told(self) -> None:
        """Wait until every published fact has reached authorization."""
        published = await self.vault.read(
            lambda c: outbox_rows.events_after(c, 0, limit=1_000, topics=TOPICS)
        )
        async with asyncio.timeout(5):
            while not {event.id for _, event in published} <= self._learnt:
                self._changed.clear()
                await self._changed.wait()

    def know(self, subject: Subject, relation: Relation, *scopes: str) -> None:
        """A relationship that another domain has published: `subject` to the athlete."""
        assert subject.id is not None
        fact = RelationshipFact(subject.id, relation, "athlete", frozenset(scopes), START, None, 1)
        self.facts.put(fact)

    async def _learn(self, event: Event) -> None:
        await self.facts.apply_event(event.payload)
        self._learnt.add(event.id)
        self._changed.set()


@asynccontextmanager
async def running_medical(folder: Path, relational: Relational | None = None) -> AsyncIterator[Medical]:
    """Medical on an embedded vault in `folder`, or on another store."""
    medical = Medical(relational or SqliteRelational(folder / "vault" / "medical.db"), folder)
    await medical.vault.open()
    await prepare(medical.vault)
    await medical.events.open()
    try:
        yield medical
    finally:
        await medical.events.close()
        await medical.vault.close()
