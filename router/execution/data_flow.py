"""What a fetch brings and what it requires, as response keys: who of two fetches really needs the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode, parse

from router.planner import plan
from router.planner.plan import Fetch, PathKey, PathStep, PlanNode, RequiresField, RequiresSelection

Keys: TypeAlias = tuple[str, ...]
Path: TypeAlias = tuple[PathStep, ...]


def fetches_in(node: PlanNode, under: Path = ()) -> Iterator[tuple[Fetch, Path]]:
    """Every fetch of a plan node with the path on which it is made."""
    match node:
        case Fetch():
            yield node, under
        case plan.Flatten(path, inner):
            yield from fetches_in(inner, (*under, *path))
        case plan.Sequence(nodes) | plan.Parallel(nodes):
            for it in nodes:
                yield from fetches_in(it, under)
        case plan.ConditionNode(_, if_clause, else_clause):
            for branch in (if_clause, else_clause):
                if branch is not None:
                    yield from fetches_in(branch, under)
        case _:
            return


def needs(later: PlanNode, under: Path, earlier: PlanNode, earlier_under: Path) -> bool:
    """Whether something that `later` is asked with comes from `earlier`."""
    required: set[Keys] = set()
    for fetch, path in fetches_in(later, under):
        if fetch.context_rewrites:
            return True  # what it reads of the objects above is not among its required fields
        required.update(_required(fetch.requires, keys_of(path)))
    return any(
        not required.isdisjoint(_brought(fetch, keys_of(path)))
        for fetch, path in fetches_in(earlier, earlier_under)
    )


def brought_keys(fetch: Fetch) -> frozenset[str]:
    """The response keys that the fetch adds to the objects that it is for."""
    return frozenset(keys[0] for keys in _brought(fetch, ()))


def keys_of(path: Sequence[PathStep]) -> Keys:
    """The path without list marks."""
    return tuple(it.key for it in path if isinstance(it, PathKey))


def _required(requires: Sequence[RequiresSelection], under: Keys) -> Iterator[Keys]:
    for it in requires:
        if isinstance(it, RequiresField):
            yield (*under, it.source)
            yield from _required(it.selections, (*under, it.source))
        else:
            yield from _required(it.selections, under)


def _brought(fetch: Fetch, under: Keys) -> Iterator[Keys]:
    """The response keys that the fetch adds, its aliases undone; `__typename` comes with everything."""
    renamed = {it.path[-1]: it.new_key for it in fetch.output_rewrites if isinstance(it, plan.KeyRenamer)}
    operation = parse(fetch.operation, no_location=True).definitions[0]
    if isinstance(operation, OperationDefinitionNode):
        yield from _selected(operation.selection_set, under, renamed)


def _selected(node: SelectionSetNode, under: Keys, renamed: dict[str, str]) -> Iterator[Keys]:
    for it in node.selections:
        if isinstance(it, InlineFragmentNode):
            yield from _selected(it.selection_set, under, renamed)
        elif isinstance(it, FieldNode) and it.name.value != "__typename":
            if it.name.value == "_entities" and it.selection_set is not None:
                yield from _selected(it.selection_set, under, renamed)
                continue
            key = it.alias.value if it.alias is not None else it.name.value
            keys = (*under, renamed.get(key, key))
            yield keys
            if it.selection_set is not None:
                yield from _selected(it.selection_set, keys, renamed)
