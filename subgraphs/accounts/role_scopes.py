"""How far a granted role reaches: people, organisations and regions it is for, and data classes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from authz.classes import DataClass, Relation, Role
from authz.facts.model import RelationshipFact
from authz.identity.subject import RoleLimit

PLACES_MAX = 200
REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class RoleScope:
    """Whom a role is for, and in which classes. Nobody named is everybody; no class named is every class."""

    people: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    classes: frozenset[DataClass] = frozenset()

    @property
    def for_everybody(self) -> bool:
        """Whether no person and no circle is named."""
        return not (self.people or self.organisations or self.regions)

    @property
    def unlimited(self) -> bool:
        """Whether the role counts for everybody in everything."""
        return self.for_everybody and not self.classes

    def circles(self) -> frozenset[str]:
        """What facts are about: the people, and the circles by their ids."""
        return frozenset(
            {
                *self.people,
                *(f"organisation:{each}" for each in self.organisations),
                *(f"region:{each}" for each in self.regions),
            }
        )

    def covers(self, other: RoleScope) -> bool:
        """Whether `other` reaches nobody and no class that this one does not."""
        classes = not self.classes or (bool(other.classes) and other.classes <= self.classes)
        if self.for_everybody:
            return classes
        within = all(
            inner <= outer
            for inner, outer in (
                (other.people, self.people),
                (other.organisations, self.organisations),
                # Who is in a part of a region is in the region.
                (frozenset(each for each in other.regions if each[:2] not in self.regions), self.regions),
            )
        )
        return classes and within and not other.for_everybody

    def words(self, role: Role, until: datetime | None) -> frozenset[str]:
        """The scopes of the facts that say for whom the role counts: `ROLE[:CLASS][@END]`."""
        end = "" if until is None else f"@{until.isoformat()}"
        named = [f"{role.value}:{each.value}" for each in self.classes] or [role.value]
        return frozenset(f"{word}{end}" for word in named)


EVERYWHERE = RoleScope()


@dataclass(frozen=True, slots=True)
class Reaching:
    """One assignment's part in what facts say: its role, how far it reaches, and until when."""

    role: Role
    scope: RoleScope
    until: datetime | None
    in_force: bool


def limits_of(held: Iterable[tuple[Role, RoleScope]]) -> tuple[RoleLimit, ...]:
    """What a token says of roles in force that do not count for everybody; several of one role add up."""
    scopes: dict[Role, list[RoleScope]] = {}
    for role, scope in held:
        scopes.setdefault(role, []).append(scope)
    return tuple(
        RoleLimit(role, frozenset(name for scope in each if scope.for_everybody for name in scope.classes))
        for role, each in sorted(scopes.items())
        if not any(scope.unlimited for scope in each)
    )


def facts_of(
    user_id: str,
    reaching: Iterable[Reaching],
    *,
    now: datetime,
    version: int,
    former: Iterable[str] = (),
) -> list[RelationshipFact]:
    """What decisions are to know of the limited roles of somebody: a fact for each person or circle that an
    assignment names, or that is among `former`; where no role in force names it any more, it has ended."""
    words: dict[str, set[str]] = {circle: set() for circle in former}
    for each in reaching:
        for circle in each.scope.circles():
            known = words.setdefault(circle, set())
            if each.in_force:
                known |= each.scope.words(each.role, each.until)
    return [
        RelationshipFact(
            subject_id=user_id,
            relation=Relation.ASSIGNED,
            object_id=circle,
            scopes=frozenset(named),
            valid_from_utc=now,
            valid_until_utc=None if named else now,
            version=version,
        )
        for circle, named in sorted(words.items())
    ]


def as_text(scope: RoleScope) -> str | None:
    """How a scope is stored; None for everything."""
    if scope.unlimited:
        return None
    parts = {name: sorted(getattr(scope, name)) for name in ("people", "organisations", "regions", "classes")}
    return json.dumps({name: each for name, each in parts.items() if each})


def of_text(text: str | None) -> RoleScope:
    """The scope that was stored."""
    if text is None:
        return EVERYWHERE
    stored = json.loads(text)
    return RoleScope(
        people=frozenset(stored.get("people", ())),
        organisations=frozenset(stored.get("organisations", ())),
        regions=frozenset(stored.get("regions", ())),
        classes=frozenset(DataClass(name) for name in stored.get("classes", ())),
    )
