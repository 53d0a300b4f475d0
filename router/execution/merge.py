"""Merging fetched values into the response tree: deep, in place, and never taking earlier values away."""

from __future__ import annotations

from typing import Any


def merge_object(target: dict[str, Any], source: dict[str, Any], objects: frozenset[str]) -> None:
    """Put `source` into `target`: objects by key, lists item by item.

    A null never replaces a value. `objects` are the names of object types: a subgraph that knows an
    interface as an object says the interface's name as `__typename`, and the true name outlives it.
    """
    if source.keys().isdisjoint(target):
        target.update(source)  # as good as always: an entity fetch brings what was not there
        return
    for key, value in source.items():
        known = target.get(key)
        if known is None:
            target[key] = value
        elif value is not None and known is not value:
            if value.__class__ is dict and known.__class__ is dict:
                merge_object(known, value, objects)
            elif value.__class__ is list and known.__class__ is list:
                _merge_list(known, value, objects)
            elif key != "__typename" or known not in objects:
                target[key] = value


def _merge_list(target: list[Any], source: list[Any], objects: frozenset[str]) -> None:
    """By position. A longer source adds its items; a shorter one leaves the rest alone."""
    shared = min(len(target), len(source))
    for index in range(shared):
        known, value = target[index], source[index]
        if known is None:
            target[index] = value
        elif value.__class__ is dict and known.__class__ is dict:
            merge_object(known, value, objects)
        elif value.__class__ is list and known.__class__ is list:
            _merge_list(known, value, objects)
    target.extend(source[shared:])
