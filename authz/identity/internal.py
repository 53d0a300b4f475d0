"""The router's word to a subgraph: who is asking, for this one call alone.

A compact JWS (HS256 by a key that router and subgraphs share) in the header `stadion-subject`, bound to the
subgraph's name and to the bytes of the call's body.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from joserfc import jws
from joserfc.jwk import OctKey

from authz.errors import InvalidCall
from authz.identity.claims import claims_of, subject_from_claims
from authz.identity.subject import ANONYMOUS, Subject
from authz.identity.tokens import MALFORMED

HEADER_NAME = "stadion-subject"
KEY_BYTES_MIN = 32
CALL_LIFETIME_S = 30
CLOCK_SKEW_S = 5
CALL_BYTES_MAX = 8_192
ISSUER = "stadion-router"
CALL_TYPE = "stadion-call+jwt"
_HEADER = {"alg": "HS256", "typ": CALL_TYPE}


@dataclass(frozen=True, slots=True)
class CallKey:
    """A shared signing key of at least 32 bytes."""

    jwk: OctKey

    def __repr__(self) -> str:
        return "CallKey(…)"


def call_key(secret: bytes) -> CallKey:
    """The key made of `secret`.  Errors: ValueError for fewer than 32 bytes."""
    if len(secret) < KEY_BYTES_MIN:
        raise ValueError(f"the key between router and subgraphs needs {KEY_BYTES_MIN} bytes or more")
    return CallKey(OctKey.import_key(secret))


class SeenCalls:
    """The signatures a subgraph has accepted in the last seconds, so that none is accepted twice.

    Bounded: when `calls_max` are remembered, further calls are refused until the oldest expire.
    """

    def __init__(self, *, calls_max: int = 200_000) -> None:
        self._calls_max = calls_max
        self._forget_at: OrderedDict[str, datetime] = OrderedDict()

    def first_time(self, call_id: str, *, now: datetime) -> bool:
        """Whether this call was not seen before; remembers it."""
        while self._forget_at and next(iter(self._forget_at.values())) <= now:
            self._forget_at.popitem(last=False)
        if call_id in self._forget_at or len(self._forget_at) >= self._calls_max:
            return False
        self._forget_at[call_id] = now + timedelta(seconds=CALL_LIFETIME_S + CLOCK_SKEW_S)
        return True


def sign_call(subject: Subject, subgraph: str, body_sha256: str, key: CallKey | bytes, now: datetime) -> str:
    """The value of header `stadion-subject` for one call. `body_sha256` is the hex digest of the sent bytes.

    Errors: ValueError for a key of fewer than 32 bytes.
    """
    shared = key if isinstance(key, CallKey) else call_key(key)
    issued_at = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": subgraph,
        "iat": issued_at,
        "exp": issued_at + CALL_LIFETIME_S,
        "jti": secrets.token_urlsafe(12),
        "body": body_sha256,
        "subject": _subject_claims(subject),
    }
    return jws.serialize_compact(dict(_HEADER), msgspec.json.encode(claims), shared.jwk, ["HS256"])


def verify_call(
    signature: str,
    subgraph: str,
    body_sha256: str,
    keys: CallKey | bytes | Sequence[CallKey | bytes],
    now: datetime,
    *,
    seen: SeenCalls | None = None,
) -> Subject:
    """The subject on whose behalf the router calls this subgraph with this body.

    `keys` may hold the previous key too while it is being replaced. With `seen`, a second use is refused.
    Errors: InvalidCall, always the same.
    """
    listed = [keys] if isinstance(keys, CallKey | bytes) else list(keys)
    try:
        claims = _proven_claims(signature, [k if isinstance(k, CallKey) else call_key(k) for k in listed])
        _check_binding(claims, subgraph, body_sha256, now)
        subject = _subject(claims["subject"])
        call_id = claims["jti"]
    except (*MALFORMED, AttributeError):
        raise InvalidCall from None
    if not isinstance(call_id, str) or (seen is not None and not seen.first_time(call_id, now=now)):
        raise InvalidCall
    return subject


def _proven_claims(signature: str, keys: Sequence[CallKey]) -> Mapping[str, Any]:
    if len(signature) > CALL_BYTES_MAX:
        raise ValueError
    for key in keys:
        unproven = jws.extract_compact(signature.encode())
        if unproven.protected == _HEADER and jws.validate_compact(unproven, key.jwk, ["HS256"]):
            claims = msgspec.json.decode(unproven.payload)
            if isinstance(claims, dict):
                return claims
    raise ValueError


def _check_binding(claims: Mapping[str, Any], subgraph: str, body_sha256: str, now: datetime) -> None:
    issued_at, expires_at = claims["iat"], claims["exp"]
    if type(issued_at) is not int or type(expires_at) is not int:
        raise TypeError
    if claims["iss"] != ISSUER or claims["aud"] != subgraph:
        raise ValueError
    if expires_at - issued_at > CALL_LIFETIME_S:
        raise ValueError
    if not issued_at - CLOCK_SKEW_S <= now.timestamp() < expires_at:
        raise ValueError
    if not hmac.compare_digest(claims["body"].encode(), body_sha256.encode()):
        raise ValueError


def _subject_claims(subject: Subject) -> dict[str, Any]:
    expires_at = subject.expires_at_utc
    around: dict[str, Any] = {
        "address": subject.client_address,
        "expires_at": None if expires_at is None else expires_at.timestamp(),
    }
    return claims_of(subject) | {name: value for name, value in around.items() if value is not None}


def _subject(claims: Mapping[str, Any]) -> Subject:
    if not isinstance(claims, dict):
        raise TypeError
    address = claims.get("address")
    if not isinstance(address, str | None):
        raise TypeError
    if "sub" not in claims:
        # Whoever shows no token has nothing but an address.
        return ANONYMOUS if address is None else replace(ANONYMOUS, client_address=address)
    seconds = claims.get("expires_at")
    expires_at = None if seconds is None else datetime.fromtimestamp(float(seconds), UTC)
    subject = subject_from_claims(claims, expires_at_utc=expires_at)
    return subject if address is None else replace(subject, client_address=address)
