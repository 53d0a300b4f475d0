"""The planner's rewrites, compiled: undo aliases in what was fetched, set values in what is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from router.execution.type_facts import TypeFacts
from router.planner.plan import KeyRenamer, Rewrite, RewritePath

Rewriter: TypeAlias = Callable[[Any], None]

CONDITION: Final = "... on "


def compile_rewrites(rewrites: Sequence[Rewrite], facts: TypeFacts) -> Rewriter | None:
    """One function that applies all of them to a value in place; None where there are none."""
    compiled = [_compile(it, facts) for it in rewrites]
    if not compiled:
        return None

    def rewrite(value: Any) -> None:
        for one in compiled:
            one(value)

    return rewrite


def renamed_keys(rewrites: Sequence[Rewrite]) -> dict[str, str]:
    """The planner's aliases and what they stand for: for the paths of errors."""
    return {it.path[-1]: it.new_key for it in rewrites if isinstance(it, KeyRenamer)}


def _compile(rewrite: Rewrite, facts: TypeFacts) -> Rewriter:
    *above, last = rewrite.path
    change = (
        _renamer(last, rewrite.new_key) if isinstance(rewrite, KeyRenamer) else _setter(last, rewrite.value)
    )
    return _descend(tuple(above), change, facts)


def _renamer(key: str, new_key: str) -> Rewriter:
    def rename(value: Any) -> None:
        if key in value:
            value[new_key] = value.pop(key)

    return rename


def _setter(key: str, new_value: str) -> Rewriter:
    def set_value(value: Any) -> None:
        value[key] = new_value

    return set_value


def _descend(path: RewritePath, change: Rewriter, facts: TypeFacts) -> Rewriter:
    """Apply `change` to every object under `path`; lists are walked at every level."""
    for element in reversed(path):
        if element.startswith(CONDITION):
            change = _only_on(element.removeprefix(CONDITION), change, facts)
        else:
            change = _below(element, change)
    return _each(change)


def _each(change: Rewriter) -> Rewriter:
    def each(value: Any) -> None:
        if value.__class__ is dict:
            change(value)
        elif value.__class__ is list:
            for item in value:
                each(item)

    return each


def _below(key: str, change: Rewriter) -> Rewriter:
    each = _each(change)

    def below(value: Any) -> None:
        each(value.get(key))

    return below


def _only_on(type_condition: str, change: Rewriter, facts: TypeFacts) -> Rewriter:
    names = facts.possible(type_condition) | {type_condition}

    def only_on(value: Any) -> None:
        if value.get("__typename") in names:
            change(value)

    return only_on
