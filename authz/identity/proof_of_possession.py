"""DPoP: a bearer's proof, made anew for each request, that it holds the key which a token is bound to.

request -> compact JWS (`jwk` in its header) over method, URL and token -> the key's thumbprint, which has to
be the token's `cnf.jkt`. A stolen token is worth nothing without the key. Source: RFC 9449.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from authz.errors import InvalidProof, NonceNeeded
from authz.identity.clock import Clock, now_utc
from authz.identity.proof_nonces import ProofNonces

PROOF_TYPE = "dpop+jwt"
SCHEME = "dpop"
HEADER_NAME = "dpop"
ALGORITHMS = ("ES256", "Ed25519")
PROOF_BYTES_MAX = 4_096
PROOF_AGE_S_MAX = 50
"""With the skew less than the minute for which one is remembered."""
CLOCK_SKEW_S = 5
JTI_CHARACTERS_MIN = 8
JTI_CHARACTERS_MAX = 200
_HEADER = frozenset({"alg", "typ", "jwk"})
_PUBLIC_PARTS = frozenset({"kty", "crv", "x", "y", "kid", "use", "alg", "key_ops"})


@dataclass(frozen=True, slots=True)
class Possession:
    """What a proof proves: which key, and a digest by which it is known again."""

    thumbprint: str
    proof_hash: str


class SeenProofs:
    """Proofs that were accepted in the last minute, so that none is accepted twice. One an app.

    Bounded: when `proofs_max` are remembered, further ones are refused until the oldest have aged.
    """

    def __init__(self, *, proofs_max: int = 500_000, clock: Clock = now_utc) -> None:
        self._proofs_max = proofs_max
        self._clock = clock
        self._forget_at_s: OrderedDict[str, float] = OrderedDict()

    def first_time(self, proof_hash: str) -> bool:
        """Whether this proof was not seen before; remembers it."""
        now_s = self._clock().timestamp()
        while self._forget_at_s and next(iter(self._forget_at_s.values())) <= now_s:
            self._forget_at_s.popitem(last=False)
        if proof_hash in self._forget_at_s or len(self._forget_at_s) >= self._proofs_max:
            return False
        self._forget_at_s[proof_hash] = now_s + PROOF_AGE_S_MAX + CLOCK_SKEW_S
        return True


def possession(
    proof: str,
    *,
    method: str,
    urls: frozenset[str],
    token: str | None,
    now_s: float,
    nonces: ProofNonces | None = None,
) -> Possession:
    """The key that signed this proof for one request: of this method, to one of these URLs, with this token.

    Whether it is the token's key, and whether the proof is new, is for the caller to see.
    Errors: InvalidProof, always the same; NonceNeeded where it lacks one of `nonces`.  Source: RFC 9449 §4.3.
    """
    # what verifies takes long to load, and most routers never do
    from joserfc import jws

    from authz.identity.keys import import_jwk
    from authz.identity.tokens import MALFORMED

    try:
        if len(proof) > PROOF_BYTES_MAX:
            raise ValueError
        header = _header(proof)
        key = import_jwk(header["alg"], header["jwk"])
        claims = msgspec.json.decode(jws.deserialize_compact(proof, key, [header["alg"]]).payload)
        _check(claims, method=method, urls=urls, token=token, now_s=now_s)
        thumbprint = key.thumbprint()
        named = hashlib.sha256(f"{thumbprint} {claims['jti']}".encode()).hexdigest()
        nonce = claims.get("nonce")
    except (*MALFORMED, AttributeError):
        raise InvalidProof from None
    if nonces is not None and not nonces.takes(nonce if isinstance(nonce, str) else None):
        raise NonceNeeded(nonces.current())
    return Possession(thumbprint, named)


def proof_claims(*, method: str, url: str, token: str | None, now_s: float, nonce: str) -> dict[str, Any]:
    """What a bearer signs, for clients written in Python and for tests. `nonce` is its `jti`."""
    claims: dict[str, Any] = {"htm": method, "htu": url, "iat": int(now_s), "jti": nonce}
    return claims if token is None else {**claims, "ath": token_digest(token)}


def token_digest(token: str) -> str:
    """How a proof names the token that it goes with."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def bare_url(url: str) -> str:
    """A URL as proofs are compared by it: scheme and host in lower case, no default port, no query.

    Errors: ValueError for what is no http URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError
    default = 443 if parts.scheme == "https" else 80
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path or '/'}"


def _header(proof: str) -> Mapping[str, Any]:
    segment = proof.split(".", 1)[0]
    header = msgspec.json.decode(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if header.keys() != _HEADER or header["typ"] != PROOF_TYPE or header["alg"] not in ALGORITHMS:
        raise ValueError
    # A private part in a proof is a key that everybody on the way has read.
    if not header["jwk"].keys() <= _PUBLIC_PARTS:
        raise ValueError
    return dict(header)


def _check(claims: Any, *, method: str, urls: frozenset[str], token: str | None, now_s: float) -> None:
    issued_at, named = claims["iat"], claims["jti"]
    if type(issued_at) is not int or not isinstance(named, str):
        raise TypeError
    if not JTI_CHARACTERS_MIN <= len(named) <= JTI_CHARACTERS_MAX:
        raise ValueError
    if not -CLOCK_SKEW_S <= now_s - issued_at <= PROOF_AGE_S_MAX:
        raise ValueError
    if claims["htm"] != method or bare_url(claims["htu"]) not in urls:
        raise ValueError
    if token is not None and not hmac.compare_digest(claims["ath"].encode(), token_digest(token).encode()):
        raise ValueError
