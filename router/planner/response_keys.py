"""Under which response keys the planner's own fields are fetched, beside the client's or as one with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from router.operation.model import NormalField, NormalSelection
from router.planner.arguments import printed_arguments

_Asked: TypeAlias = tuple[str, str]
"""A field's name and its arguments as printed."""


class ResponseKeys:
    """The response keys of one operation: what the client asks under each, and what we ask."""

    __slots__ = ("_asked", "_own")

    def __init__(self) -> None:
        self._asked: dict[str, set[_Asked]] = {}
        self._own: dict[_Asked, str] = {}

    def take(self, selections: Iterable[NormalSelection]) -> None:
        """Note what the client asks for under which keys, at any depth."""
        waiting = list(selections)
        while waiting:
            selection = waiting.pop()
            if isinstance(selection, NormalField):
                same = self._asked.setdefault(selection.response_key, set())
                same.add((selection.name, printed_arguments(selection)))
            waiting.extend(selection.selections)

    def own(self, name: str, arguments: str) -> str:
        """The key of a field of ours: nothing else is asked for under it anywhere in the operation.

        Its name; with arguments, or where the name is the client's for something else, the key by which
        the client asks for just this; otherwise an alias.
        """
        asked = (name, arguments)
        if asked not in self._own:
            self._own[asked] = self._choose(asked)
        return self._own[asked]

    def _choose(self, asked: _Asked) -> str:
        name, arguments = asked
        if not arguments and self._asked.get(name, {asked}) == {asked}:
            return name
        same = [key for key, everything in self._asked.items() if everything == {asked}]
        if same:
            return min(same)
        number = 0
        while f"_{name}_{number}" in self._asked or f"_{name}_{number}" in self._own.values():
            number += 1
        return f"_{name}_{number}"
