"""Flatten paths, compiled: which objects of the response tree a fetch reads from and merges into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from router.execution.type_facts import TypeFacts
from router.planner.plan import PathKey, PathStep

Tree: TypeAlias = dict[str, Any]
ResponsePath: TypeAlias = tuple[str | int, ...]
Collector: TypeAlias = Callable[[Tree], list[Tree]]

_Step: TypeAlias = tuple[str | None, frozenset[str] | None]


class TreePath:
    """The objects under one flatten path. Nulls are passed over, lists expanded, type filters applied."""

    __slots__ = ("_steps", "keys", "label")

    def __init__(self, path: Sequence[PathStep], facts: TypeFacts) -> None:
        self._steps: tuple[_Step, ...] = tuple(
            [
                (
                    step.key if isinstance(step, PathKey) else None,
                    None if step.types is None else _with_possible(step.types, facts),
                )
                for step in path
            ]
        )
        self.keys: tuple[str, ...] = tuple([key for key, _ in self._steps if key is not None])
        """The path without list marks."""
        self.label: ResponsePath = self.keys
        """Where errors go that name no object."""

    def collect(self, root: Tree, *, distinct: bool = False) -> list[Tree]:
        """Every object reached, in response order; the same object once a place, if `distinct` only once."""
        current: list[Any] = [root]
        for key, types in self._steps:
            found: list[Any] = []
            if key is None:
                for values in current:
                    if values.__class__ is list:
                        found.extend(values)
            else:
                found = [
                    value for it in current if it.__class__ is dict and (value := it.get(key)) is not None
                ]
            if types is not None:
                found = [it for it in found if it.__class__ is not dict or it.get("__typename") in types]
            if not found:
                return []
            current = _once_each(found) if distinct and len(found) > 1 else found
        return [it for it in current if it.__class__ is dict]

    def locate(self, root: Tree) -> list[tuple[Tree, ResponsePath]]:
        """As `collect`, with each object's real path: asked for only when an error is to be placed."""
        current: list[tuple[Any, ResponsePath]] = [(root, ())]
        for key, types in self._steps:
            found: list[tuple[Any, ResponsePath]] = []
            for it, path in current:
                if key is None and it.__class__ is list:
                    found.extend((value, (*path, index)) for index, value in enumerate(it))
                elif key is not None and it.__class__ is dict and it.get(key) is not None:
                    found.append((it[key], (*path, key)))
            if types is not None:
                found = [
                    (it, path)
                    for it, path in found
                    if it.__class__ is not dict or it.get("__typename") in types
                ]
            current = found
        return [(it, path) for it, path in current if it.__class__ is dict]

    def ancestors(self, root: Tree) -> list[tuple[Tree, ...]]:
        """For each object of `collect`, itself and the objects above it, nearest first."""
        current: list[tuple[Any, tuple[Tree, ...]]] = [(root, ())]
        for key, types in self._steps:
            found: list[tuple[Any, tuple[Tree, ...]]] = []
            for it, above in current:
                if key is None and it.__class__ is list:
                    found.extend((value, above) for value in it)
                elif key is not None and it.__class__ is dict and it.get(key) is not None:
                    found.append((it[key], (it, *above)))
            if types is not None:
                found = [
                    (it, above)
                    for it, above in found
                    if it.__class__ is not dict or it.get("__typename") in types
                ]
            current = found
        return [(it, *above) for it, above in current if it.__class__ is dict]


def _once_each(found: list[Any]) -> list[Any]:
    """The same objects in the same order, each at its first place only."""
    return list({id(it): it for it in found}.values())


def _with_possible(types: frozenset[str], facts: TypeFacts) -> frozenset[str]:
    """A filter on an abstract type lets through the type's own name and every object type of it."""
    return types.union(*(facts.possible(name) for name in types))
