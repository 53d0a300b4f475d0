"""Why a null is there: for each null that a failed, refused or skipped fetch left, which one and why.

Kept only where the router is configured to tell (`null_reasons`); otherwise nothing here is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

from router.execution.data_flow import brought_keys
from router.execution.paths import ResponsePath
from router.execution.shape import AnswerSelection
from router.planner.plan import Fetch

REASONS_MAX: Final = 200
"""Entries of one answer's `extensions.nullReasons`."""


class Why(StrEnum):
    """What happened to the fetch; the values are part of the answer."""

    FAILED = "FETCH_FAILED"
    """The subgraph was not reached, or its answer could not be used."""
    SKIPPED = "FETCH_SKIPPED"
    """The object was not asked for: a key or something required is missing."""
    NO_ENTITY = "ENTITY_IS_NULL"
    """The subgraph answered null for the object."""


@dataclass(frozen=True, slots=True)
class NullReason:
    """What one fetch did not bring to one object."""

    why: Why
    service: str
    keys: frozenset[str]


Reasons: TypeAlias = dict[int, list[NullReason]]
"""By the identity of the object in the response tree."""


def note(reasons: Reasons, objects: Iterable[dict[str, Any]], why: Why, fetch: Fetch) -> None:
    """Keep that these objects lack what the fetch brings."""
    reason = NullReason(why, fetch.service, _keys_of(fetch))
    for it in objects:
        reasons.setdefault(id(it), []).append(reason)


@lru_cache(maxsize=512)
def _keys_of(fetch: Fetch) -> frozenset[str]:
    return brought_keys(fetch)


def null_reasons(
    reasons: Reasons, tree: dict[str, Any], answered: Any, selection: AnswerSelection
) -> list[dict[str, Any]]:
    """The entries of `extensions.nullReasons`, in response order."""
    found: list[dict[str, Any]] = []
    for path, reason in _in_value(reasons, tree, answered, selection, ()):
        if len(found) >= REASONS_MAX:
            break
        found.append({"path": list(path), "reason": reason.why.value, "service": reason.service})
    return found


_Found: TypeAlias = Iterator[tuple[ResponsePath, NullReason]]


def _in_value(
    reasons: Reasons, it: Any, answered: Any, selection: AnswerSelection | None, path: ResponsePath
) -> _Found:
    if answered is None:
        # null came up from below, to where null may be: the first reason there is this null's
        below = next(_below(reasons, it), None)
        if below is not None:
            yield path, below
    elif isinstance(answered, list) and isinstance(it, list):
        for index, (item, answered_item) in enumerate(zip(it, answered, strict=False)):
            yield from _in_value(reasons, item, answered_item, selection, (*path, index))
    elif isinstance(answered, dict) and isinstance(it, dict) and selection is not None:
        yield from _in_object(reasons, it, answered, selection, path)


def _in_object(
    reasons: Reasons,
    it: dict[str, Any],
    answered: dict[str, Any],
    selection: AnswerSelection,
    path: ResponsePath,
) -> _Found:
    runtime_type = selection.runtime_type(it.get("__typename"))
    own = reasons.get(id(it), ())
    for field in selection.fields(runtime_type) if runtime_type is not None else ():
        value, below = answered.get(field.key), (*path, field.key)
        mine = next((one for one in own if field.key in one.keys), None) if value is None else None
        if mine is not None:
            yield below, mine
        elif field.selection is not None:
            yield from _in_value(reasons, it.get(field.key), value, field.selection, below)


def _below(reasons: Reasons, it: Any) -> Iterator[NullReason]:
    if isinstance(it, dict):
        yield from reasons.get(id(it), ())
    for value in it.values() if isinstance(it, dict) else it if isinstance(it, list) else ():
        yield from _below(reasons, value)
