"""All that one subject is to whoever it is something to, told by relation in place of owner by owner.

`Facts.gather` -> Gathered -> Circle. For a coach of a thousand this is one row, not a thousand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from authz.classes import Relation
from authz.facts.model import RelationshipFact
from authz.facts.store import Standing

GATHERED_MIN = 8
"""For fewer owners that are not known it is cheaper to ask about them alone."""
GATHERED_MAX = 5_000
"""A subject that is something to more owners is asked about some at a time."""

Link: TypeAlias = tuple[Relation, frozenset[str]]
"""A relation with its scopes."""


@dataclass(frozen=True, slots=True)
class Kin:
    """Owners to whom the subject is the same: `link` is in force now, and for none of them ends earlier than
    `until_utc`."""

    link: Link
    until_utc: datetime | None
    owner_ids: Collection[str]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What one subject is to others at one instant. An owner may be in several `kins`.

    `single` are owners of whom those do not tell all, each with its whole standing. With `everybody`, who is
    not named at all is a stranger, but for `unsettled`, of whom nothing is said; else only `asked` are known.
    """

    kins: tuple[Kin, ...]
    single: Mapping[str, Standing]
    everybody: bool
    asked: frozenset[str]
    unsettled: frozenset[str] = frozenset()


class GathersFacts(Protocol):
    """What an adapter of `Facts` may do besides."""

    def gathers(self, subject_id: str) -> bool:
        """Whether `gather` can be expected to tell something of this subject."""
        ...

    async def gather(self, subject_id: str, owner_ids: Sequence[str], now: datetime) -> Gathered | None:
        """What the subject is to these owners and, if that is not too much, to everybody.

        None where that is for `load` to tell, some owners at a time.
        """
        ...

    def gather_at_once(self, subject_id: str, owner_ids: Sequence[str], now: datetime) -> Gathered | None:
        """`gather` without giving way; None where it has to, or is not to be asked."""
        ...


def links_of(facts: Iterable[RelationshipFact]) -> tuple[Link, ...]:
    """All that conditions can tell of relationship facts, in one order."""
    return tuple(sorted({(fact.relation, fact.scopes) for fact in facts}, key=_by_name))


def _by_name(link: Link) -> tuple[str, list[str]]:
    return link[0].value, sorted(link[1])
