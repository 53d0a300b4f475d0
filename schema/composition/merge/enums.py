"""Merges enums: as output every value may come, as input only what all subgraphs understand."""

from __future__ import annotations

from collections.abc import Mapping

from schema.composition.merge.context import MergeContext, merge_description
from schema.composition.merge.directives import merge_directives
from schema.composition.merge.model import MergedValue
from schema.composition.subgraph import TypeDef, has
from schema.problems import Severity


def merge_values(ctx: MergeContext, owner: str, sources: Mapping[int, TypeDef]) -> dict[str, MergedValue]:
    """The values of an enum. Call it when all uses in fields and arguments are known."""
    is_input, is_output = owner in ctx.input_uses, owner in ctx.output_uses
    if not is_input and not is_output:
        ctx.hint("UNUSED_ENUM_TYPE", f"no field or argument uses `{owner}`", owner, severity=Severity.DEBUG)
    merged: dict[str, MergedValue] = {}
    for name in dict.fromkeys(n for s in sources.values() for n in s.values):
        value = _merge_value(ctx, f"{owner}.{name}", name, sources)
        if len(value.graphs) == len(sources) or _is_hidden(name, sources):
            merged[name] = value
        elif is_input and is_output:
            _mismatch(ctx, owner, value, sources)
            merged[name] = value
        elif is_input:
            _dropped(ctx, owner, value, sources)
        else:
            merged[name] = value
            _partial(ctx, owner, value, sources)
    if not merged:
        _report_empty(ctx, owner, sources)
    return merged


def _merge_value(
    ctx: MergeContext, coordinate: str, name: str, sources: Mapping[int, TypeDef]
) -> MergedValue:
    present = {i: s.values[name] for i, s in sources.items() if name in s.values}
    return MergedValue(
        name,
        tuple(present),
        merge_description(ctx, coordinate, {i: v.description for i, v in present.items()}),
        merge_directives(ctx, coordinate, {i: v.directives for i, v in present.items()}),
    )


def _is_hidden(name: str, sources: Mapping[int, TypeDef]) -> bool:
    return any(name in s.values and has(s.values[name].directives, "inaccessible") for s in sources.values())


def _mismatch(ctx: MergeContext, owner: str, value: MergedValue, sources: Mapping[int, TypeDef]) -> None:
    absent = [i for i in sources if i not in value.graphs]
    ctx.problem(
        "ENUM_VALUE_MISMATCH",
        f"`{owner}` is used as input and as output, so its values must be the same everywhere:"
        f" `{value.name}` is in {ctx.names(value.graphs)} and not in {ctx.names(absent)}",
        owner,
        (s.at for s in sources.values()),
        f"add `{value.name}` to the others, or hide it with `@inaccessible`",
    )


def _dropped(ctx: MergeContext, owner: str, value: MergedValue, sources: Mapping[int, TypeDef]) -> None:
    absent = [i for i in sources if i not in value.graphs]
    ctx.hint(
        "INCONSISTENT_ENUM_VALUE_FOR_INPUT_ENUM",
        f"`{owner}.{value.name}` is unknown in {ctx.names(absent)}; clients cannot use it",
        f"{owner}.{value.name}",
        (sources[i].values[value.name].at for i in value.graphs),
        severity=Severity.WARN,
    )


def _partial(ctx: MergeContext, owner: str, value: MergedValue, sources: Mapping[int, TypeDef]) -> None:
    absent = [i for i in sources if i not in value.graphs]
    ctx.hint(
        "INCONSISTENT_ENUM_VALUE_FOR_OUTPUT_ENUM",
        f"`{owner}.{value.name}` is never returned by {ctx.names(absent)}",
        f"{owner}.{value.name}",
        (sources[i].values[value.name].at for i in value.graphs),
        severity=Severity.DEBUG,
    )


def _report_empty(ctx: MergeContext, owner: str, sources: Mapping[int, TypeDef]) -> None:
    ctx.problem(
        "EMPTY_MERGED_ENUM_TYPE",
        f"`{owner}` is used as input, and no value is known to {ctx.names(sources)} alike",
        owner,
        (s.at for s in sources.values()),
        "give it at least one value in common",
    )
