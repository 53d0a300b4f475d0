"""Seals: calls of the router signed by a shared secret, for subgraphs that are not the platform's own.

The header says `t=SECONDS,n=NONCE,v1=HEX`. HEX is the HMAC-SHA256, by the secret, of the lines `v1`, SECONDS,
NONCE, the subgraph's name and the hex SHA-256 of the body's bytes as they are sent, joined by newlines. It
proves that the router made the call, not who asks. Source: RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence

from authz.errors import InvalidCall

SECRET_BYTES_MIN = 32
WINDOW_S = 30
"""A seal is good for so long before and after its time, by the verifier's clock."""
SEAL_CHARS_MAX = 256
HEADER_NAME = "stadion-seal"
_SEAL = re.compile(r"t=([0-9]{1,12}),n=([A-Za-z0-9_-]{16,64}),v1=([0-9a-f]{64})")


def seal_of(subgraph: str, body: bytes, secret: bytes, *, now_s: float, nonce: str | None = None) -> str:
    """The header's value for one call. Units: `now_s` in seconds since the epoch.

    Errors: ValueError for a secret of fewer than 32 bytes.
    """
    check_secret(secret)
    time_s, nonce = str(int(now_s)), nonce or secrets.token_urlsafe(12)
    return f"t={time_s},n={nonce},v1={_mac(secret, time_s, nonce, subgraph, body)}"


def verify_seal(
    seal: str,
    subgraph: str,
    body: bytes,
    known_secrets: Sequence[bytes],
    *,
    now_s: float,
    seen: SeenSeals | None = None,
) -> None:
    """Do nothing for a call of the router; `known_secrets` may hold the one before while it is replaced.

    With `seen`, a second use is refused.  Errors: InvalidCall, always the same.
    """
    found = _SEAL.fullmatch(seal) if len(seal) <= SEAL_CHARS_MAX else None
    if found is None or abs(now_s - int(found[1])) > WINDOW_S:
        raise InvalidCall
    time_s, nonce, mac = found.groups()
    expected = [_mac(secret, time_s, nonce, subgraph, body) for secret in known_secrets]
    if not any(hmac.compare_digest(one, mac) for one in expected):
        raise InvalidCall
    if seen is not None and not seen.first_time(nonce, now_s=now_s):
        raise InvalidCall


class SeenSeals:
    """The nonces of seals that were taken, as long as they could be used again. Bounded: when
    `seals_max` are remembered, further calls are refused until the oldest expire."""

    def __init__(self, *, seals_max: int = 200_000) -> None:
        self._seals_max = seals_max
        self._forget_at_s: OrderedDict[str, float] = OrderedDict()

    def first_time(self, nonce: str, *, now_s: float) -> bool:
        """Whether this seal was not seen before; remembers it."""
        while self._forget_at_s and next(iter(self._forget_at_s.values())) <= now_s:
            self._forget_at_s.popitem(last=False)
        if nonce in self._forget_at_s or len(self._forget_at_s) >= self._seals_max:
            return False
        self._forget_at_s[nonce] = now_s + 2 * WINDOW_S + 1
        return True


def check_secret(secret: bytes) -> None:
    """Errors: ValueError for one that could be guessed."""
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"the secret between router and subgraph needs {SECRET_BYTES_MIN} bytes or more")


def _mac(secret: bytes, time_s: str, nonce: str, subgraph: str, body: bytes) -> str:
    text = "\n".join(("v1", time_s, nonce, subgraph, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
