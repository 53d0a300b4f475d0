"""What one subject is to the owners of rows, at one instant: owners of equal standing stand together.

facts -> Circle -> the requests of that subject. Only what is in force is kept, so a circle holds from the
instant it was begun at until the next of its facts begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, TypeVar

from authz.classes import Relation
from authz.facts.model import ConsentFact, RelationshipFact
from authz.facts.store import UNRELATED, Standing
from authz.policies.case import Party

Likeness: TypeAlias = tuple[tuple[Relation, frozenset[str]], ...]
"""All that conditions can tell of an owner without consents: its relations with their scopes.

INVARIANT: whatever a party or a condition looks at of an owner's facts is in here, or its owners have none.
"""


F = TypeVar("F", RelationshipFact, ConsentFact)


class Alike:
    """Owners of one likeness: a decision about any of them is one about all."""

    __slots__ = ("likeness", "owners", "party")

    def __init__(self, likeness: Likeness) -> None:
        self.likeness = likeness
        self.owners: set[str] = set()
        self.party: Party | None = None


class Circle:
    """One subject's; it grows by the owners that are asked about. `own_id` is who is like nobody else."""

    __slots__ = ("_by_likeness", "alike", "begun_at_utc", "groups", "own_id", "standings", "until_utc")

    def __init__(self, own_id: str | None, now: datetime) -> None:
        self.own_id = own_id
        self.begun_at_utc = now
        self.until_utc: datetime | None = None
        self.standings: dict[str, Standing] = {}
        self.alike: dict[str, Alike] = {}
        self.groups: list[Alike] = []
        self._by_likeness: dict[Likeness, Alike] = {}

    def holds_at(self, now: datetime) -> bool:
        """Whether no fact has begun or ended since, as far as is known."""
        return self.begun_at_utc <= now and (self.until_utc is None or now < self.until_utc)

    def know(self, owner_ids: Iterable[str], loaded: Mapping[str, Standing], now: datetime) -> None:
        """Take these owners in, whom `loaded` leaves out as strangers; what was known of one first counts."""
        for owner_id in owner_ids:
            if owner_id in self.standings:
                continue
            standing = loaded.get(owner_id)
            if standing is None:
                self.standings[owner_id] = UNRELATED
                self._join(owner_id, ())
            else:
                self._know(owner_id, standing, now)

    def _know(self, owner_id: str, standing: Standing, now: datetime) -> None:
        relations = self._in_force(standing.relations, now)
        consents = self._in_force(standing.consents, now)
        self.standings[owner_id] = Standing(relations, consents)
        if consents:
            return
        likeness = tuple([(fact.relation, fact.scopes) for fact in relations])
        # An emergency is judged by its times too, which no other owner's need have.
        if not any(relation is Relation.BREAK_GLASS for relation, _ in likeness):
            self._join(owner_id, likeness)

    def _join(self, owner_id: str, likeness: Likeness) -> None:
        if owner_id == self.own_id:
            return
        group = self._by_likeness.get(likeness)
        if group is None:
            group = self._by_likeness[likeness] = Alike(likeness)
            self.groups.append(group)
        group.owners.add(owner_id)
        self.alike[owner_id] = group

    def _in_force(self, facts: Sequence[F], now: datetime) -> tuple[F, ...]:
        for fact in facts:
            for instant in (fact.valid_from_utc, fact.valid_until_utc):
                if instant is not None and now < instant and (self.until_utc or instant) >= instant:
                    self.until_utc = instant
        return tuple([fact for fact in facts if fact.in_force(now)])
