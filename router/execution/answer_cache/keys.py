"""Keys of what is kept: one for all viewers, one for the viewer alone.

INVARIANT: what is private to its viewer is kept under the viewer: all that a subgraph is told of the caller,
and every header that goes to the subgraph; nobody else's look-up can have that key.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any, Final

import orjson

from authz.identity.subject import Subject
from router.execution.transport import SubgraphRequest

_TRACE_HEADERS: Final = frozenset({"traceparent", "tracestate", "x-request-id", "baggage"})
_CREDENTIALS: Final = frozenset({"authorization", "cookie"})
_OF_A_SESSION: Final = frozenset({"session_id", "expires_at_utc"})


class Unlike(Exception):
    """Raised for what is equal to nothing else, so that no key can stand for it: a file."""


def keys_of(request: SubgraphRequest, kind: str, parts: list[Any]) -> tuple[str, str]:
    """The public key and the viewer's own, for `parts` of what the request asks for.  Errors: `Unlike`."""
    headers = {name: value for name, value in request.headers.items() if name not in _TRACE_HEADERS}
    shared = {name: value for name, value in headers.items() if name not in _CREDENTIALS}
    what = [kind, request.service, *parts]
    return (
        _key("public", [*what, shared]),
        _key("viewer", [*what, headers, _viewer(request.subject)]),
    )


def _viewer(subject: Subject) -> list[str]:
    """All of a viewer that a subgraph may decide by; a new session of the same rights sees the same.

    INVARIANT: whatever is added to a Subject becomes part of the key by itself.
    """
    return [
        f"{one.name}={_said(getattr(subject, one.name))}"
        for one in fields(subject)
        if one.name not in _OF_A_SESSION
    ]


def _said(value: Any) -> str:
    """The same text for equal values in every process: sets are sorted, whatever they stand in."""
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(_said(one) for one in value))}}}"
    if isinstance(value, tuple):
        return f"({','.join(_said(one) for one in value)})"
    if is_dataclass(value):
        return f"({','.join(_said(getattr(value, one.name)) for one in fields(value))})"
    return repr(value)


def _key(kind: str, parts: list[Any]) -> str:
    try:
        text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise Unlike from None
    return f"answers:2:{kind}:{hashlib.sha256(text).hexdigest()}"
