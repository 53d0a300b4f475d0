"""The cache port: bytes under a key for a limited time, made once however many ask at the same moment.

Losing everything at any time is allowed, so no caller may need what it has put here. Keys come from
`datastores.cache.keys`, which makes the caller say whose rights the value depends on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

KEY_BYTES_MAX = 250
VALUE_BYTES_MAX = 1_048_576
TTL_S_MAX = 30 * 24 * 3600


class Cache(Protocol):
    """Bytes by key, each with a time to live.

    Ordering: of two writes of one key the later acknowledged one stays. Atomicity: per key, not per call.
    Errors: Unavailable where the server did not answer in time; there is no NotFound (a miss is left out)
    and no Conflict. ValueError for a key over 250 bytes, a value over 1 MiB, a time outside (0, 30 days].
    """

    async def open(self) -> None:
        """Connect; raises Unavailable."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        ...

    async def close(self) -> None:
        """Stop what is being made, then disconnect."""
        ...

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values that are there, by key."""
        ...

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        """Keep `values` for `ttl_s`; older values of the same keys go."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Forget `keys`. What was being made for them while this ran is not kept by this process."""
        ...

    async def get_or_make(self, key: str, make: Callable[[], Awaitable[bytes]], *, ttl_s: float) -> bytes:
        """The value of `key`; where it is missing, what `make` gives, kept for `ttl_s`.

        `make` runs once for all who ask in this process, and as a rule once for all processes of a shared
        server. Shortly before a value ends it is made anew in the background, the sooner the longer `make`
        takes. An error of `make` reaches everyone who waited and is not kept. A caller that is cancelled
        takes nobody with it. A cache that is Unavailable only means that `make` runs.
        """
        ...
