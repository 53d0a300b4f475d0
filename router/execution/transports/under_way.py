"""Equal fetches that are under way at the same time are made once.

INVARIANT: the key holds all that the subgraph gets to see, and with signed calls the subject, so that nobody
is answered with another's rights. A query does not share with one from before a mutation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

Answered = TypeVar("Answered")
_WORTH_ANOTHER_S: Final = 0.1


class FetchesUnderWay(Generic[Answered]):
    """Fetches by key. Who asks first makes it; if that one's client leaves, the next one does."""

    __slots__ = ("_mutations_seen", "_under_way")

    def __init__(self) -> None:
        self._under_way: dict[Hashable, tuple[asyncio.Future[Answered], float]] = {}
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
    ) -> Answered:
        """What `make` gives, or what an equal fetch under way was given; `shared` is told of the latter.

        Errors: those of `make`; TimeoutError where another's fetch takes longer than this one may.
        """
        key, until_s = (key, self._mutations_seen), time.monotonic() + timeout_s
        while (found := self._under_way.get(key)) is not None:
            under_way, its_until_s = found
            try:
                answered = await asyncio.wait_for(asyncio.shield(under_way), until_s - time.monotonic())
            except asyncio.CancelledError:
                if not under_way.cancelled():
                    raise  # this client left; the one who makes the fetch did not
                continue
            except Exception:
                if under_way.done() and until_s > its_until_s + _WORTH_ANOTHER_S:
                    continue  # that one had less time: its failure need not be ours
                raise
            shared()
            return answered
        return await self._make(key, make, until_s)

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Answered]], until_s: float) -> Answered:
        under_way: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._under_way[key] = under_way, until_s
        try:
            answered = await make()
        except asyncio.CancelledError:
            under_way.cancel()
            raise
        except BaseException as failure:
            under_way.set_exception(failure)
            under_way.exception()  # seen, even if nobody shares it
            raise
        else:
            under_way.set_result(answered)
            return answered
        finally:
            del self._under_way[key]
