"""Checks what external copies of a field say against what its owners say."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import ValueNode, print_ast

from schema.composition.merge.context import MergeContext
from schema.composition.merge.model import MergedArgument, MergedField
from schema.composition.merge.references import all_equal
from schema.composition.merge.values import meaning
from schema.composition.subgraph import FieldDef


def check_externals(
    ctx: MergeContext,
    coordinate: str,
    externals: Mapping[int, FieldDef],
    owners: Mapping[int, FieldDef],
    merged: MergedField,
) -> None:
    """Report each external copy that its owners would not recognise.

    A copy is of the merged type. It may be narrower only where the owners disagree: a copy that alone says
    `Int!` would be handed nulls with what it requires.
    """
    is_one_type = all_equal({i: o.type for i, o in owners.items()})
    for index, copy in externals.items():
        if copy.type != merged.type and (is_one_type or not ctx.is_subtype(copy.type, merged.type)):
            written = " and ".join(f"`{o.type}` in {ctx.names([i])}" for i, o in owners.items())
            ctx.problem(
                "EXTERNAL_TYPE_MISMATCH",
                f"`{coordinate}` is `{copy.type}` in `{ctx.name(index)}`,"
                f" where it is external, and {written}",
                coordinate,
                (copy.at, *(o.at for o in owners.values())),
                f"write `{merged.type}` in `{ctx.name(index)}`",
            )
        for argument in merged.arguments.values():
            _check_argument(ctx, f"{coordinate}({argument.name}:)", index, copy, argument)


def _check_argument(
    ctx: MergeContext, coordinate: str, index: int, copy: FieldDef, merged: MergedArgument
) -> None:
    name = ctx.name(index)
    declared = copy.arguments.get(merged.name)
    if declared is None:
        ctx.problem(
            "EXTERNAL_ARGUMENT_MISSING",
            f"`{coordinate}` is missing from the external copy in `{name}`",
            coordinate,
            (copy.at,),
            f"add `{merged.name}: {merged.type}` there",
        )
    elif not ctx.is_subtype(merged.type, declared.type):
        ctx.problem(
            "EXTERNAL_ARGUMENT_TYPE_MISMATCH",
            f"`{coordinate}` is `{declared.type}` in the external copy in"
            f" `{name}`, and `{merged.type}` elsewhere",
            coordinate,
            (declared.at,),
            f"write `{merged.type}` there",
        )
    elif _differs(declared.default, merged.default):
        ctx.problem(
            "EXTERNAL_ARGUMENT_DEFAULT_MISMATCH",
            f"the default of `{coordinate}` is {_written(declared.default)} in the external copy in `{name}`,"
            f" and {_written(merged.default)} elsewhere",
            coordinate,
            (declared.at,),
            "give it the same default",
        )


def _differs(one: ValueNode | None, other: ValueNode | None) -> bool:
    if one is None or other is None:
        return one is not other
    return meaning(one) != meaning(other)


def _written(default: ValueNode | None) -> str:
    return "none" if default is None else f"`{print_ast(default)}`"
