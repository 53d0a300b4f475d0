"""Clients and authorizations, and what may be written into them. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from authz.classes import Action, DataClass, Role
from authz.identity.keys import PublicKeys
from subgraphs.accounts.model import RuleBroken

NAME_CHARACTERS_MAX = 80
SCOPES_MAX = 50
SCOPE_CHARACTERS_MAX = 100
REDIRECT_URIS_MAX = 10
URI_CHARACTERS_MAX = 500
KEYS_MAX = 5
JWKS_BYTES_MAX = 16_384
SECRETS_MAX = 2
OVERLAP_HOURS_MAX = 24 * 7
CODE_LIFETIME = timedelta(seconds=60)
AUTHORIZATIONS_MAX = 10
"""Of one person for one client; the next one ends the oldest."""

SERVICE_SCOPE = "service:"
PATIENT_SCOPE = "patient/"
INTROSPECT = "tokens:introspect"
"""Lets a service ask what any token is worth, not only its own."""


class ClientKind(StrEnum):
    """Whom a program asks for. PARTNER: people who let it. SERVICE: nobody, by scopes of its own."""

    PARTNER = "PARTNER"
    SERVICE = "SERVICE"

    @property
    def role(self) -> Role:
        """The one role of its tokens."""
        return Role.PARTNER if self is ClientKind.PARTNER else Role.SERVICE


class ClientState(StrEnum):
    """Where a registration stands. PENDING waits for a second administrator."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"


class ClientAuthentication(StrEnum):
    """What a program proves itself with. NONE: nothing that it could keep, such as an app on a telephone."""

    SECRET = "SECRET"  # noqa: S105 - the name of a kind, no secret
    PRIVATE_KEY_JWT = "PRIVATE_KEY_JWT"
    NONE = "NONE"

    @property
    def methods(self) -> frozenset[str]:
        """Its names at the token endpoint.  Source: RFC 7591 §2, RFC 7523."""
        return _METHODS[self]


_METHODS = {
    ClientAuthentication.SECRET: frozenset({"client_secret_basic", "client_secret_post"}),
    ClientAuthentication.PRIVATE_KEY_JWT: frozenset({"private_key_jwt"}),
    ClientAuthentication.NONE: frozenset({"none"}),
}


class ClientDocuments(StrEnum):
    """What a program may have run. IDS: registered documents by their ids, TEXTS: also by their texts."""

    IDS = "IDS"
    TEXTS = "TEXTS"
    ANY = "ANY"


class ClientRate(StrEnum):
    """How often a program may ask; what each means the deployment says."""

    STANDARD = "STANDARD"
    RAISED = "RAISED"
    BULK = "BULK"


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A registered program. `approved_by` is the second administrator, where one was needed; one that is
    registered `elsewhere` is administered in that region alone."""

    id: str
    name: str
    kind: ClientKind
    state: ClientState
    organisation_id: str | None
    scopes: frozenset[str]
    redirect_uris: tuple[str, ...]
    authentication: ClientAuthentication
    jwks: str | None
    documents: ClientDocuments
    rate: ClientRate
    proof_required: bool
    registered_by: str
    approved_by: str | None
    created_at_utc: datetime
    expires_at_utc: datetime | None
    elsewhere: bool = False

    def in_force(self, now: datetime) -> bool:
        """Whether it gets tokens now."""
        unexpired = self.expires_at_utc is None or now < self.expires_at_utc
        return self.state is ClientState.ACTIVE and unexpired

    @property
    def client_class(self) -> str:
        """The name under which the router keeps what such programs may do."""
        return class_name(self.kind, self.documents, self.rate)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a person let a client do, or a client's leave to act for itself (`user_id` None). Its id is the
    session of every token that comes from it."""

    id: str
    client_id: str
    user_id: str | None
    scopes: frozenset[str]
    acr: int
    authenticated_at_utc: datetime | None
    created_at_utc: datetime
    expires_at_utc: datetime
    last_used_at_utc: datetime
    revoked_at_utc: datetime | None = None
    thumbprint: str | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether tokens of it may still be believed."""
        return self.revoked_at_utc is None and now < self.expires_at_utc


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization's code as it was asked for; `hash` is all that is kept of the code itself."""

    hash: str
    redirect_uri: str
    challenge: str
    expires_at_utc: datetime
    used_at_utc: datetime | None = None


def class_name(kind: ClientKind, documents: ClientDocuments, rate: ClientRate) -> str:
    """A class of clients as tokens and the router's settings name it."""
    return f"{kind.value}-{documents.value}-{rate.value}".lower()


def needs_approval(kind: ClientKind, scopes: Iterable[str]) -> bool:
    """Whether a second administrator has to agree: where nobody's consent stands behind it, or records of
    the sick may come out of it."""
    return kind is ClientKind.SERVICE or any(each.startswith(PATIENT_SCOPE) for each in scopes)


def digest(secret: str) -> str:
    """How a secret or a code is kept. Both are 256 random bits, so that nothing slow is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def fits_any(secret: str, kept: Sequence[str]) -> bool:
    """Whether the secret is one of those kept, in the same time whichever it is."""
    told = digest(secret)
    return bool(sum([hmac.compare_digest(told, each) for each in kept]))


def checked_scopes(kind: ClientKind, scopes: Iterable[str]) -> frozenset[str]:
    """Scopes that a client of this kind may have; those of other issuers' graphs are free words.

    Errors: RuleBroken.  Source: RFC 6749 §3.3 for their characters.
    """
    chosen = frozenset(scopes)
    if not 0 < len(chosen) <= SCOPES_MAX:
        raise RuleBroken("BAD_SCOPE", "scopes", f"a client has 1 to {SCOPES_MAX} scopes")
    for scope in sorted(chosen):
        if len(scope) > SCOPE_CHARACTERS_MAX or not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope):
            raise RuleBroken("BAD_SCOPE", "scopes", "a scope is one word without quotes and backslashes")
        own = scope.startswith(SERVICE_SCOPE) or scope == INTROSPECT
        if own and kind is ClientKind.PARTNER:
            raise RuleBroken("BAD_SCOPE", "scopes", f"`{scope}` is for services")
        if scope.startswith(PATIENT_SCOPE) and kind is ClientKind.SERVICE:
            raise RuleBroken("BAD_SCOPE", "scopes", f"`{scope}` is for programs that a patient lets in")
        if scope.startswith(SERVICE_SCOPE) and not _names_a_right(scope):
            raise RuleBroken("BAD_SCOPE", "scopes", f"`{scope}` is not of the form `service:CLASS:ACTION`")
    return chosen


def _names_a_right(scope: str) -> bool:
    _, _, right = scope.partition(":")
    data_class, _, action = right.partition(":")
    return data_class in set(DataClass) and action in set(Action)


def checked_redirect_uris(uris: Sequence[str]) -> tuple[str, ...]:
    """Where codes may be sent: whole URLs, compared to the letter. https, or http on a loopback address.

    Errors: RuleBroken.  Source: RFC 9700 §2.1, §4.1.
    """
    if len(uris) > REDIRECT_URIS_MAX or len(set(uris)) != len(uris):
        raise RuleBroken("BAD_REDIRECT_URI", "redirectUris", f"at most {REDIRECT_URIS_MAX}, each once")
    for uri in uris:
        if len(uri) > URI_CHARACTERS_MAX or not _is_safe_target(uri):
            told = "a redirect URI is an https URL without fragment and user, or http on 127.0.0.1 or [::1]"
            raise RuleBroken("BAD_REDIRECT_URI", "redirectUris", told)
    return tuple(uris)


def _is_safe_target(uri: str) -> bool:
    if not uri.isascii() or any(character in uri for character in ' *#\\"<>') or "/../" in uri:
        return False
    try:
        parts = urlsplit(uri)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError:
        return False
    if not host or user is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in {"127.0.0.1", "::1"})


def checked_jwks(text: str) -> str:
    """A client's public keys, as they are kept: nothing private, no shared secret, no weak kind.

    Errors: RuleBroken.
    """
    problem = RuleBroken(
        "BAD_KEYS", "jwks", "give a JWKS of 1 to 5 public keys (Ed25519 or ES256), each with `kid`"
    )
    try:
        document = json.loads(text) if len(text) <= JWKS_BYTES_MAX else None
    except ValueError:
        raise problem from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or not 0 < len(members) <= KEYS_MAX:
        raise problem
    if any(not isinstance(each, dict) or "d" in each or "k" in each for each in members):
        raise problem
    known = PublicKeys({"keys": members})
    found = [known.find(str(each.get("kid", ""))) for each in members]
    public: list[Mapping[str, object]] = [key.public_document() for key in found if key is not None]
    if len(public) != len(members) or len({each["kid"] for each in public}) != len(public):
        raise problem
    return json.dumps({"keys": public}, sort_keys=True)
