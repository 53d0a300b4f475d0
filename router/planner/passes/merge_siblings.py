"""Two requests to one subgraph at one place become one, where neither waits for the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from router.planner.groups import FetchGroup, FetchGroups
from router.planner.occasions import decidable, simplest
from router.planner.plan import PathStep
from router.planner.selections import Conditions
from router.planner.tree import VisitKind


def merge_siblings(groups: FetchGroups) -> bool:
    """Merge what can be merged; true where something was.

    Requests that send the same come first: merging one of them with a third could keep the two apart.
    """
    by_place: dict[tuple[object, ...], list[FetchGroup]] = {}
    for group in groups:
        place = (group.graph, group.kind, tuple([_bare(step) for step in group.path]), group.defer)
        by_place.setdefault(place, []).append(group)
    if len(by_place) == len(groups):
        return False
    return _merge_all(groups, by_place.values(), same_sent=True) or _merge_all(
        groups, by_place.values(), same_sent=False
    )


def _merge_all(groups: FetchGroups, places: Iterable[list[FetchGroup]], *, same_sent: bool) -> bool:
    changed = False
    for place in places:
        candidates: list[FetchGroup] = []
        for group in place:
            for other in candidates:
                alike = (
                    not same_sent or other.representation.selections() == group.representation.selections()
                )
                if alike and _mergeable(groups, other, group):
                    _merge(groups, other, group)
                    changed = True
                    break
            else:
                candidates.append(group)
    return changed


def _bare(step: PathStep) -> str:
    return getattr(step, "key", "@")


def _mergeable(groups: FetchGroups, left: FetchGroup, right: FetchGroup) -> bool:
    if left.path != right.path and not _differ_in_one_filter(left, right):
        return False
    if left.kind is VisitKind.ENTITY and not (_same_sent(left, right) and _tells_apart(left, right)):
        return False
    return not groups.waits_for(left.id, right.id) and not groups.waits_for(right.id, left.id)


def _same_sent(left: FetchGroup, right: FetchGroup) -> bool:
    """Whether one representation serves both: nothing clashes, and nothing that one needs can be excluded
    by a condition while the other is asked for."""
    if _occasions(left) == _occasions(right):
        return not left.representation.clashes(right.representation)
    if (
        left.contexts
        or right.contexts
        or left.representation.selections() != right.representation.selections()
    ):
        return False
    # Otherwise they would be made even where all are excluded, or printed too often.
    return decidable(_occasions(left) | _occasions(right))


def _occasions(group: FetchGroup) -> frozenset[Conditions]:
    return group.occasions or frozenset((group.conditions,))


def _tells_apart(left: FetchGroup, right: FetchGroup) -> bool:
    """Whether each object is asked only for what its own request asks.

    An interface object's subgraph knows all objects by one name: what is selected for some types would be
    selected for all.
    """
    ours, theirs = left.representation.by_type.keys(), right.representation.by_type.keys()
    if ours == theirs:
        return True
    shared = {slot[0] for slot in left.tree.fields} & {slot[0] for slot in right.tree.fields}
    return shared <= (ours | theirs) or left.tree.same_as(right.tree)


def _differ_in_one_filter(left: FetchGroup, right: FetchGroup) -> bool:
    """Whether the paths differ in one type filter only and ask the same there, so that one path with both
    types stands for the two."""
    different = [(a, b) for a, b in zip(left.path, right.path, strict=True) if a != b]
    if len(different) != 1 or any(a.types is None or b.types is None for a, b in different):
        return False
    return (
        left.representation.selections() == right.representation.selections()
        and left.tree.same_as(right.tree)
        and left.depends_on == right.depends_on
    )


def _merge(groups: FetchGroups, kept: FetchGroup, gone: FetchGroup) -> None:
    kept.tree, kept.representation = kept.tree.own(), kept.representation.own()
    kept.tree.merge(gone.tree)
    kept.representation.merge(gone.representation)
    kept.rewrites.extend(rewrite for rewrite in gone.rewrites if rewrite not in kept.rewrites)
    kept.contexts.update(gone.contexts)
    kept.depends_on |= gone.depends_on
    kept.occasions = simplest(_occasions(kept) | _occasions(gone))
    kept.conditions = tuple(c for c in kept.conditions if c in gone.conditions)
    kept.depends_on.discard(kept.id)
    kept.path = tuple(_widest(a, b) for a, b in zip(kept.path, gone.path, strict=True))
    groups.replace(gone.id, kept.id)


def _widest(left: PathStep, right: PathStep) -> PathStep:
    if left == right or left.types is None or right.types is None:
        return (
            left if left.types is None else replace(left, types=None if right.types is None else left.types)
        )
    return replace(left, types=left.types | right.types)
