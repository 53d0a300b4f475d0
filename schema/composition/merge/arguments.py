"""Merges arguments and input fields: only what all subgraphs understand, of the narrowest type."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import NullValueNode, ValueNode, print_ast

from schema.composition.merge.context import MergeContext, merge_description
from schema.composition.merge.directives import merge_directives
from schema.composition.merge.model import MergedArgument
from schema.composition.merge.references import all_equal, narrowest, side_by_side
from schema.composition.merge.values import meaning
from schema.composition.subgraph import Argument, DirectiveDef, FieldDef, has, is_required
from schema.federation.type_refs import named
from schema.problems import Severity


def merge_arguments(
    ctx: MergeContext, coordinate: str, sources: Mapping[int, FieldDef] | Mapping[int, DirectiveDef]
) -> dict[str, MergedArgument]:
    """The arguments that every source has. Sources: the subgraphs that resolve the field, or that define the
    directive.
    """
    merged: dict[str, MergedArgument] = {}
    names = dict.fromkeys(name for source in sources.values() for name in source.arguments)
    for name in names:
        present = {i: s.arguments[name] for i, s in sources.items() if name in s.arguments}
        where = f"{coordinate}({name}:)"
        if any(has(a.directives, "fromContext") for a in present.values()):
            _check_contextual(ctx, where, present)
        elif len(present) < len(sources):
            _report_absent(ctx, where, present, [i for i in sources if i not in present])
        else:
            merged[name] = merge_argument(ctx, where, present, code_prefix="FIELD_ARGUMENT")
    return merged


def merge_argument(
    ctx: MergeContext, coordinate: str, sources: Mapping[int, Argument], *, code_prefix: str
) -> MergedArgument:
    """One argument or input field from all its sources; `code_prefix` names the kind in codes."""
    types = {i: a.type for i, a in sources.items()}
    merged = narrowest(ctx, types)
    if merged is None:
        code = "FIELD_TYPE_MISMATCH" if code_prefix == "INPUT_FIELD" else f"{code_prefix}_TYPE_MISMATCH"
        ctx.problem(
            code,
            f"`{coordinate}` has types that cannot be one: {side_by_side(ctx, types)}",
            coordinate,
            (a.at for a in sources.values()),
            "give it the same type everywhere; an input may be stricter in"
            " some subgraphs, not of another kind",
        )
        merged = next(iter(types.values()))
    elif not all_equal(types):
        ctx.hint(
            f"INCONSISTENT_BUT_COMPATIBLE_{'FIELD' if code_prefix == 'INPUT_FIELD' else 'ARGUMENT'}_TYPE",
            f"`{coordinate}` is {side_by_side(ctx, types)}; clients see `{merged}`",
            coordinate,
            (a.at for a in sources.values()),
        )
    ctx.input_uses.add(named(merged))
    return MergedArgument(
        name=next(iter(sources.values())).name,
        type=merged,
        default=_merge_default(ctx, coordinate, sources, code_prefix),
        description=merge_description(ctx, coordinate, {i: a.description for i, a in sources.items()}),
        directives=merge_directives(ctx, coordinate, {i: a.directives for i, a in sources.items()}),
    )


def _merge_default(
    ctx: MergeContext, coordinate: str, sources: Mapping[int, Argument], code_prefix: str
) -> ValueNode | None:
    given = {i: a.default for i, a in sources.items() if a.default is not None}
    if not given:
        return None
    if len({meaning(value) for value in given.values()}) > 1:
        written = " and ".join(f"`{print_ast(value)}` in {ctx.names([i])}" for i, value in given.items())
        ctx.problem(
            f"{code_prefix}_DEFAULT_MISMATCH",
            f"`{coordinate}` has different defaults: {written}",
            coordinate,
            (sources[i].at for i in given),
            "give it the same default everywhere",
        )
    if len(given) == len(sources):
        return next(iter(given.values()))
    if not all(isinstance(value, NullValueNode) for value in given.values()):
        ctx.hint(
            "INCONSISTENT_DEFAULT_VALUE_PRESENCE",
            f"`{coordinate}` has a default in {ctx.names(given)} only; the supergraph has none",
            coordinate,
            (sources[i].at for i in given),
            severity=Severity.WARN,
        )
    return None


def _report_absent(
    ctx: MergeContext, coordinate: str, present: Mapping[int, Argument], absent: list[int]
) -> None:
    required = [i for i, a in present.items() if is_required(a)]
    places = [a.at for a in present.values()]
    if required:
        ctx.problem(
            "REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH",
            f"`{coordinate}` is required in {ctx.names(required)} and unknown in {ctx.names(absent)}",
            coordinate,
            places,
            "make it optional there, or add it to the other subgraphs",
        )
    else:
        ctx.hint(
            "INCONSISTENT_ARGUMENT_PRESENCE",
            f"`{coordinate}` is unknown in {ctx.names(absent)}; clients cannot use it",
            coordinate,
            places,
            severity=Severity.WARN,
        )


def _check_contextual(ctx: MergeContext, coordinate: str, present: Mapping[int, Argument]) -> None:
    plain = {i: a for i, a in present.items() if not has(a.directives, "fromContext")}
    required = [i for i, a in plain.items() if is_required(a)]
    if required:
        ctx.problem(
            "CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS",
            f"`{coordinate}` comes from a context in some subgraphs, and clients"
            f" must give it in {ctx.names(required)}",
            coordinate,
            (a.at for a in present.values()),
            "write `@fromContext` on it in each subgraph that requires it",
        )
    elif plain:
        ctx.hint(
            "CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS",
            f"`{coordinate}` comes from a context in some subgraphs; clients"
            f" cannot give it in {ctx.names(plain)}",
            coordinate,
            (a.at for a in plain.values()),
        )
