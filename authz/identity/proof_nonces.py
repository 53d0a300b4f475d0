"""Nonces of proofs: words of ours that a proof has to repeat, so that nobody makes proofs in advance.

Derived from the time and a key, and not remembered. With a key of its own a router takes no proof that was
made for another; with a shared one any router takes them. Source: RFC 9449 §8, §9.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from authz.identity.clock import Clock, now_utc

LIFETIME_S = 150
"""So long one is handed out; it is taken for as long again."""
KEY_BYTES_MIN = 32
HEADER_NAME = "dpop-nonce"


class ProofNonces:
    """One server's, or those of several that hold the same `key`; without one they are its own."""

    def __init__(self, key: bytes | None = None, *, clock: Clock = now_utc) -> None:
        if key is not None and len(key) < KEY_BYTES_MIN:
            raise ValueError(f"a key for nonces has {KEY_BYTES_MIN} bytes or more")
        self._key = key or os.urandom(KEY_BYTES_MIN)
        self._clock = clock

    def current(self) -> str:
        """The one to hand out now."""
        return self._made(self._window())

    def takes(self, nonce: str | None) -> bool:
        """Whether it was handed out here lately."""
        if nonce is None:
            return False
        window, given = self._window(), nonce.encode()
        known = [self._made(each).encode() for each in (window, window - 1)]
        return bool(sum([hmac.compare_digest(given, each) for each in known]))

    def _window(self) -> int:
        return int(self._clock().timestamp()) // LIFETIME_S

    def _made(self, window: int) -> str:
        seal = hmac.new(self._key, b"proof nonce %d" % window, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(seal[:18]).decode()
