"""Equal fetches that are under way at the same time are made once.

INVARIANT: the key holds all that the subgraph gets to see, and with signed calls the subject, so that nobody
is answered with another's rights. A query does not share with one from before a mutation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic

from router.flight import Answered, Flight

_WORTH_ANOTHER_S: Final = 0.1


class _Fetch(Flight[Answered]):
    """A fetch under way, and until when its maker waits for it."""

    __slots__ = ("until_s",)

    def __init__(self, until_s: float) -> None:
        super().__init__()
        self.until_s = until_s


class FetchesUnderWay(Generic[Answered]):
    """Fetches by key. Who asks first makes it; if that one's client leaves, the next one does."""

    __slots__ = ("_mutations_seen", "_under_way")

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Fetch[Answered]] = {}
        self._mutations_seen = 0

    def mutated(self) -> None:
        """A mutation begins or ends: queries from now on share with none from before."""
        self._mutations_seen += 1

    async def answer(
        self,
        key: Hashable,
        make: Callable[[], Awaitable[Answered]],
        *,
        timeout_s: float,
        shared: Callable[[], None],
        copied: Callable[[Answered], Answered] | None = None,
    ) -> Answered:
        """What `make` gives, or what an equal fetch under way was given; `shared` is told of the latter.

        `copied` makes an answer for each who shares one, where callers change what they are given.

        Errors: those of `make`; TimeoutError where another's fetch takes longer than this one may.
        """
        key, until_s = (key, self._mutations_seen), time.monotonic() + timeout_s
        while (flight := self._under_way.get(key)) is not None:
            landing = flight.landing()
            try:
                answered = await asyncio.wait_for(asyncio.shield(landing), until_s - time.monotonic())
            except asyncio.CancelledError:
                if not landing.cancelled():
                    raise  # this client left; the one who makes the fetch did not
                continue
            except Exception:
                if landing.done() and until_s > flight.until_s + _WORTH_ANOTHER_S:
                    continue  # that one had less time: its failure need not be ours
                raise
            shared()
            return answered if copied is None else copied(answered)
        flight = self._under_way[key] = _Fetch(until_s)
        try:
            answered = await make()
        except BaseException as failure:
            del self._under_way[key]
            flight.failed(failure)
            raise
        del self._under_way[key]
        # Its maker goes on, and may change it, before those who wait get to see it.
        flight.landed(copied(answered) if copied is not None and flight.shared else answered)
        return answered
