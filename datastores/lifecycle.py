"""Open, ready, close, in order: stores come up one after the other and go down the other way round."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from datastores.errors import StoreError, Unavailable

log = logging.getLogger(__name__)


class Store(Protocol):
    """What every port has."""

    async def open(self) -> None:
        """Make ready to serve."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        ...

    async def close(self) -> None:
        """Finish and give back resources."""
        ...


@asynccontextmanager
async def opened(stores: Mapping[str, Store], *, close_timeout_s: float = 15.0) -> AsyncIterator[None]:
    """`stores` by name, open inside the block.

    Order: opened as given, closed in reverse; where one does not open, those before it are closed again.
    Errors: the StoreError of the store that did not open, with its name in front.
    """
    running: list[tuple[str, Store]] = []
    try:
        for name, store in stores.items():
            await _open(name, store)
            running.append((name, store))
        yield
    finally:
        for name, store in reversed(running):
            await _close(name, store, close_timeout_s)


async def unready(stores: Mapping[str, Store], *, timeout_s: float = 2.0) -> dict[str, str]:
    """Why each store that cannot serve now cannot; empty where all can. Asks all at once."""
    answers = await asyncio.gather(*(_why_unready(store, timeout_s) for store in stores.values()))
    return {name: why for name, why in zip(stores, answers, strict=True) if why is not None}


async def _open(name: str, store: Store) -> None:
    try:
        await store.open()
    except StoreError as error:
        raise type(error)(f"{name}: {error}") from error


async def _close(name: str, store: Store, timeout_s: float) -> None:
    """Close; a failure is logged, because the others must still be closed."""
    try:
        async with asyncio.timeout(timeout_s):
            await store.close()
    except Exception:
        log.exception("the store %s did not close cleanly", name)


async def _why_unready(store: Store, timeout_s: float) -> str | None:
    try:
        async with asyncio.timeout(timeout_s):
            await store.ready()
    except Unavailable as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    return None
