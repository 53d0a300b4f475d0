"""Spells the types of a supergraph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from graphql import DirectiveNode, print_ast
from graphql.language.block_string import print_block_string

from schema.composition.merge.model import Graph, MergedArgument, MergedField, MergedType, MergedValue
from schema.composition.print.joins import carried_directive, field_join, quoted, type_joins, value_joins
from schema.composition.subgraph import Kind

_KEYWORDS = {
    Kind.OBJECT: "type",
    Kind.INTERFACE: "interface",
    Kind.UNION: "union",
    Kind.ENUM: "enum",
    Kind.INPUT: "input",
    Kind.SCALAR: "scalar",
}


def print_type(merged: MergedType, graphs: Sequence[Graph]) -> str:
    """One type with all its directives; `graphs` are the subgraphs by index."""
    head = f"{_KEYWORDS[merged.kind]} {merged.name}"
    if merged.interfaces:
        head += f" implements {' & '.join(merged.interfaces)}"
    own = [
        *type_joins(merged, graphs),
        *(carried_directive(d, graphs) for d in merged.join_directives),
        *map(print_ast, merged.directives),
    ]
    lines = [*described(merged.description, ""), head, *(f"  {line}" for line in own)]
    if merged.kind is Kind.UNION:
        return "\n".join([*lines, f"  = {' | '.join(merged.member_names)}"])
    if merged.kind is Kind.SCALAR:
        return "\n".join(lines)
    body = list(_body(merged, graphs))
    return "\n".join([*lines, "{", *body, "}"] if body else lines)


def described(description: str | None, indent: str) -> list[str]:
    """A description above what it describes."""
    if not description:
        return []
    text = print_block_string(description)
    return [f"{indent}{line}" if line else "" for line in text.split("\n")]


def print_argument(argument: MergedArgument) -> str:
    """An argument on one line, its description before it."""
    text = f"{argument.name}: {argument.type}"
    if argument.default is not None:
        text += f" = {print_ast(argument.default)}"
    text = _with(text, map(print_ast, argument.directives))
    return f"{quoted(argument.description)} {text}" if argument.description else text


def print_arguments(arguments: Iterable[MergedArgument]) -> str:
    """All arguments in their parentheses; nothing for none."""
    printed = ", ".join(map(print_argument, arguments))
    return f"({printed})" if printed else ""


def _body(merged: MergedType, graphs: Sequence[Graph]) -> Iterator[str]:
    for item in merged.fields.values():
        yield from described(item.description, "  ")
        yield f"  {_field(item, graphs)}"
    for argument in merged.inputs.values():
        yield from described(argument.description, "  ")
        yield f"  {_input(argument, graphs)}"
    for value in merged.values.values():
        yield from described(value.description, "  ")
        yield f"  {_value(value, graphs)}"


def _field(item: MergedField, graphs: Sequence[Graph]) -> str:
    text = f"{item.name}{print_arguments(item.arguments.values())}: {item.type}"
    joins = (field_join(join, graphs) for join in item.joins)
    carried = (carried_directive(d, graphs) for d in item.join_directives)
    return _with(text, [*joins, *carried, *_texts(item.directives)])


def _input(argument: MergedArgument, graphs: Sequence[Graph]) -> str:
    text = f"{argument.name}: {argument.type}"
    if argument.default is not None:
        text += f" = {print_ast(argument.default)}"
    joins = (field_join(join, graphs) for join in argument.joins)
    return _with(text, [*joins, *_texts(argument.directives)])


def _value(value: MergedValue, graphs: Sequence[Graph]) -> str:
    return _with(value.name, [*value_joins(value, graphs), *_texts(value.directives)])


def _texts(directives: Iterable[DirectiveNode]) -> list[str]:
    return [print_ast(directive) for directive in directives]


def _with(text: str, directives: Iterable[str]) -> str:
    return " ".join([text, *directives])
