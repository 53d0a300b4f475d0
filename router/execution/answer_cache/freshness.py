"""How long an answer is good and for whom, as its subgraph says; and the least of all, for the client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds for which an answer is good; `private` where it is good for its viewer alone."""

    seconds: float
    private: bool

    def and_(self, other: Freshness) -> Freshness:
        """What holds for two answers together."""
        return Freshness(min(self.seconds, other.seconds), self.private or other.private)


STALE: Final = Freshness(0, private=True)


def freshness_of(cache_control: str) -> Freshness | None:
    """What a `Cache-Control` header says; None where it says nothing of how long.

    Only what is said to be public is good for others than its viewer.  Source: RFC 9111 §5.2.2, §3.5.
    """
    said: dict[str, str] = {}
    for directive in cache_control.lower().split(","):
        name, _, value = directive.strip().partition("=")
        said[name] = value.strip('" ')
    if "no-store" in said or "no-cache" in said:
        return STALE
    shared = ("public" in said or "s-maxage" in said) and "private" not in said
    age = said.get("s-maxage", said.get("max-age", "")) if shared else said.get("max-age", "")
    if not age.isdecimal() or len(age) > 12:
        return None
    return Freshness(float(age), private=not shared)


class Collected:
    """The least freshness of all that one answer is made of. An answer of no fetches says nothing."""

    __slots__ = ("_least",)

    def __init__(self) -> None:
        self._least: Freshness | None = None

    def add(self, freshness: Freshness) -> None:
        """One more part of the answer."""
        self._least = freshness if self._least is None else self._least.and_(freshness)

    def header(self, *, shared: bool) -> str | None:
        """The client's `Cache-Control`: None where nothing may be kept. `shared`: the answer depends on no
        caller's rights, so that it may be public."""
        if self._least is None or self._least.seconds < 1:
            return None
        audience = "public" if shared and not self._least.private else "private"
        return f"max-age={int(self._least.seconds)}, {audience}"


_collected: Final[ContextVar[Collected | None]] = ContextVar("collected_freshness", default=None)


@contextmanager
def collecting() -> Iterator[Collected]:
    """Inside the block, what subgraphs say of their answers is collected."""
    collected = Collected()
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def tell(freshness: Freshness) -> None:
    """A fetch was answered with what is good for so long."""
    collected = _collected.get()
    if collected is not None:
        collected.add(freshness)


def now_s() -> float:
    """Seconds since the epoch: entries are shared between processes."""
    return time.time()
