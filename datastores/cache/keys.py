"""Keys that carry whose rights a cached value depends on, so that nobody is served another's answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_KIND = re.compile(r"[a-z][a-z0-9_.]{0,40}")


@dataclass(frozen=True, slots=True)
class Everyone:
    """The value is the same for every caller, also for one without a name."""


@dataclass(frozen=True, slots=True)
class Holders:
    """The value is the same for all who hold exactly these rights under this version of the policy."""

    rights: frozenset[str]
    policy_version: str


@dataclass(frozen=True, slots=True)
class Person:
    """The value is one person's view. `facts_version` moves when a relation or a consent changes."""

    subject_id: str
    rights: frozenset[str]
    policy_version: str
    facts_version: int
    purpose: str | None = None


Audience = Everyone | Holders | Person


def cache_key(kind: str, version: int, audience: Audience, parts: Iterable[str]) -> str:
    """The key of what `parts` name, as `audience` sees it: `kind:v1:p:<hash>`, without a readable id in it.

    `version` is the shape of the stored bytes: raise it when the code that reads them changes.
    Errors: ValueError for a `kind` other than lower-case words.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError("the kind of a cache key has lower-case letters, digits, `_` and `.`")
    letter, owner = _audience_parts(audience)
    digest = hashlib.sha256()
    # Lengths go in front of the parts: `["a", "bc"]` and `["ab", "c"]` are different keys.
    for part in (*owner, "|", *parts):
        content = part.encode()
        digest.update(len(content).to_bytes(4, "big") + content)
    return f"{kind}:v{version}:{letter}:{digest.hexdigest()}"


def _audience_parts(audience: Audience) -> tuple[str, tuple[str, ...]]:
    match audience:
        case Everyone():
            return "e", ()
        case Holders(rights, policy_version):
            return "h", (policy_version, *_framed(rights))
        case Person(subject_id, rights, policy_version, facts_version, purpose):
            purposes = () if purpose is None else (purpose,)
            whose = (subject_id, policy_version, str(facts_version))
            return "p", (*whose, *_framed(rights), *_framed(purposes))


def _framed(words: Iterable[str]) -> tuple[str, ...]:
    ordered = sorted(words)
    return (str(len(ordered)), *ordered)
