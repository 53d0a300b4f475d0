"""Wakes the relays of a process right after a commit, from whichever thread committed."""

from __future__ import annotations

import asyncio

from datastores.relational.port import Relational


class Wakes:
    """The wake-up flags of each source's relays."""

    def __init__(self) -> None:
        self._flags: dict[int, list[asyncio.Event]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Take wake-ups from now on, for the running loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Take no more."""
        self._loop = None
        self._flags.clear()

    def of(self, source: Relational) -> asyncio.Event:
        """A new flag that is set after each commit to `source`."""
        flag = asyncio.Event()
        self._flags.setdefault(id(source), []).append(flag)
        return flag

    def committed(self, source: Relational) -> None:
        """Tell of a commit; called on the store's own thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.wake, source)

    def wake_all(self) -> None:
        """Wake every relay; called on the loop."""
        for flag in (flag for each in self._flags.values() for flag in each):
            flag.set()

    def wake(self, source: Relational) -> None:
        """Wake the relays of `source`; called on the loop."""
        # A store that is none of the sources is within one of them, as a vault's is: we cannot tell which.
        flags = self._flags.get(id(source)) or [flag for each in self._flags.values() for flag in each]
        for flag in flags:
            flag.set()
