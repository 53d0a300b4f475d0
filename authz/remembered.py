"""Circles that outlive a request: what a subject is to others, until one of these facts changes.

Authorizer -> RememberedCircles -> the requests of one subject, whatever tokens it shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from authz.circle import Circle
from authz.facts.changes import Changes, TellsChanges
from authz.facts.store import Facts

CIRCLES_MAX = 256
CIRCLE_OWNERS_MAX = 5_000
"""How many owners a circle may have grown by and still be remembered."""
AGE_MAX = timedelta(seconds=30)
"""What was changed past this program, by hand or by one that does not number, counts so much later."""

Who: TypeAlias = tuple[str | None, str | None]
"""The subject's id, and whose facts count for it."""
Confirm: TypeAlias = Callable[[], Awaitable[Circle]]


class RememberedCircles:
    """The circles of one process, at most `CIRCLES_MAX`.

    Facts that nobody else changes say by their `generation` alone whether a circle still holds. What others
    may change is looked for by number: at once after a change by this process, else `look_every_s` after the
    last look. INVARIANT: a circle in here was begun after the look that gave `_number`, or that look has not
    named its subject; so no later change can be missed.
    """

    def __init__(self, facts: Facts, *, look_every_s: float, elapsed_s: Callable[[], float]) -> None:
        self._told: TellsChanges | None = facts if hasattr(facts, "changes_since") else None  # type: ignore[assignment]
        self._facts = facts
        self._look_every_s = look_every_s
        self._elapsed_s = elapsed_s
        self._circles: dict[Who, Circle] = {}
        self._generation = self._counted()
        self._number = 0
        self._looked_at_s: float | None = None

    def of(self, who: Who, now: datetime) -> tuple[Circle, Confirm | None]:
        """The subject's circle, and where it is in doubt an empty one, with what gives the one to go on with
        before any facts are loaded."""
        generation = self._counted()
        if not self._look_every_s or generation is None or who[0] is None:
            return Circle(who[0], now), None
        if self._told is None:
            if generation != self._generation:
                self._circles.clear()
                self._generation = generation
            return self._held(who, now), None
        if who not in self._circles or not self._doubtful(generation) or self._looked_at_once():
            return self._held(who, now), None

        async def confirm() -> Circle:
            await self._look()
            return self._held(who, now)

        return Circle(who[0], now), confirm

    def _counted(self) -> int | None:
        return getattr(self._facts, "generation", None)

    def _doubtful(self, generation: int) -> bool:
        looked_at_s = self._looked_at_s
        return (
            looked_at_s is None
            or generation != self._generation
            or self._elapsed_s() - looked_at_s > self._look_every_s
        )

    def _held(self, who: Who, now: datetime) -> Circle:
        known = self._circles.get(who)
        if (
            known is not None
            and known.holds_at(now)
            and now - known.begun_at_utc <= AGE_MAX
            and len(known) <= CIRCLE_OWNERS_MAX
        ):
            return known
        if known is None and len(self._circles) >= CIRCLES_MAX:
            # The oldest makes room.
            del self._circles[next(iter(self._circles))]
        circle = self._circles[who] = Circle(who[0], now)
        return circle

    def _looked_at_once(self) -> bool:
        """Whether `_look` could be done without giving way, and is."""
        assert self._told is not None  # noqa: S101 - `of` has looked
        began_s, generation, since = self._elapsed_s(), self._counted(), self._number
        changes = self._told.changes_at_once(since)
        if changes is not None:
            self._take(changes, since, began_s, generation)
        return changes is not None

    async def _look(self) -> None:
        """Drop the circles of subjects whose facts have changed.  Errors: Unavailable."""
        assert self._told is not None  # noqa: S101 - `of` has looked
        began_s, generation, since = self._elapsed_s(), self._counted(), self._number
        self._take(await self._told.changes_since(since), since, began_s, generation)

    def _take(self, changes: Changes, since: int, began_s: float, generation: int | None) -> None:
        if changes.subject_ids is None or self._looked_at_s is None:
            self._circles.clear()
        else:
            for who in [each for each in self._circles if not changes.subject_ids.isdisjoint(each)]:
                del self._circles[who]
        if changes.number < since:
            self._number = changes.number
        else:
            # Of two looks at once, the later number may have come first.
            self._number = max(self._number, changes.number)
        if self._looked_at_s is None or began_s >= self._looked_at_s:
            self._looked_at_s, self._generation = began_s, generation
