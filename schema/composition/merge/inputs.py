"""Merges input objects: clients may use only the fields that every subgraph understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schema.composition.merge.arguments import merge_argument
from schema.composition.merge.context import MergeContext
from schema.composition.merge.model import JoinField, MergedArgument
from schema.composition.merge.references import all_equal
from schema.composition.subgraph import Argument, TypeDef, has, is_required
from schema.problems import Severity


def merge_inputs(ctx: MergeContext, owner: str, sources: Mapping[int, TypeDef]) -> dict[str, MergedArgument]:
    """The fields of an input object: those of all subgraphs, and those hidden from clients."""
    names = dict.fromkeys(name for source in sources.values() for name in source.inputs)
    merged: dict[str, MergedArgument] = {}
    for name in names:
        present = {i: s.inputs[name] for i, s in sources.items() if name in s.inputs}
        coordinate = f"{owner}.{name}"
        is_hidden = any(has(a.directives, "inaccessible") for a in present.values())
        # Merged even where it is left out then: what its subgraphs say of it must agree all the same.
        item = merge_argument(ctx, coordinate, present, code_prefix="INPUT_FIELD")
        if len(present) == len(sources) or is_hidden:
            merged[name] = replace(item, joins=_joins(sources, present))
        else:
            _report_absent(ctx, coordinate, present, [i for i in sources if i not in present])
    if not merged and names:
        _report_empty(ctx, owner, sources)
    return merged


def _joins(sources: Mapping[int, TypeDef], present: Mapping[int, Argument]) -> tuple[JoinField, ...]:
    is_same_type = all_equal({i: a.type for i, a in present.items()})
    if is_same_type and len(present) == len(sources):
        return ()
    return tuple(JoinField(i, type=None if is_same_type else str(a.type)) for i, a in present.items())


def _report_absent(
    ctx: MergeContext, coordinate: str, present: Mapping[int, Argument], absent: list[int]
) -> None:
    required = [i for i, a in present.items() if is_required(a)]
    places = [a.at for a in present.values()]
    if required:
        ctx.problem(
            "REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH",
            f"`{coordinate}` is required in {ctx.names(required)} and unknown in {ctx.names(absent)}",
            coordinate,
            places,
            "make it optional there, or add it to the other subgraphs",
        )
    else:
        ctx.hint(
            "INCONSISTENT_INPUT_OBJECT_FIELD",
            f"`{coordinate}` is unknown in {ctx.names(absent)}; clients cannot use it",
            coordinate,
            places,
            severity=Severity.WARN,
        )


def _report_empty(ctx: MergeContext, owner: str, sources: Mapping[int, TypeDef]) -> None:
    ctx.problem(
        "EMPTY_MERGED_INPUT_TYPE",
        f"`{owner}` has no field that {ctx.names(sources)} all know",
        owner,
        (s.at for s in sources.values()),
        "give it at least one field in common",
    )
