"""Access tokens: accounts issues them, the router's edge turns them into a Subject."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.claims import (
    claims_of,
    instant,
    optional_text,
    subject_from_claims,
    text,
    texts,
    thumbprint,
)
from authz.identity.clock import Clock, now_utc
from authz.identity.keys import (
    OWN_ALGORITHMS,
    ForeignAlgorithm,
    KeyRing,
    VerificationKey,
)
from authz.identity.revocation import TOKEN_LIFETIME, Revocations
from authz.identity.subject import Subject

TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, no secret
TOKEN_BYTES_MAX = 4_096
PROVEN_TOKENS_MAX = 4_096
"""Tokens whose signature is not proven again, known by their digests."""
FOREIGN_TOKEN_BYTES_MAX = 16_384
"""Others put more into a token than we do."""
HEADER_NAMES = frozenset({"alg", "kid", "typ"})
MALFORMED = (
    JoseError,
    msgspec.DecodeError,
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    OSError,
    RecursionError,
)
"""Everything that reading bytes of an attacker's choice may raise."""


class Keys(Protocol):
    """Where a verifier finds a public key: a KeyRing, or the PublicKeys of a foreign issuer."""

    def find(self, kid: str) -> VerificationKey | None:
        """The public key of that id, or None."""
        ...


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """What issuer and verifier agree on. Both names are required: a check without them proves nothing."""

    issuer: str
    audience: str
    lifetime: timedelta = TOKEN_LIFETIME
    clock_skew: timedelta = timedelta(seconds=5)
    foreign: ForeignTerms | None = None

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("access tokens need an issuer and an audience")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTerms:
    """What holds for the tokens of somebody else's issuer.

    They may be for several audiences, ours among them, and have headers beside `alg`, `kid` and `typ`, which
    are not looked at. `types` are what `typ` may say, lower case, empty where it may be missing. Of their
    roles those in `roles` count alone, `subject_prefix` keeps their people apart from ours, and they speak
    for nobody's level of authentication, region or device.
    """

    algorithms: tuple[ForeignAlgorithm, ...] = OWN_ALGORITHMS
    types: frozenset[str] = frozenset({TOKEN_TYPE, "jwt"})
    roles: frozenset[Role] = frozenset()
    subject_prefix: str = ""


class TokenIssuer:
    """Signs access tokens with the newest key of a ring."""

    def __init__(self, terms: TokenTerms, keys: KeyRing, *, clock: Clock = now_utc) -> None:
        self._terms = terms
        self._keys = keys
        self._clock = clock

    @property
    def issuer(self) -> str:
        """Who its tokens say that they are from; what devices make their proofs for."""
        return self._terms.issuer

    def issue(self, subject: Subject) -> str:
        """An access token that says what `subject` says, valid for the terms' lifetime from now.

        `subject.expires_at_utc` is ignored.  Errors: ValueError for an anonymous subject.  Source: RFC 9068.
        """
        if subject.id is None:
            raise ValueError("an anonymous subject gets no token")
        issued_at = int(self._clock().timestamp())
        key = self._keys.signing_key
        claims = {
            "iss": self._terms.issuer,
            "aud": self._terms.audience,
            "iat": issued_at,
            "exp": issued_at + int(self._terms.lifetime.total_seconds()),
            "jti": secrets.token_urlsafe(12),
            **claims_of(subject),
        }
        header = {"alg": key.algorithm, "kid": key.kid, "typ": TOKEN_TYPE}
        token = jws.serialize_compact(header, msgspec.json.encode(claims), key.jwk, [key.algorithm])
        if len(token) > TOKEN_BYTES_MAX:
            raise ValueError(f"an access token may have {TOKEN_BYTES_MAX} bytes; grant fewer scopes")
        return token

    def told(self, subject: Subject) -> dict[str, Any]:
        """What the token of a subject, as a verifier has found it, says besides who issued it."""
        if subject.expires_at_utc is None:
            raise ValueError("only the subject of a token has what it says")
        expires_at = int(subject.expires_at_utc.timestamp())
        issued_at = expires_at - int(self._terms.lifetime.total_seconds())
        return {"aud": self._terms.audience, "iat": issued_at, "exp": expires_at, **claims_of(subject)}


class TokenVerifier:
    """Turns an access token into a Subject, or refuses it with one constant error."""

    def __init__(
        self,
        terms: TokenTerms,
        keys: Keys,
        *,
        revocations: Revocations | None = None,
        clock: Clock = now_utc,
    ) -> None:
        self._terms = terms
        self._keys = keys
        self._revocations = revocations
        self._clock = clock
        self._proven: OrderedDict[bytes, tuple[str, VerificationKey, Mapping[str, Any]]] = OrderedDict()

    def verify(self, token: str) -> Subject:
        """The caller that the token proves.

        Refused: any algorithm but the key's own, an unknown key, a changed byte, another issuer or
        audience, a token that expired, lives longer than the terms allow, or whose session is revoked.
        Errors: InvalidToken, always the same.  Source: RFC 8725 §3, RFC 9068 §4.
        """
        try:
            claims = self._proven_claims(token)
            subject = self._subject_of(claims)
        except MALFORMED:
            # The cause is not chained: what was wrong with a token is nobody's business.
            raise InvalidToken from None
        return subject

    def still_valid(self, subject: Subject) -> bool:
        """Whether a subject taken from a token may go on: asked by open streams before each event."""
        now = self._clock()
        if subject.id is None:
            return True
        if subject.expires_at_utc is None or subject.expires_at_utc <= now:
            return False
        issued_at = subject.expires_at_utc - self._terms.lifetime
        return not self._refused(subject, subject.id, issued_at, now)

    def _proven_claims(self, token: str) -> Mapping[str, Any]:
        foreign = self._terms.foreign
        if len(token) > (FOREIGN_TOKEN_BYTES_MAX if foreign else TOKEN_BYTES_MAX):
            raise ValueError
        # the proof of a signature does not age; all that does is looked at each time
        digest = hashlib.sha256(token.encode()).digest()
        known = self._proven.get(digest)
        if known is not None and self._keys.find(known[0]) is known[1]:
            self._proven.move_to_end(digest)
            return known[2]
        header = _read_foreign_header(token, foreign) if foreign else _read_header(token)
        key = self._keys.find(header["kid"])
        # INVARIANT: a key is used with its own algorithm alone, whatever a token says
        if key is None or header["alg"] != key.algorithm:
            raise ValueError
        if foreign is not None and key.algorithm not in foreign.algorithms:
            raise ValueError
        registry = _ForeignRegistry([key.algorithm]) if foreign else None
        proven = jws.deserialize_compact(token, key.jwk, [key.algorithm], registry=registry)
        claims = msgspec.json.decode(proven.payload)
        if not isinstance(claims, dict):
            raise TypeError
        self._proven[digest] = (header["kid"], key, claims)
        self._proven.move_to_end(digest)
        if len(self._proven) > PROVEN_TOKENS_MAX:
            self._proven.popitem(last=False)
        return claims

    def _subject_of(self, claims: Mapping[str, Any]) -> Subject:
        terms, now = self._terms, self._clock()
        issued_at, expires_at = instant(claims["iat"]), instant(claims["exp"])
        if claims["iss"] != terms.issuer or not _is_for(terms, claims["aud"]):
            raise ValueError
        if not issued_at - terms.clock_skew <= now < expires_at:
            raise ValueError
        # Nobody makes a token of ours that lives longer, whatever a stolen process may have signed.
        if expires_at - issued_at > terms.lifetime:
            raise ValueError
        if terms.foreign is None:
            subject = subject_from_claims(claims, expires_at_utc=expires_at)
        else:
            if now < instant(claims.get("nbf", claims["iat"])) - terms.clock_skew:
                raise ValueError
            subject = _foreign_subject(claims, terms.foreign, expires_at)
        if subject.id is None or self._refused(subject, subject.id, issued_at, now):
            raise ValueError
        return subject

    def _refused(self, subject: Subject, subject_id: str, issued_at: datetime, now: datetime) -> bool:
        return self._revocations is not None and self._revocations.refuses(
            session_id=subject.session_id,
            subject_id=subject_id,
            issued_at_utc=issued_at,
            now=now,
            client_id=subject.client_id,
        )


def _foreign_subject(claims: Mapping[str, Any], foreign: ForeignTerms, expires_at: datetime) -> Subject:
    """Who somebody else's token speaks of, with no more than these terms believe."""
    scopes = claims.get("scope", claims.get("scp", ""))
    return Subject(
        id=foreign.subject_prefix + text(claims["sub"]),
        roles=frozenset(one for one in foreign.roles if one.value in texts(claims.get("roles", []))),
        client_id=optional_text(claims.get("client_id", claims.get("azp"))),
        scopes=frozenset(texts(scopes) if isinstance(scopes, list) else text(scopes or " ").split()),
        expires_at_utc=expires_at,
        key_thumbprint=thumbprint(claims.get("cnf")),
    )


def _read_header(token: str) -> dict[str, str]:
    decoded = _decoded_header(token)
    # No `jwk`, `jku`, `x5u` or `crit`: a token does not say where its own key comes from.
    if decoded.keys() != HEADER_NAMES:
        raise ValueError
    named = {name: text(value) for name, value in decoded.items()}
    if named["typ"] != TOKEN_TYPE:
        raise ValueError
    return named


def _decoded_header(token: str) -> dict[str, Any]:
    segment = token.split(".", 1)[0]
    decoded = msgspec.json.decode(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if not isinstance(decoded, dict):
        raise TypeError
    return decoded


class _ForeignRegistry(JWSRegistry):
    """Lets headers pass that say more; no key is taken from any of them."""

    max_header_length = FOREIGN_TOKEN_BYTES_MAX

    def __init__(self, algorithms: list[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)


def _read_foreign_header(token: str, foreign: ForeignTerms) -> dict[str, str]:
    """`alg` and `kid` of a header that may say more. `jwk`, `jku`, `x5u` and `x5c` are never followed."""
    decoded = _decoded_header(token)
    if "crit" in decoded or "b64" in decoded:
        raise ValueError
    type_ = decoded.get("typ", "")
    if not isinstance(type_, str) or type_.lower().removeprefix("application/") not in foreign.types:
        raise ValueError
    return {name: text(decoded[name]) for name in ("alg", "kid")}


def _is_for(terms: TokenTerms, audience: object) -> bool:
    if terms.foreign is not None and isinstance(audience, list):
        return terms.audience in audience
    return audience == terms.audience
