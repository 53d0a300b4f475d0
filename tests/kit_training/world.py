"""A training domain on real embedded stores, with people of every kind; and how to ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from authz.classes import Relation, Role
from authz.decide import Authorizer
from authz.facts.model import RelationshipFact
from authz.facts.store import MemoryFacts
from authz.identity.subject import Subject
from datastores.blobs.files import FileBlobs
from datastores.events.embedded import EmbeddedEvents
from datastores.relational.sqlite import SqliteRelational
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.training.graph.context import TrainingContext
from subgraphs.training.imports import ImportOutcome, import_content
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store.tables import prepare
from subgraphs.training.subgraph import build_of
from tests.kit_training.files import content

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
ANNA = Subject(id="anna", roles=frozenset({Role.ATHLETE}), acr=1)
BEN = Subject(id="ben", roles=frozenset({Role.ATHLETE}), acr=1)
FRIEND = Subject(id="frida", roles=frozenset({Role.ATHLETE}), acr=1)
COACH = Subject(id="carl", roles=frozenset({Role.TRAINER}), acr=1)
PHYSICIAN = Subject(id="petra", roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
STRANGER_PHYSICIAN = Subject(id="paul", roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
MODERATOR = Subject(id="mona", roles=frozenset({Role.MODERATOR}), acr=2)
ADMINISTRATOR = Subject(id="adam", roles=frozenset({Role.ADMINISTRATOR}), acr=2)
ANYBODY = Subject(id=None)


@dataclass
class Clock:
    """A clock that goes on when told."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


class Upload:
    """A file as a multipart request brings it."""

    def __init__(self, data: bytes, filename: str | None = "ride.fit") -> None:
        self._data, self._at = data, 0
        self.filename = filename
        self.content_type = "application/octet-stream"

    async def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        chunk, self._at = self._data[self._at : end], min(end, len(self._data))
        return chunk


@dataclass
class World:
    """Everything of one test."""

    ports: TrainingPorts
    facts: MemoryFacts
    events: EmbeddedEvents
    subgraph: Subgraph[TrainingContext]
    clock: Clock
    versions: dict[str, int] = field(default_factory=dict)

    def relate(self, subject: Subject, relation: Relation, *scopes: str, owner: str = "anna") -> None:
        """Make `subject` what it says to `owner`, from now on."""
        self._put(subject, relation, scopes, owner, until=None)

    def part(self, subject: Subject, relation: Relation, *, owner: str = "anna") -> None:
        """End that relation now."""
        self._put(subject, relation, (), owner, until=self.clock())

    def _put(
        self,
        subject: Subject,
        relation: Relation,
        scopes: tuple[str, ...],
        owner: str,
        until: datetime | None,
    ) -> None:
        key = f"{subject.id}/{relation}/{owner}"
        self.versions[key] = self.versions.get(key, 0) + 1
        self.facts.put(
            RelationshipFact(
                subject_id=subject.id or "",
                relation=relation,
                object_id=owner,
                scopes=frozenset(scopes),
                valid_from_utc=self.clock() - timedelta(days=1),
                valid_until_utc=until,
                version=self.versions[key],
            )
        )

    async def ask(self, who: Subject, query: str, **variables: Any) -> dict[str, Any]:
        """The response of the subgraph."""
        return await self.subgraph.execute(query, variables, None, who)

    async def answer(self, who: Subject, query: str, **variables: Any) -> Any:
        """The data of a response that has no errors."""
        response = await self.ask(who, query, **variables)
        assert "errors" not in response, response["errors"]
        return response["data"]

    async def bring(self, name: str, *, athlete: str = "anna") -> ImportOutcome:
        """Import one of the real files."""
        return await import_content(self.ports, athlete, content(name), file_name=name.rpartition("/")[2])


def errors_of(response: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    """(code, path) of each error."""
    return [(each["extensions"]["code"], tuple(each.get("path", ()))) for each in response.get("errors", [])]


async def _migrated_file() -> bytes:
    """A database with all tables and no rows, made once a process: each test copies it."""
    if not _MIGRATED:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "training.sqlite"
            relational = SqliteRelational(path)
            await relational.open()
            await prepare(relational)
            await relational.close()
            _MIGRATED.append(path.read_bytes())
    return _MIGRATED[0]


_MIGRATED: list[bytes] = []


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    """A world on stores in `folder`."""
    clock = Clock()
    path = folder / "training.sqlite"
    if not path.exists():
        path.write_bytes(await _migrated_file())
    relational, blobs = SqliteRelational(path), FileBlobs(folder / "blobs")
    await relational.open()
    await blobs.open()
    await prepare(relational)
    events = EmbeddedEvents([relational], clock=clock)
    await events.open()
    ports = TrainingPorts(relational=relational, blobs=blobs, outbox=events.outbox, clock=clock)
    facts = MemoryFacts()
    authorizer = Authorizer(facts, clock=clock)
    subgraph = build_of(ports, events=events, authorizer=authorizer, cursors=CursorSigner(b"c" * 32))
    try:
        yield World(ports, facts, events, subgraph, clock)
    finally:
        await events.close()
        await relational.close()
        await blobs.close()
