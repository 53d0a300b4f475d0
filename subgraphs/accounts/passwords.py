"""Password hashing with Argon2id, off the event loop, a bounded number at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from subgraphs.kit import PublicError


@dataclass(frozen=True, slots=True)
class HashCost:
    """What one hash costs.  Source: RFC 9106, second recommended option."""

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4


CHEAPEST = HashCost(passes=1, memory_kib=8, lanes=1)
"""For tests alone."""


class Passwords:
    """Hashes and checks. `threads` hash at once and `waiting_max` more may queue; past that a log-in is
    refused at once with SERVICE_OVERLOADED instead of starving everything else of memory."""

    def __init__(self, *, cost: HashCost | None = None, threads: int = 2, waiting_max: int = 200) -> None:
        cost = cost or HashCost()
        self._hasher = PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes
        )
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._waiting_max = waiting_max
        self._waiting = 0
        # Checked in place of a missing user's hash, so that both take the same time.
        self._nobody = self._executor.submit(self._hasher.hash, "nobody has this password")

    async def hashed(self, password: str) -> str:
        """The encoded hash of a prepared password, with its salt and cost inside."""
        return await self._off_loop(password, None)

    async def fits(self, password: str, encoded: str | None) -> bool:
        """Whether the password is the one hashed; None (no such user) takes as long and is False."""
        checked = encoded if encoded is not None else await asyncio.wrap_future(self._nobody)
        verdict = await self._off_loop(password, checked)
        return verdict == "fits" and encoded is not None

    def outdated(self, encoded: str) -> bool:
        """Whether the hash was made with another cost and should be made anew."""
        return self._hasher.check_needs_rehash(encoded)

    def hashed_now(self, password: str) -> str:
        """As `hashed`, in this thread; for seeding and command lines."""
        return self._hasher.hash(password)

    def close(self) -> None:
        """Let the running hashes finish and give the threads back."""
        self._executor.shutdown(wait=True)

    async def _off_loop(self, password: str, encoded: str | None) -> str:
        if self._waiting >= self._waiting_max:
            raise PublicError("SERVICE_OVERLOADED", "too many log-ins at once; try again in a few seconds")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            if encoded is None:
                return await loop.run_in_executor(self._executor, self.hashed_now, password)
            return await loop.run_in_executor(self._executor, self._checked, password, encoded)
        finally:
            self._waiting -= 1

    def _checked(self, password: str, encoded: str) -> str:
        try:
            self._hasher.verify(encoded, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return "differs"
        return "fits"
