"""A flight: something under way that others who want the same wait for."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Answered = TypeVar("Answered")


class Flight(Generic[Answered]):
    """One thing under way. Its future is made for the first who waits: most are nobody else's."""

    __slots__ = ("_waited",)

    def __init__(self) -> None:
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
