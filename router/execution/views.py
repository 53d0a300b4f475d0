"""Views of the response tree in which streamed lists show only some of their items.

A fetch that is made item by item runs on such a view: it finds no other items, and merges into the real
ones. Items keep their indices, so that the paths of errors need no second thought.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias

Ranges: TypeAlias = Mapping[int, tuple[int, int]]
"""For each streamed list the indices that are shown: from the first to before the second."""


class ListViews:
    """The streamed lists of an operation, by the response keys that lead to them."""

    __slots__ = ("_below", "_stream")

    def __init__(self, paths: Iterable[tuple[tuple[str, ...], int]]) -> None:
        self._stream: int | None = None
        self._below: dict[str, ListViews] = {}
        for keys, stream in paths:
            at = self
            for key in keys:
                at = at._below.setdefault(key, ListViews(()))
            at._stream = stream

    def view(self, root: dict[str, Any], ranges: Ranges, streams: Collection[int]) -> dict[str, Any]:
        """The tree with those of `streams` cut to their ranges.

        INVARIANT: what lies below all of `streams` is the tree's own, to be merged into; the rest may be
        copies.
        """
        cut = {stream: ranges[stream] for stream in streams}
        return self._object(root, cut) if cut and self._leads_to(cut) else root

    def under(self, keys: tuple[str, ...]) -> ListViews:
        """The streamed lists below what these keys lead to."""
        at = self
        for key in keys:
            at = at._below.get(key, _NO_LISTS)
        return at

    def view_of(self, value: Any, ranges: Ranges, streams: Collection[int]) -> Any:
        """As `view`, for any value that the keys of `under` have led to."""
        cut = {stream: ranges[stream] for stream in streams}
        return self._value(value, cut, is_streamed=False) if cut and self._leads_to(cut) else value

    def _leads_to(self, cut: Ranges) -> bool:
        return any(it._stream in cut or it._leads_to(cut) for it in self._below.values())

    def _object(self, it: dict[str, Any], cut: Ranges) -> dict[str, Any]:
        shown = dict(it)
        for key, below in self._below.items():
            value = it.get(key)
            if value is not None and (below._stream in cut or below._leads_to(cut)):
                shown[key] = below._value(value, cut, is_streamed=below._stream in cut)
        return shown

    def _value(self, value: Any, cut: Ranges, *, is_streamed: bool) -> Any:
        if value.__class__ is list:
            if is_streamed and self._stream is not None:
                begin, end = cut[self._stream]
                # the stream is of the outer list: a list in it is shown whole
                shown = [None] * min(begin, len(value))
                shown += [self._value(item, cut, is_streamed=False) for item in value[begin:end]]
                return shown
            return [self._value(item, cut, is_streamed=False) for item in value]
        if value.__class__ is dict and self._leads_to(cut):
            return self._object(value, cut)
        return value


_NO_LISTS: Final = ListViews(())
