"""What a fetch's text selects, by response keys: read from the text that the planner has printed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

Keys: TypeAlias = tuple[str, ...]

TEXTS_MAX: Final = 256

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\]|\\.)*"|\.\.\.|[_A-Za-z][_0-9A-Za-z]*|[{}():@]', re.DOTALL
)


@dataclass(slots=True)
class SelectedKeys:
    """The response keys of objects at one place: leaves, and what is selected below the others.

    Fragments are opened: what any type's objects may have is there.
    """

    leaves: set[str] = field(default_factory=set)
    below: dict[str, SelectedKeys] = field(default_factory=dict)
    _composites: tuple[Keys, ...] | None = None

    def composites(self) -> tuple[Keys, ...]:
        """The paths of all keys below which something is selected, parents first."""
        if self._composites is None:
            self._composites = tuple(self._every_composite(()))
        return self._composites

    def _every_composite(self, under: Keys) -> Iterator[Keys]:
        for key, inside in self.below.items():
            yield (*under, key)
            yield from inside._every_composite((*under, key))


@lru_cache(maxsize=TEXTS_MAX)
def selected_keys(text: str) -> SelectedKeys:
    """The keys that an operation's text, or a selection set's, asks for. INVARIANT: not to be changed.

    Errors: IndexError where the text is none of the planner's.
    """
    start = 0 if text.startswith("{") else _body_of(text)
    tokens = _TOKEN.findall(text, start)
    selected = SelectedKeys()
    _read(tokens, 1, selected)
    return selected


def renamed(selected: SelectedKeys, names: Mapping[str, str]) -> SelectedKeys:
    """The same under the keys that stand for the planner's aliases."""
    if not names:
        return selected
    return SelectedKeys(
        {names.get(key, key) for key in selected.leaves},
        {names.get(key, key): renamed(inside, names) for key, inside in selected.below.items()},
    )


def _body_of(text: str) -> int:
    """Where the operation's selection set begins: the first brace that is in no parenthesis."""
    depth = 0
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark == "{" and not depth:
            return match.start()
        depth += (mark == "(") - (mark == ")")
    raise IndexError("the text has no selection set")


def _read(tokens: list[str], at: int, into: SelectedKeys) -> int:
    """Read the selections from `at` on; the index after the closing brace."""
    while tokens[at] != "}":
        if tokens[at] == "...":
            at = _skipped(tokens, at + 3 if tokens[at + 1] == "on" else at + 1)
            at = _read(tokens, at + 1, into)
            continue
        key = tokens[at]
        at = _skipped(tokens, at + 3 if tokens[at + 1] == ":" else at + 1)
        if tokens[at] != "{":
            into.leaves.add(key)
            continue
        at = _read(tokens, at + 1, into.below.setdefault(key, SelectedKeys()))
    return at + 1


def _skipped(tokens: list[str], at: int) -> int:
    """The index behind arguments and directives."""
    while tokens[at] in {"(", "@"}:
        if tokens[at] == "@":
            at += 2
            continue
        depth = 1
        while depth:
            at += 1
            depth += (tokens[at] == "(") - (tokens[at] == ")")
        at += 1
    return at
