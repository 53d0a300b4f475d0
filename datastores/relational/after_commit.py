"""What is to happen once a write is committed, such as waking the relay of events; adapters call it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from datastores.relational.port import Relational

_KEY = "stadion.after_commit"


def after_commit(connection: Connection, callback: Callable[[Relational], None]) -> None:
    """Call `callback` with the store once the running write is committed; never after a rollback.

    It runs on the store's own thread, so it hands over and returns. Adding it twice means once.
    """
    callbacks: list[Callable[[Relational], None]] = connection.info.setdefault(_KEY, [])
    if callback not in callbacks:
        callbacks.append(callback)


def take_callbacks(connection: Connection) -> list[Callable[[Relational], None]]:
    """The callbacks of the running write, which then has none; an adapter calls this before the commit."""
    callbacks: list[Callable[[Relational], None]] = connection.info.pop(_KEY, [])
    return callbacks
