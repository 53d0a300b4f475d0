"""A plan cut in two for `@defer`: the fetches that the first answer needs, and the rest.

Where the planner planned the deferred parts apart (`Defer`), its cut is taken. Otherwise a fetch belongs
to the first part if it brings a field that the operation selects outside deferred fragments, or one that
such a fetch requires. A fetch that serves both is made once, in the first part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode, parse

from router.operation.model import NormalField, NormalSelection
from router.planner import plan
from router.planner.plan import Fetch, PathKey, PathStep, PlanNode, RequiresField, RequiresSelection

Keys = tuple[str, ...]


def has_deferred(selections: Sequence[NormalSelection]) -> bool:
    """Whether any fragment is to be answered later."""
    return any(
        (not isinstance(it, NormalField) and it.deferred) or has_deferred(it.selections) for it in selections
    )


def split_plan(
    node: PlanNode | None, selections: Sequence[NormalSelection]
) -> tuple[PlanNode | None, PlanNode | None]:
    """The part of the plan for the first answer to `selections`, and the part for what follows."""
    if isinstance(node, plan.Defer):
        return node.primary, _in_waves(node)
    if node is None:
        return None, None
    fetches = list(_fetches(node, ()))
    first = _needed_first(fetches, set(_paths(selections, ())))
    return _pruned(node, first, keep=True), _pruned(node, first, keep=False)


def _in_waves(node: plan.Defer) -> PlanNode | None:
    """The deferred parts side by side, those that wait for another part's fetch after that part."""
    done = _ids(node.primary)
    left = [it for it in node.deferred if it.node is not None]
    waves: list[PlanNode] = []
    while left:
        ready = [it for it in left if {one.fetch_id for one in it.depends} <= done] or left
        waves.append(plan.Parallel(tuple(it.node for it in ready if it.node is not None)))
        done = done.union(*(_ids(it.node) for it in ready))
        left = [it for it in left if it not in ready]
    return plan.Sequence(tuple(waves)) if waves else None


def _ids(node: PlanNode | None) -> frozenset[int]:
    return frozenset() if node is None else frozenset(fetch.id for fetch, _ in _fetches(node, ()))


def _fetches(node: PlanNode, under: Keys) -> Iterator[tuple[Fetch, Keys]]:
    match node:
        case Fetch():
            yield node, under
        case plan.Flatten(path, inner):
            yield from _fetches(inner, (*under, *_keys(path)))
        case plan.Sequence(nodes) | plan.Parallel(nodes):
            for it in nodes:
                yield from _fetches(it, under)
        case plan.ConditionNode(_, if_clause, else_clause):
            for branch in (if_clause, else_clause):
                if branch is not None:
                    yield from _fetches(branch, under)
        case _:
            return


def _keys(path: Sequence[PathStep]) -> Keys:
    return tuple(it.key for it in path if isinstance(it, PathKey))


def _needed_first(fetches: Sequence[tuple[Fetch, Keys]], wanted: set[Keys]) -> frozenset[int]:
    """The ids of the fetches of the first part; what they require is wanted too, to a fixed point."""
    brings = {fetch.id: set(_brought(fetch, under)) for fetch, under in fetches}
    first: set[int] = set()
    grown = True
    while grown:
        grown = False
        for fetch, under in fetches:
            if fetch.id in first or not (brings[fetch.id] & wanted or fetch.context_rewrites):
                continue
            first.add(fetch.id)
            wanted |= set(_required(fetch.requires, under))
            grown = True
    return frozenset(first)


def _paths(selections: Sequence[NormalSelection], under: Keys) -> Iterator[Keys]:
    for it in selections:
        if isinstance(it, NormalField):
            keys = (*under, it.response_key)
            yield keys
            yield from _paths(it.selections, keys)
        elif not it.deferred:
            yield from _paths(it.selections, under)


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


def _pruned(node: PlanNode, first: frozenset[int], *, keep: bool) -> PlanNode | None:
    """The plan with the fetches of the first part alone, or without them."""
    match node:
        case Fetch():
            return node if (node.id in first) is keep else None
        case plan.Flatten(path, inner):
            rest = _pruned(inner, first, keep=keep)
            return None if rest is None else plan.Flatten(path, rest)
        case plan.Sequence(nodes) | plan.Parallel(nodes):
            kept = tuple(it for one in nodes if (it := _pruned(one, first, keep=keep)) is not None)
            return type(node)(kept) if kept else None
        case plan.ConditionNode(variable, if_clause, else_clause):
            if_kept = None if if_clause is None else _pruned(if_clause, first, keep=keep)
            else_kept = None if else_clause is None else _pruned(else_clause, first, keep=keep)
            if if_kept is None and else_kept is None:
                return None
            return plan.ConditionNode(variable, if_kept, else_kept)
        case _:
            return node
