"""Loaders of one request: what many resolvers ask for in one turn of the loop is loaded together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from aiodataloader import DataLoader, Loader, dispatch_queue_batch
from sqlalchemy import Connection

from datastores.relational.port import Relational, glance

K = TypeVar("K")
V = TypeVar("V")

GLANCED_KEYS_MAX = 32
"""So many keys are looked up where the loop runs; more are worth a journey to another thread."""
_WHEN_ASKED: Final = frozenset({"loop", "_cache", "_queue"})


def batch_loader(load: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
    """A loader for one request: `load` gets all keys asked in one turn of the event loop, each once, and
    gives what it found; a key that it does not give is None."""
    return _BatchLoader(load)


def row_loader(
    store: Relational, read: Callable[[Connection, list[K]], Mapping[K, V]]
) -> DataLoader[K, V | None]:
    """`batch_loader` of what `read` finds in a store's rows: at a glance for few keys, else in one hop."""
    return _RowLoader(store, read)


class _BatchLoader(DataLoader[K, V | None]):
    """Its base, but for what that looks at each time one is made, and the tasks it makes to begin one: a
    request makes dozens and asks a few."""

    def __init__(self, load: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._load = load

    def __getattr__(self, name: str) -> Any:
        """What only a loader has that is asked."""
        if name not in _WHEN_ASKED:
            raise AttributeError(f"a loader has no `{name}`", name=name, obj=self)
        self.loop = asyncio.get_event_loop()
        self._cache = {}
        self._queue = []
        return getattr(self, name)

    def do_resolve_reject(self, key: K, future: asyncio.Future[V | None]) -> None:
        """Note what is asked; who asks first sees to it that all is loaded."""
        self._queue.append(Loader(key, future))
        if len(self._queue) == 1:
            # Not in the next turn but the one after: who awaits something that is there takes a turn.
            self.loop.call_soon(self.loop.call_soon, self._dispatch)

    def _dispatch(self) -> None:
        queue, self._queue = self._queue, []
        self._begin(queue)

    def _begin(self, queue: list[Loader]) -> None:
        task = self.loop.create_task(dispatch_queue_batch(self, queue))
        _loading.add(task)
        task.add_done_callback(_loading.discard)

    async def batch_load_fn(self, keys: list[K]) -> list[V | None]:
        """What `load` found, in the order of its keys."""
        found = await self._load(keys)
        return [found.get(key) for key in keys]

    def get_cache_key(self, key: K) -> K:
        """A key is its own."""
        return key


class _RowLoader(_BatchLoader[K, V]):
    def __init__(self, store: Relational, read: Callable[[Connection, list[K]], Mapping[K, V]]) -> None:
        self._store = store
        self._read = read

    def _begin(self, queue: list[Loader]) -> None:
        if len(queue) > GLANCED_KEYS_MAX or not self._glance(queue):
            super()._begin(queue)

    def _glance(self, queue: list[Loader]) -> bool:
        keys = [each.key for each in queue]
        found = glance(self._store, lambda connection: self._read(connection, keys))
        if found is None:
            return False
        for each in queue:
            if not each.future.done():
                each.future.set_result(found.get(each.key))
        return True

    async def batch_load_fn(self, keys: list[K]) -> list[V | None]:
        found = await self._store.read(lambda connection: self._read(connection, keys))
        return [found.get(key) for key in keys]


_loading: set[asyncio.Task[None]] = set()
"""Tasks that nobody else holds, so that they are not collected while they run."""
