"""Checks what a subgraph writes in the place of the specifications' own definitions, which are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DirectiveDefinitionNode,
    DocumentNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    TypeNode,
    print_ast,
)
from graphql.language import ast

from schema.composition.parse.place import place
from schema.federation.directives import BUILT_IN_SCALARS, FEDERATION_DIRECTIVES, FEDERATION_SCALARS
from schema.problems import Problem

_TEXT_LIKE = frozenset({"String", "ID", "_FieldSet", "FieldSet"})


def check_spec_directives(
    subgraph: str, document: DocumentNode, canonical: Mapping[str, str]
) -> Iterator[Problem]:
    """Report specification directives that are defined in another way than the specification does."""
    for node in document.definitions:
        if not isinstance(node, DirectiveDefinitionNode):
            continue
        name = canonical.get(node.name.value)
        for why in _differences(node, name) if name is not None else ():
            yield Problem(
                "DIRECTIVE_DEFINITION_INVALID",
                f"`@{node.name.value}` is a directive of the federation"
                f" specification, and this definition {why}",
                f"@{node.name.value}",
                (place(subgraph, node),),
                "leave the definition out: the link brings it",
            )


def check_spec_type(subgraph: str, name: str, nodes: list[Any], *, is_enum: bool) -> Iterator[Problem]:
    """Report a specification's type that is declared as another kind, or hidden."""
    for node in nodes:
        wanted = ast.EnumTypeDefinitionNode if is_enum else ast.ScalarTypeDefinitionNode
        extension = ast.EnumTypeExtensionNode if is_enum else ast.ScalarTypeExtensionNode
        if not isinstance(node, wanted | extension):
            yield Problem(
                "TYPE_DEFINITION_INVALID",
                f"`{name}` belongs to a specification, where it is {'an enum' if is_enum else 'a scalar'}",
                name,
                (place(subgraph, node),),
                "leave the definition out, or choose another name",
            )
        if any(d.name.value.rsplit("__", 1)[-1] == "inaccessible" for d in node.directives or ()):
            yield Problem(
                "DISALLOWED_INACCESSIBLE",
                f"`{name}` is {'built in' if name in BUILT_IN_SCALARS else 'part of a specification'}"
                " and cannot be hidden",
                name,
                (place(subgraph, node),),
                "remove `@inaccessible`",
            )


def _differences(node: DirectiveDefinitionNode, name: str) -> Iterator[str]:
    spec = FEDERATION_DIRECTIVES[name].node
    wanted = {a.name.value: a for a in spec.arguments or ()}
    given = {a.name.value: a for a in node.arguments or ()}
    for argument, definition in wanted.items():
        if argument not in given:
            if isinstance(definition.type, NonNullTypeNode):
                yield f"lacks the argument `{argument}`"
        elif _shape(given[argument].type) != _shape(definition.type):
            yield f"gives `{argument}` the type `{print_ast(given[argument].type)}`"
    for argument in given:
        if argument not in wanted:
            yield f"has an argument `{argument}`"
    extra = {n.value for n in node.locations} - {n.value for n in spec.locations}
    if extra:
        yield f"allows {', '.join(sorted(extra))}"


def _shape(node: TypeNode) -> str:
    """The type's lists and kind of leaf; nullability and the names of text scalars do not matter."""
    if isinstance(node, NonNullTypeNode):
        return _shape(node.type)
    if isinstance(node, NamedTypeNode):
        name = node.name.value
        is_text = name in _TEXT_LIKE or name.rsplit("__", 1)[-1] in FEDERATION_SCALARS
        return "text" if is_text else name
    return f"[{_shape(node.type)}]" if isinstance(node, ListTypeNode) else ""
