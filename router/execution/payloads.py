"""Payloads: what is said of each delivered part, in the form of 2022 and in the current one.

Source: the GraphQL incremental delivery proposal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from router.execution.explain import visible_path
from router.execution.paths import ResponsePath
from router.execution.shape import AnswerField, AnswerSelection

Added: TypeAlias = list[tuple[ResponsePath, dict[str, Any]]]
"""Objects' new fields, each with the object's path from the fragment's place."""

_NULL_PART: Final = ({"message": "the deferred part is null"},)
_NULL_ITEM: Final = ({"message": "an item of the list is null and may not be"},)


class IncrementalFormat(StrEnum):
    """The two shapes of payloads; values are what clients name them by."""

    MULTIPART_2022 = "20220824"
    """`{data, hasNext}`, then `{incremental: [{path, label, data or items, errors}], hasNext}`."""
    PENDING = "pending"
    """`{data, pending, hasNext}`, then `{incremental: [{id, data or items}], completed: [{id}], hasNext}`."""


@dataclass(frozen=True, slots=True)
class PendingFragment:
    """One `@defer` fragment of one object of the answer; `it` is the object in the response tree."""

    id: str
    path: ResponsePath
    label: str | None
    selection: AnswerSelection
    it: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PendingItems:
    """One streamed list of which items follow; `values` is the list in the response tree."""

    id: str
    path: ResponsePath
    label: str | None
    field: AnswerField
    values: list[Any]


Pending: TypeAlias = PendingFragment | PendingItems


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """A fragment's `data` or a list's `items`, up to the one `broken_at` which null may not stand."""

    data: dict[str, Any] | None = None
    items: list[Any] = field(default_factory=list)
    errors: tuple[Mapping[str, Any], ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    broken_at: int | None = None

    def telling(self, errors: Sequence[Mapping[str, Any]]) -> PartAnswer:
        """The part with further errors; refused values are explained only where no error does."""
        told = (*errors, *self.errors)
        return replace(self, errors=told, extensions={} if told else self.extensions)


_NOTHING: Final = PartAnswer()


class Payload:
    """One part of an answer under way, in the current form."""

    def __init__(self, known: dict[str, Any] | None = None) -> None:
        self._known = known
        """What the client has, where fragments may select what it has already."""
        self._pending: list[dict[str, Any]] = []
        self._incremental: list[dict[str, Any]] = []
        self._completed: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._pending or self._incremental or self._completed)

    def announce(self, pending: Pending) -> None:
        """Something that will follow."""
        self._pending.append(_named(pending, {"id": pending.id}))

    def added(self, pending: PendingFragment, data: dict[str, Any] | None) -> Added | None:
        """What of a fragment's data the client does not have yet.

        None where null took the fragment, or an object that the client has: that cannot be taken back.
        """
        if data is None:
            return None
        return [((), data)] if self._known is None else _new(data, _at(self._known, pending.path))

    def fragment(self, pending: PendingFragment, added: Added | None, part: PartAnswer) -> None:
        """A fragment is delivered."""
        errors = _errors(pending, part)
        if added is None:
            # null reached the fragment itself: there is no data to add, only why
            self._completed.append({"id": pending.id, "errors": errors or list(_NULL_PART)})
            return
        for index, (sub_path, own) in enumerate(added):
            entry: dict[str, Any] = {"id": pending.id, "data": own}
            if sub_path:
                entry["subPath"] = list(sub_path)
            self._incremental.append(_with(entry, errors, part.extensions) if index == 0 else entry)
        ended: dict[str, Any] = {"id": pending.id}
        if errors and not added:
            ended["errors"] = errors
        self._completed.append(ended)

    def items(self, pending: PendingItems, begin: int, items: list[Any], part: PartAnswer) -> None:
        """The list's next items, from index `begin`."""
        if self._known is not None:
            _at(self._known, pending.path).extend(deepcopy(items))
        self._incremental.append(
            _with({"id": pending.id, "items": items}, _errors(pending, part), part.extensions)
        )

    def end(self, pending: PendingItems, broken_at: int | None = None, part: PartAnswer = _NOTHING) -> None:
        """A list has no more items: because of its end, or of a null where none may be."""
        ended: dict[str, Any] = {"id": pending.id}
        if broken_at is not None:
            ended["errors"] = _errors(pending, part) or list(_NULL_ITEM)
        self._completed.append(ended)

    def members(self, *, has_next: bool) -> dict[str, Any]:
        """What the part says besides `data`."""
        members: dict[str, Any] = {
            "pending": self._pending,
            "incremental": self._incremental,
            "completed": self._completed,
        }
        return {**{key: value for key, value in members.items() if value}, "hasNext": has_next}


class Payload2022(Payload):
    """One part of an answer under way, in the form of 2022: nothing is announced, everything has its path."""

    def announce(self, pending: Pending) -> None:
        """Nothing: what follows is named when it comes."""

    def added(self, pending: PendingFragment, data: dict[str, Any] | None) -> Added | None:
        """All of it."""
        return None if data is None else [((), data)]

    def fragment(self, pending: PendingFragment, added: Added | None, part: PartAnswer) -> None:
        """A fragment's whole data; null where null took it."""
        entry = _named(pending, {"data": added[0][1] if added else None})
        self._incremental.append(_with(entry, _errors(pending, part), part.extensions))

    def items(self, pending: PendingItems, begin: int, items: list[Any], part: PartAnswer) -> None:
        """The list's next items; the path ends with the index of the first."""
        self._incremental.append(
            _with(_named(pending, {"items": items}, begin), _errors(pending, part), part.extensions)
        )

    def end(self, pending: PendingItems, broken_at: int | None = None, part: PartAnswer = _NOTHING) -> None:
        """Only an end before its time is told: as null in the place of an item."""
        if broken_at is not None:
            entry = _named(pending, {"items": None}, broken_at)
            self._incremental.append(
                _with(entry, _errors(pending, part) or list(_NULL_ITEM), part.extensions)
            )


def _named(it: Pending, members: dict[str, Any], *further: int) -> dict[str, Any]:
    members["path"] = [*it.path, *further]
    if it.label is not None:
        members["label"] = it.label
    return members


def _with(
    entry: dict[str, Any], errors: list[dict[str, Any]], extensions: Mapping[str, Any]
) -> dict[str, Any]:
    if errors:
        entry["errors"] = errors
    if extensions:
        entry["extensions"] = dict(extensions)
    return entry


def _errors(pending: Pending, part: PartAnswer) -> list[dict[str, Any]]:
    """The part's errors, with paths as far as the client selected them."""
    return [
        {**it, "path": _shown(pending, tuple(it["path"]))} if "path" in it else dict(it) for it in part.errors
    ]


def _shown(pending: Pending, path: ResponsePath) -> list[Any]:
    length = len(pending.path)
    if path[:length] != pending.path:
        return list(path)
    selection = pending.selection if isinstance(pending, PendingFragment) else pending.field.selection
    rest = list(path[length:])
    return [*pending.path, *(visible_path(selection, rest) if selection is not None else rest)]


def _at(known: Any, path: ResponsePath) -> Any:
    for element in path:
        known = known[element]
    return known


def _new(data: dict[str, Any], known: dict[str, Any]) -> Added | None:
    """What of `data` is not in `known`, object by object, put into `known`.

    None where data has null in the place of an object that the client has: it cannot be taken back.
    """
    found: Added = []
    if not _compare(data, known, (), found):
        return None
    for sub_path, own in found:
        _at(known, sub_path).update(deepcopy(own))
    return found


def _compare(value: Any, known: Any, path: ResponsePath, into: Added) -> bool:
    """Whether `value` only adds to `known`; what it adds goes to `into`."""
    if known.__class__ is dict:
        if value.__class__ is not dict:
            return False
        own = {key: it for key, it in value.items() if key not in known}
        if own:
            into.append((path, own))
        return all(_compare(it, known[key], (*path, key), into) for key, it in value.items() if key in known)
    if known.__class__ is list:
        if value.__class__ is not list:
            return False
        return all(
            _compare(it, known[index], (*path, index), into) for index, it in enumerate(value[: len(known)])
        )
    return True
