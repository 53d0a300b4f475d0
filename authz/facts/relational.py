"""Facts in a relational store: one hop a batch, or a glance where the store can; migrated on opening."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from authz.facts.changes import Changes, note_changes, note_forgotten, read_changes
from authz.facts.gathered import Gathered
from authz.facts.gathering import gather
from authz.facts.model import ConsentFact, RelationshipFact
from authz.facts.store import Standing, check_batch, fact_of
from authz.facts.tables import forget_person, put_facts, read_standings, read_subject, read_subjects_of
from datastores.relational.migrate import migrate
from datastores.relational.port import Glances, Relational

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "authz_schema_version"
APART_MAX = 1_024
GLANCED_OWNERS_MAX = 64
"""More owners than that are not looked up one by one where others wait."""


class RelationalFacts:
    """The facts read model in tables `authz_facts` and `authz_consents`; see `Facts` for its promises.

    `generation` counts what this object has changed, once it can be read.
    """

    def __init__(self, relational: Relational) -> None:
        self._relational = relational
        self.generation = 0
        # Subjects that are something to too many to be gathered: not tried again soon.
        self._apart: set[str] = set()
        self._glances = cast(Glances, relational) if hasattr(relational, "glance") else None
        # Subjects of whom a glance did not tell: not tried again soon.
        self._long: set[str] = set()

    async def open(self) -> None:
        """Bring the tables to what this program knows.  Errors: SchemaTooNew."""
        await migrate(self._relational, MIGRATIONS, VERSION_TABLE)

    async def put(self, *facts: RelationshipFact | ConsentFact) -> None:
        """Keep these facts, all in one transaction, where they are newer than what is known."""

        def work(connection: Connection) -> None:
            note_changes(connection, facts)
            put_facts(connection, facts)

        await self._change(work)

    async def apply_event(self, payload: Mapping[str, Any]) -> None:
        """See `Facts.apply_event`."""
        await self.put(fact_of(payload))

    async def forget(self, user_id: str) -> None:
        """Drop every fact and consent that names this person, at either end."""

        def work(connection: Connection) -> None:
            note_forgotten(connection, user_id)
            forget_person(connection, user_id)

        await self._change(work)

    async def changes_since(self, number: int) -> Changes:
        """See `TellsChanges.changes_since`."""
        told = self.changes_at_once(number)
        if told is None:
            told = await self._relational.read(lambda connection: read_changes(connection, number))
        return told

    def changes_at_once(self, number: int) -> Changes | None:
        """See `TellsChanges.changes_at_once`."""
        return self._glance("", lambda connection: read_changes(connection, number))

    async def _change(self, work: Callable[[Connection], None]) -> None:
        try:
            await self._relational.write(work)
        finally:
            # A change of which nobody knows whether it was made counts as made.
            self.generation += 1

    async def subjects_of(self, owner_id: str, *, limit: int) -> list[str]:
        """Who has a relation to this owner, or a consent of theirs by name; sorted, at most `limit`."""
        return await self._relational.read(
            lambda connection: read_subjects_of(connection, owner_id, limit=limit)
        )

    async def load(self, subject_id: str, owner_ids: Sequence[str]) -> Mapping[str, Standing]:
        """See `Facts.load`."""
        check_batch(owner_ids)

        def work(connection: Connection) -> Mapping[str, Standing]:
            return read_standings(connection, subject_id, owner_ids)

        if len(owner_ids) > GLANCED_OWNERS_MAX:
            return await self._relational.read(work)
        known = self._glance(subject_id, work)
        return await self._relational.read(work) if known is None else known

    def gathers(self, subject_id: str) -> bool:
        """See `GathersFacts.gathers`."""
        return subject_id not in self._apart

    async def gather(self, subject_id: str, owner_ids: Sequence[str], now: datetime) -> Gathered | None:
        """See `GathersFacts.gather`."""
        told = self.gather_at_once(subject_id, owner_ids, now)
        if told is None and self.gathers(subject_id):
            told = await self._relational.read(lambda each: gather(each, subject_id, owner_ids, now))
            if told is None:
                _note(subject_id, self._apart)
        return told

    def gather_at_once(self, subject_id: str, owner_ids: Sequence[str], now: datetime) -> Gathered | None:
        """See `GathersFacts.gather_at_once`."""
        told = self._glance(subject_id, lambda each: (gather(each, subject_id, owner_ids, now),))
        if told == (None,):
            _note(subject_id, self._apart)
        return None if told is None else told[0]

    def _glance(self, subject_id: str, work: Callable[[Connection], T]) -> T | None:
        """What `work` gives about this subject, where the store can tell it at once."""
        if self._glances is None or subject_id in self._long:
            return None
        told = self._glances.glance(work)
        if told is None:
            _note(subject_id, self._long)
        return told

    async def relations(
        self, subject_id: str, owner_ids: Sequence[str]
    ) -> Mapping[str, Sequence[RelationshipFact]]:
        """See `Facts.relations`."""
        return {owner: each.relations for owner, each in (await self.load(subject_id, owner_ids)).items()}

    async def of_subject(self, subject_id: str) -> Mapping[str, Standing]:
        """See `Facts.of_subject`."""
        return await self._relational.read(lambda connection: read_subject(connection, subject_id))


def _note(subject_id: str, subjects: set[str]) -> None:
    if len(subjects) >= APART_MAX:
        subjects.clear()
    subjects.add(subject_id)
