"""What one subject is to the owners of rows, at one instant: owners of equal standing stand together.

facts -> Circle -> the requests of that subject. Only what is in force is kept, so a circle holds from the
instant it was begun at until the next of its facts begins or ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TypeAlias, TypeVar

from authz.classes import Relation
from authz.facts.gathered import Gathered, Kin, Link, links_of
from authz.facts.model import ConsentFact, RelationshipFact
from authz.facts.store import UNRELATED, Standing
from authz.question import Question

Likeness: TypeAlias = tuple[Link, ...]
"""All that conditions can tell of an owner without consents: its relations with their scopes, in one order.

INVARIANT: whatever a party or a condition looks at of an owner's facts is in here, or its owners have none.
"""
STRANGERS: Likeness = ()
NOBODY: frozenset[str] = frozenset()
LARGE_MIN, LARGE_GROUPS_MAX = 64, 4
"""Groups of so many owners, and so many of them, are not taken apart."""
F = TypeVar("F", RelationshipFact, ConsentFact)


class Alike:
    """Owners of one likeness: a decision about any of them is one about all. `standing` is that of any."""

    __slots__ = ("likeness", "owners", "standing")

    def __init__(self, likeness: Likeness, standing: Standing) -> None:
        self.likeness = likeness
        self.standing = standing
        self.owners: set[str] = set()


class Opens:
    """Of which groups it is known whether what `like` asks about their rows is open, whole."""

    __slots__ = ("by_group", "like")

    def __init__(self, like: Question) -> None:
        self.like = like
        self.by_group: dict[Alike, bool] = {}


class Circle:
    """One subject's; it grows by the owners that are asked about. `own_id` is who is like nobody else.

    `single` are owners who stand alone. With `everybody`, who is not in it is a stranger, save `unsettled`.
    """

    __slots__ = (
        "_by_likeness",
        "alike",
        "begun_at_utc",
        "everybody",
        "groups",
        "large",
        "opens",
        "own_id",
        "single",
        "strangers",
        "unsettled",
        "until_utc",
    )

    def __init__(self, own_id: str | None, now: datetime) -> None:
        self.own_id = own_id
        self.begun_at_utc = now
        self.until_utc: datetime | None = None
        self.single: dict[str, Standing] = {}
        self.alike: dict[str, Alike] = {}
        self.groups: list[Alike] = []
        # Groups whose owners are not in `alike`, which takes longer to fill than to do without.
        self.large: list[Alike] = []
        self.everybody = False
        self.unsettled: AbstractSet[str] = NOBODY
        # What requests found of its groups that is so at any instant; theirs to fill.
        self.opens: dict[Hashable, dict[int, Opens]] = {}
        self._by_likeness: dict[Likeness, Alike] = {}
        self.strangers = self._group(STRANGERS)

    def __len__(self) -> int:
        return len(self.alike) + len(self.single) + sum([len(each.owners) for each in self.large])

    def holds_at(self, now: datetime) -> bool:
        """Whether no fact has begun or ended since, as far as is known."""
        return self.begun_at_utc <= now and (self.until_utc is None or now < self.until_utc)

    def alike_of(self, owner_id: str | None) -> Alike | None:
        """The group of this owner; None where it stands alone, or is not known."""
        if owner_id is None:
            return None
        found = self._group_of(owner_id)
        return self.strangers if found is None and self._is_stranger(owner_id) else found

    def knows(self, owner_id: str) -> bool:
        """Whether facts about this owner were looked at."""
        return self._told_of(owner_id) or self._is_stranger(owner_id)

    def standing(self, owner_id: str | None) -> Standing:
        """What is in force between the subject and this owner, or an owner of its group."""
        alone = self.single.get(owner_id or "")
        if alone is not None:
            return alone
        alike = self.alike_of(owner_id)
        return UNRELATED if alike is None else alike.standing

    def unknown_among(self, owner_ids: AbstractSet[str]) -> AbstractSet[str]:
        """Those about whom facts are still to be looked at."""
        if self.everybody:
            return {each for each in owner_ids & {*self.unsettled, self.own_id} if not self.knows(each or "")}
        missing = owner_ids - self.alike.keys()
        for group in self.large:
            missing = missing - group.owners if missing else missing
        return missing - self.single.keys() if missing else missing

    def not_strangers(self, owner_ids: AbstractSet[str]) -> AbstractSet[str]:
        """Those to whom the subject is something, and those who are not known."""
        return {each for each in owner_ids if self.alike_of(each) is not self.strangers}

    def related(self) -> Iterable[str]:
        """Those who are not only known to be strangers."""
        groups = [group.owners for group in self.groups if group is not self.strangers]
        return NOBODY.union(self.single, *groups)

    def know(self, owner_ids: Iterable[str], loaded: Mapping[str, Standing], now: datetime) -> None:
        """Take these owners in, whom `loaded` leaves out as strangers; what was known of one first counts."""
        for owner_id in owner_ids:
            if self._told_of(owner_id):
                continue
            standing = loaded.get(owner_id)
            if standing is None:
                self._join(owner_id, STRANGERS, UNRELATED)
            else:
                self._know(owner_id, standing, now)

    def gather(self, told: Gathered, now: datetime) -> None:
        """Take in what was told by relation; what was known of an owner first counts."""
        apart = {*told.single, *told.unsettled, *self.alike, *self.single}
        owners = [(kin, set(kin.owner_ids)) for kin in told.kins]
        # One by one: who is so in several ways, and oneself.
        twice = _repeated([each for _, each in owners]) | ({self.own_id} if self.own_id else set())
        several: dict[str, list[Kin]] = {}
        for kin, mine in owners:
            self._ends(kin.until_utc, now)
            for owner_id in mine & twice:
                several.setdefault(owner_id, []).append(kin)
            # In place: each set is of this function alone, and may be large.
            mine -= twice
            mine -= apart
            for group in self.large:
                mine -= group.owners
            if not told.everybody:
                mine &= told.asked
            self._join_all((kin.link,), mine, now)
        for owner_id, kins in several.items():
            known = owner_id in apart or self._group_of(owner_id) is not None
            if not known and (told.everybody or owner_id in told.asked):
                standing = _standing([kin.link for kin in kins], now)
                self._join(owner_id, links_of(standing.relations), standing)
        self.know(told.single, told.single, now)
        if told.everybody:
            self.everybody, self.unsettled = True, told.unsettled
        self.know(told.asked & {self.own_id or ""} if told.everybody else told.asked, {}, now)

    def _group_of(self, owner_id: str) -> Alike | None:
        found = self.alike.get(owner_id)
        if found is None:
            for group in self.large:
                if owner_id in group.owners:
                    return group
        return found

    def _told_of(self, owner_id: str) -> bool:
        return owner_id in self.single or self._group_of(owner_id) is not None

    def _is_stranger(self, owner_id: str) -> bool:
        return (
            self.everybody
            and not self._told_of(owner_id)
            and owner_id not in self.unsettled
            and owner_id != self.own_id
        )

    def _know(self, owner_id: str, standing: Standing, now: datetime) -> None:
        relations = self._in_force(standing.relations, now)
        in_force = Standing(relations, self._in_force(standing.consents, now))
        # An emergency is judged by its times too, which no other owner's need have.
        emergency = any(fact.relation is Relation.BREAK_GLASS for fact in relations)
        if in_force.consents or emergency or owner_id == self.own_id:
            self.single[owner_id] = in_force
        else:
            self._join(owner_id, links_of(relations), in_force)

    def _join(self, owner_id: str, likeness: Likeness, standing: Standing) -> None:
        if owner_id == self.own_id:
            self.single[owner_id] = standing
            return
        group = self._group(likeness, standing)
        group.owners.add(owner_id)
        self.alike[owner_id] = group

    def _join_all(self, likeness: Likeness, owner_ids: set[str], now: datetime) -> None:
        group = self._by_likeness.get(likeness) or self._group(likeness, _standing(likeness, now))
        if group.owners:
            group.owners |= owner_ids
        else:
            group.owners = owner_ids
        if len(group.owners) >= LARGE_MIN and len(self.large) < LARGE_GROUPS_MAX and group not in self.large:
            self.large.append(group)
        if group not in self.large:
            self.alike.update(dict.fromkeys(owner_ids, group))

    def _group(self, likeness: Likeness, standing: Standing = UNRELATED) -> Alike:
        group = self._by_likeness.get(likeness)
        if group is None:
            group = self._by_likeness[likeness] = Alike(likeness, standing)
            self.groups.append(group)
        return group

    def _in_force(self, facts: Sequence[F], now: datetime) -> tuple[F, ...]:
        for fact in facts:
            for instant in (fact.valid_from_utc, fact.valid_until_utc):
                self._ends(instant, now)
        return tuple([fact for fact in facts if fact.in_force(now)])

    def _ends(self, instant: datetime | None, now: datetime) -> None:
        if instant is not None and now < instant and (self.until_utc or instant) >= instant:
            self.until_utc = instant


def _repeated(sets: Sequence[AbstractSet[str]]) -> set[str]:
    """Who is in more than one of them."""
    if len(sets) < 2:
        return set()
    seen: set[str] = set()
    twice: set[str] = set()
    for each in sets:
        twice |= seen & each
        seen |= each
    return twice


def _standing(links: Iterable[Link], now: datetime) -> Standing:
    """Facts in force that say as much as these links."""
    return Standing(
        tuple([RelationshipFact("", relation, "", scopes, now, None, 0) for relation, scopes in links])
    )
