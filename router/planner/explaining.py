"""What was weighed at one place of an operation, what it would take, and why one won: for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.planner.tree import VisitKind

if TYPE_CHECKING:
    from router.planner.node_builder import NodeBuilder


_UNANSWERED: Final = 40_000.0
"""Costs that differ by more do so for what is left over."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One assignment that was weighed for a field or a selection set, and what it would take.

    `requests_count` are those beyond the parent's own, `stages_count` how many of these wait for one another.
    `why` says of the chosen one what decided for it.
    """

    at: str
    what: str
    cost: float
    requests_count: int
    stages_count: int
    why: str = ""

    @property
    def chosen(self) -> bool:
        """Whether it won."""
        return bool(self.why)

    def __str__(self) -> str:
        mark = "*" if self.chosen else " "
        takes = f"{_many(self.requests_count, 'request')} in {_many(self.stages_count, 'stage')}"
        why = f" (won: {self.why})" if self.why else ""
        return f"{mark} {self.cost:>10.0f}  {self.at}: {self.what}: {takes}{why}"


def weighed(at: str, tried: Sequence[tuple[str, float, NodeBuilder]]) -> list[Alternative]:
    """The alternatives in the order in which they were tried, the first of the cheapest marked as chosen."""
    found = [
        Alternative(at, what, cost, _requests(builder), _stages(builder)) for what, cost, builder in tried
    ]
    best = min(found, key=lambda one: one.cost)
    others = [one for one in found if one is not best]
    next_best = min(others, key=lambda one: one.cost)
    chosen = Alternative(
        at, best.what, best.cost, best.requests_count, best.stages_count, _why(best, next_best)
    )
    return [chosen if one is best else one for one in found]


def _why(best: Alternative, other: Alternative) -> str:
    if best.cost == other.cost:
        return "tried first among equals"
    if other.cost - best.cost >= _UNANSWERED:
        return "it answers more"
    if best.requests_count < other.requests_count:
        return "fewer requests"
    return "fewer stages" if best.stages_count < other.stages_count else "it selects less, or earlier"


def _requests(builder: NodeBuilder) -> int:
    own = sum(1 for visit in builder.visits if visit.kind is not VisitKind.LOCAL)
    return own + sum(
        resolved.child.fetches_count
        for visit in builder.visits
        for resolved in visit.resolved
        if resolved.child is not None
    )


def _stages(builder: NodeBuilder) -> int:
    known: dict[int, int] = {}
    own = [visit for visit in builder.visits if visit.kind is not VisitKind.LOCAL]
    first = 0 if builder.visits and builder.visits[0].kind is VisitKind.LOCAL and builder.graph else 1
    return max((builder.stage(visit.index, known) + first for visit in own), default=0)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
