"""Equal fetches that are under way at the same time are made once.

INVARIANT: the key holds all that the subgraph gets to see, and with signed calls the subject, so that nobody
is answered with another's rights. A query does not share with one from before a mutation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

from router.flight import Answered, Flight, Flights

_WORTH_ANOTHER_S: Final = 0.1


class FetchesUnderWay(Flights[Answered]):
    """Fetches by key. Who asks first makes it; if that one's client leaves, the next one does."""

    async def joined(
        self, key: Hashable, *, until_s: float, shared: Callable[[], None]
    ) -> Answered | Flight[Answered]:
        """What an equal fetch under way is given, and `shared` is told; one's own where there is none.

        Errors: those of the fetch; TimeoutError where it takes longer than this one may.
        """
        while (flight := self.under_way(key)) is not None:
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
            return answered
        own = self.begun(key, until_s=until_s)
        assert own is not None  # noqa: S101  # nothing came between
        return own

    async def answer(
        self,
        key: Hashable,
        make: Callable[[], Awaitable[Answered]],
        *,
        timeout_s: float,
        shared: Callable[[], None],
        copied: Callable[[Answered], Answered],
    ) -> Answered:
        """What `make` gives, or what an equal fetch under way was given; `shared` is told of the latter.

        `copied` makes an answer for each who shares one: callers change what they are given.
        Errors: those of `make`; TimeoutError where another's fetch takes longer than this one may.
        """
        found = await self.joined(key, until_s=time.monotonic() + timeout_s, shared=shared)
        if not isinstance(found, Flight):
            return copied(found)
        try:
            answered = await make()
        except BaseException as failure:
            self.failed(found, failure)
            raise
        # its maker goes on, and may change it, before those who wait get to see it
        self.landed(found, copied(answered) if found.shared else answered)
        return answered
