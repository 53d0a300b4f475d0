"""Flights: things under way that others who want the same wait for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

Answered = TypeVar("Answered")


class Flight(Generic[Answered]):
    """One thing under way. Its future is made for the first who waits: most are nobody else's."""

    __slots__ = ("_waited", "key", "until_s")

    def __init__(self, key: Hashable, until_s: float = math.inf) -> None:
        self.key = key
        self.until_s = until_s
        """Until when its maker waits for it."""
        self._waited: asyncio.Future[Answered] | None = None

    def landing(self) -> asyncio.Future[Answered]:
        """What those who share it wait for; shielded, so that one who leaves takes nobody along."""
        if self._waited is None:
            self._waited = asyncio.get_running_loop().create_future()
        return self._waited

    @property
    def shared(self) -> bool:
        """Whether somebody has waited for it besides its maker."""
        return self._waited is not None

    def landed(self, answered: Answered) -> None:
        """Tell those who wait what came."""
        if self._waited is not None:
            self._waited.set_result(answered)

    def failed(self, failure: BaseException) -> None:
        """Tell those who wait what went wrong; where its maker was cancelled, it is theirs to make now."""
        waited = self._waited
        if waited is None:
            return
        if isinstance(failure, asyncio.CancelledError):
            waited.cancel()
            return
        waited.set_exception(failure)
        waited.exception()  # seen, even if all who waited have left


class Flights(Generic[Answered]):
    """Flights by what they bring. What begins after a mutation shares with nothing from before it."""

    __slots__ = ("_mutations_seen", "_under_way")

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Flight[Answered]] = {}
        self._mutations_seen = 0

    def mutated(self) -> None:
        """A mutation begins or ends."""
        self._mutations_seen += 1

    def under_way(self, key: Hashable) -> Flight[Answered] | None:
        """The flight that brings this; None where there is none."""
        return self._under_way.get((key, self._mutations_seen))

    def begun(self, key: Hashable, *, until_s: float = math.inf) -> Flight[Answered] | None:
        """One's own flight, to be ended by `landed` or `failed`; None where another brings this."""
        key = (key, self._mutations_seen)
        if key in self._under_way:
            return None
        own: Flight[Answered] = Flight(key, until_s)
        self._under_way[key] = own
        return own

    def landed(self, own: Flight[Answered], answered: Answered) -> None:
        """One's own flight has brought this."""
        del self._under_way[own.key]
        own.landed(answered)

    def failed(self, own: Flight[Answered], failure: BaseException) -> None:
        """One's own flight has brought nothing."""
        del self._under_way[own.key]
        own.failed(failure)
