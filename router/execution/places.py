"""Where in an answer something follows: the deferred fragments and streamed lists of what is delivered."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from router.execution.explain import visible_path
from router.execution.paths import ResponsePath
from router.execution.shape import AnswerField, AnswerSelection


@dataclass(frozen=True, slots=True)
class FragmentPlace:
    """An object of the answer with a fragment that follows; `it` is the object in the response tree."""

    increment: int
    path: ResponsePath
    selection: AnswerSelection
    it: dict[str, Any]

    def tells(self, path: ResponsePath) -> int:
        """How many elements of a path are in this place, selected by it; 0 where it is elsewhere."""
        if path[: len(self.path)] != self.path:
            return 0
        return len(self.path) + len(visible_path(self.selection, list(path[len(self.path) :])))


@dataclass(frozen=True, slots=True)
class ListPlace:
    """A streamed list of the answer, of which `answered_count` items are delivered; `values` are all."""

    increment: int
    path: ResponsePath
    field: AnswerField
    values: list[Any]
    answered_count: int


Place: TypeAlias = FragmentPlace | ListPlace


def places_in(
    selection: AnswerSelection, it: Any, answered: Any, path: ResponsePath, increments: Container[int]
) -> Iterator[Place]:
    """Every place in `answered` where something of `increments` follows, in response order."""
    if not selection.has_more:
        return
    if isinstance(answered, list) and isinstance(it, list):
        for index, (item, answered_item) in enumerate(zip(it, answered, strict=False)):
            yield from places_in(selection, item, answered_item, (*path, index), increments)
    if not isinstance(answered, dict) or not isinstance(it, dict):
        return
    runtime_type = selection.runtime_type(it.get("__typename"))
    if runtime_type is None:
        return
    for increment, fragment in selection.later(runtime_type):
        yield FragmentPlace(increment, path, fragment, it)
    for field in selection.fields(runtime_type):
        value, shown, below = it.get(field.key), answered.get(field.key), (*path, field.key)
        if field.selection is not None:
            yield from places_in(field.selection, value, shown, below, increments)
        stream = field.stream
        if (
            stream is not None
            and stream in increments
            and isinstance(value, list)
            and isinstance(shown, list)
        ):
            yield ListPlace(stream, below, field, value, len(shown))
