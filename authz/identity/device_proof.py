"""A device's proof that it holds its key: a short-lived signature over what it is for.

client -> compact JWS (`jwk` in its header) -> the key's thumbprint, by which accounts knows the device. The
key never leaves the device, so that a stolen password or refresh token is worth nothing elsewhere.
Source: after RFC 9449 (DPoP), bound to one act and its text in place of a URL.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from joserfc import jws

from authz.errors import InvalidProof
from authz.identity.keys import SigningJwk, import_jwk
from authz.identity.tokens import MALFORMED

PROOF_TYPE = "stadion-device+jwt"
PROOF_BYTES_MAX = 2_048
PROOF_AGE_S_MAX = 60
CLOCK_SKEW_S = 5
_HEADER = frozenset({"alg", "typ", "jwk"})
_PUBLIC_PARTS = frozenset({"kty", "crv", "x", "y"})


@dataclass(frozen=True, slots=True)
class ProvenKey:
    """A key that its holder has just used. `proof_hash` tells one proof from every other."""

    thumbprint: str
    public_key: str
    proof_hash: str


def proven_key(proof: str, *, audience: str, act: str, text: str, now: datetime) -> ProvenKey:
    """The key that signed this proof, made within the last minute for this act on this text.

    Whether the key is known, and the proof new, is for the caller to see.  Errors: InvalidProof, always the
    same.
    """
    try:
        if len(proof) > PROOF_BYTES_MAX:
            raise ValueError
        header = _header(proof)
        key = import_jwk(header["alg"], header["jwk"])
        claims = msgspec.json.decode(jws.deserialize_compact(proof, key, [header["alg"]]).payload)
        _check(claims, audience=audience, act=act, text=text, now=now)
        return ProvenKey(key.thumbprint(), _public(key), hashlib.sha256(proof.encode()).hexdigest())
    except (*MALFORMED, AttributeError):
        raise InvalidProof from None


def proof_claims(*, audience: str, act: str, text: str, now: datetime, nonce: str) -> dict[str, Any]:
    """What a device signs, for clients written in Python and for tests."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"aud": audience, "act": act, "sha256": digest, "iat": int(now.timestamp()), "jti": nonce}


def _header(proof: str) -> Mapping[str, Any]:
    segment = proof.split(".", 1)[0]
    header = msgspec.json.decode(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if header.keys() != _HEADER or header["typ"] != PROOF_TYPE or header["alg"] not in ("Ed25519", "ES256"):
        raise ValueError
    # A private part in a proof is a key that everybody on the way has read.
    if not header["jwk"].keys() <= _PUBLIC_PARTS:
        raise ValueError
    return dict(header)


def _check(claims: Any, *, audience: str, act: str, text: str, now: datetime) -> None:
    issued_at = claims["iat"]
    if type(issued_at) is not int or not isinstance(claims["jti"], str) or len(claims["jti"]) < 8:
        raise ValueError
    if claims["aud"] != audience or claims["act"] != act:
        raise ValueError
    if not -CLOCK_SKEW_S <= now.timestamp() - issued_at <= PROOF_AGE_S_MAX:
        raise ValueError
    if not hmac.compare_digest(claims["sha256"].encode(), hashlib.sha256(text.encode()).hexdigest().encode()):
        raise ValueError


def _public(key: SigningJwk) -> str:
    parts = key.as_dict(private=False)
    return json.dumps({name: parts[name] for name in sorted(_PUBLIC_PARTS & parts.keys())})
