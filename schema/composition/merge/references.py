"""Merges the types of fields and arguments: outputs widen, inputs narrow."""

from __future__ import annotations

from collections.abc import Mapping

from schema.composition.merge.context import MergeContext
from schema.federation.type_refs import TypeRef


def widest(ctx: MergeContext, types: Mapping[int, TypeRef]) -> TypeRef | None:
    """The type among them that every other one is a subtype of; None when there is none."""
    distinct = list(dict.fromkeys(types.values()))
    return next((t for t in distinct if all(ctx.is_subtype(other, t) for other in distinct)), None)


def narrowest(ctx: MergeContext, types: Mapping[int, TypeRef]) -> TypeRef | None:
    """The type among them that is a subtype of every other one; None when there is none."""
    distinct = list(dict.fromkeys(types.values()))
    return next((t for t in distinct if all(ctx.is_subtype(t, other) for other in distinct)), None)


def all_equal(types: Mapping[int, TypeRef]) -> bool:
    """Whether every subgraph writes the same type."""
    return len(set(types.values())) <= 1


def side_by_side(ctx: MergeContext, types: Mapping[int, TypeRef]) -> str:
    """Each type with the subgraphs that write it, for messages."""
    by_type: dict[str, list[int]] = {}
    for index, ref in types.items():
        by_type.setdefault(str(ref), []).append(index)
    return " and ".join(f"`{ref}` in {ctx.names(indices)}" for ref, indices in by_type.items())
