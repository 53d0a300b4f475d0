"""Claims: what a signed token says of a caller, as the Subject that everything else works with, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from authz.classes import DataClass, Role
from authz.identity.subject import RoleLimit, Subject

THUMBPRINT_CLAIM = "jkt"
"""In `cnf`: which key a token's bearer has to hold.  Source: RFC 9449 §6.1."""
_ROLE_NAMES = frozenset(role.value for role in Role)
_CLASS_NAMES = frozenset(data_class.value for data_class in DataClass)


def claims_of(subject: Subject) -> dict[str, Any]:
    """What a token says of a caller; nothing of what is not known. When it ends is the token's own matter.

    Source: RFC 9068 §2.2, RFC 8176 for `amr`, RFC 9449 §6.1 for `cnf`.
    """
    authenticated_at, key = subject.authenticated_at_utc, subject.key_thumbprint
    claims: dict[str, Any] = {
        "sub": subject.id,
        "roles": sorted(subject.roles),
        "acr": subject.acr,
        "amr": sorted(subject.amr) or None,
        "auth_time": None if authenticated_at is None else int(authenticated_at.timestamp()),
        "sid": subject.session_id,
        "client_id": subject.client_id,
        "client_class": subject.client_class,
        "scope": " ".join(sorted(subject.scopes)) or None,
        "organisations": sorted(subject.organisations) or None,
        "region": subject.region,
        "device": subject.device,
        "limits": limits_claim(subject.limits),
        "cnf": None if key is None else {THUMBPRINT_CLAIM: key},
    }
    return {name: value for name, value in claims.items() if value is not None}


def subject_from_claims(claims: Mapping[str, Any], *, expires_at_utc: datetime | None) -> Subject:
    """The Subject that signed claims describe. Roles this version does not know grant nothing.

    Errors: KeyError, TypeError, ValueError for claims of another shape.
    """
    return Subject(
        id=text(claims["sub"]),
        roles=frozenset(Role(name) for name in texts(claims.get("roles", [])) if name in _ROLE_NAMES),
        session_id=optional_text(claims.get("sid")),
        acr=_level(claims.get("acr", 0)),
        amr=frozenset(texts(claims.get("amr", []))),
        authenticated_at_utc=instant(claims["auth_time"]) if "auth_time" in claims else None,
        client_id=optional_text(claims.get("client_id")),
        client_class=optional_text(claims.get("client_class")),
        scopes=frozenset(text(claims["scope"]).split()) if claims.get("scope") else frozenset(),
        organisations=frozenset(texts(claims.get("organisations", []))),
        region=optional_text(claims.get("region")),
        device=optional_text(claims.get("device")),
        expires_at_utc=expires_at_utc,
        limits=_limits(claims.get("limits", {})),
        key_thumbprint=thumbprint(claims.get("cnf")),
    )


def limits_claim(limits: tuple[RoleLimit, ...]) -> dict[str, list[str]] | None:
    """The claim `limits`: by role, the data classes in which it counts for everybody. None for no limit."""
    return {limit.role.value: sorted(limit.classes) for limit in limits} or None


def instant(value: object) -> datetime:
    """A moment, told in whole seconds.  Errors: TypeError, ValueError, OverflowError, OSError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return datetime.fromtimestamp(value, UTC)


def text(value: object) -> str:
    """A text that says something.  Errors: TypeError."""
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def optional_text(value: object) -> str | None:
    """A text, or None where nothing is said.  Errors: TypeError."""
    return None if value is None else text(value)


def texts(value: object) -> list[str]:
    """A list of texts.  Errors: TypeError."""
    if not isinstance(value, list):
        raise TypeError
    return [text(item) for item in value]


def thumbprint(claim: object) -> str | None:
    """The key that the claim `cnf` names. A token that is bound in a way that is not known here must not pass
    as one that is not.  Errors: TypeError."""
    if claim is None:
        return None
    if not isinstance(claim, dict) or claim.keys() != {THUMBPRINT_CLAIM}:
        raise TypeError
    return text(claim[THUMBPRINT_CLAIM])


def _limits(claim: object) -> tuple[RoleLimit, ...]:
    """A class that this version does not know opens nothing; a limit of an unknown role limits nothing."""
    if not isinstance(claim, dict):
        raise TypeError
    return tuple(
        RoleLimit(Role(role), frozenset(DataClass(name) for name in texts(names) if name in _CLASS_NAMES))
        for role, names in sorted(claim.items())
        if role in _ROLE_NAMES
    )


def _level(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 9:
        raise TypeError
    return value
