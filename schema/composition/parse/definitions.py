"""Turns one type's definition and its extensions into a `TypeDef`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DirectiveDefinitionNode,
    DirectiveNode,
    FieldDefinitionNode,
    InputValueDefinitionNode,
    StringValueNode,
)
from graphql.language import ast

from schema.composition.parse.place import place
from schema.composition.subgraph import (
    Applied,
    Argument,
    DirectiveDef,
    Directives,
    EnumValue,
    FieldDef,
    Kind,
    TypeDef,
    has,
)
from schema.federation.directives import BUILT_IN_DIRECTIVES
from schema.federation.type_refs import renamed, type_ref
from schema.problems import Problem

KINDS: dict[type[ast.Node], Kind] = {
    ast.ObjectTypeDefinitionNode: Kind.OBJECT,
    ast.ObjectTypeExtensionNode: Kind.OBJECT,
    ast.InterfaceTypeDefinitionNode: Kind.INTERFACE,
    ast.InterfaceTypeExtensionNode: Kind.INTERFACE,
    ast.UnionTypeDefinitionNode: Kind.UNION,
    ast.UnionTypeExtensionNode: Kind.UNION,
    ast.EnumTypeDefinitionNode: Kind.ENUM,
    ast.EnumTypeExtensionNode: Kind.ENUM,
    ast.InputObjectTypeDefinitionNode: Kind.INPUT,
    ast.InputObjectTypeExtensionNode: Kind.INPUT,
    ast.ScalarTypeDefinitionNode: Kind.SCALAR,
    ast.ScalarTypeExtensionNode: Kind.SCALAR,
}


@dataclass(frozen=True, slots=True)
class Reader:
    """What reading a definition needs to know: the subgraph, the names in use and where problems go."""

    subgraph: str
    canonical: Mapping[str, str]
    type_names: dict[str, str]
    problems: list[Problem]

    def type_def(self, name: str, nodes: Sequence[Any]) -> TypeDef:
        """The type that a definition and its extensions make together."""
        base = next((n for n in nodes if isinstance(n, ast.TypeDefinitionNode)), None)
        directives = tuple(d for node in nodes for d in self.directives(node.directives))
        main = base or nodes[0]
        return TypeDef(
            kind=KINDS[type(main)],
            name=name,
            description=_description(base),
            directives=directives,
            at=place(self.subgraph, main),
            is_extension=base is None or has(directives, "extends"),
            interfaces=self._unique_names(
                n for node in nodes for n in getattr(node, "interfaces", None) or ()
            ),
            fields=self._fields(name, nodes),
            inputs=self._inputs(name, nodes),
            members=self._unique_names(n for node in nodes for n in getattr(node, "types", None) or ()),
            values=self._values(name, nodes),
        )

    def directives(self, nodes: Iterable[DirectiveNode] | None) -> Directives:
        """The applications under canonical names."""
        return tuple(self._applied(node) for node in nodes or ())

    def directive_def(self, node: DirectiveDefinitionNode) -> DirectiveDef:
        """A definition of the subgraph's own."""
        arguments = {a.name.value: self._argument(a) for a in node.arguments or ()}
        locations = tuple(sorted(n.value for n in node.locations))
        at = place(self.subgraph, node)
        return DirectiveDef(node.name.value, arguments, locations, node.repeatable, _description(node), at)

    def invalid(self, message: str, coordinate: str, *nodes: ast.Node, mend: str | None = None) -> None:
        """Record that the SDL itself is not valid GraphQL."""
        at = tuple(place(self.subgraph, node) for node in nodes)
        self.problems.append(Problem("INVALID_GRAPHQL", message, coordinate, at, mend))

    def _applied(self, node: DirectiveNode) -> Applied:
        written = node.name.value
        canonical = self.canonical.get(written)
        arguments = {a.name.value: a.value for a in node.arguments or ()}
        is_spec = canonical is not None or written in BUILT_IN_DIRECTIVES
        return Applied(canonical or written, is_spec, arguments, node, place(self.subgraph, node))

    def _fields(self, owner: str, nodes: Sequence[Any]) -> dict[str, FieldDef]:
        found: dict[str, FieldDef] = {}
        for node in nodes:
            if KINDS[type(node)] not in (Kind.OBJECT, Kind.INTERFACE):
                continue
            inherited = frozenset(
                d.name
                for d in self.directives(node.directives)
                if d.spec and d.name in ("shareable", "external")
            )
            for item in node.fields or ():
                if item.name.value in found:
                    self._twice(f"{owner}.{item.name.value}", item)
                    continue
                found[item.name.value] = self._field(owner, item, inherited)
        return found

    def _field(self, owner: str, node: FieldDefinitionNode, inherited: frozenset[str]) -> FieldDef:
        name = node.name.value
        arguments: dict[str, Argument] = {}
        for item in node.arguments or ():
            if item.name.value in arguments:
                self._twice(f"{owner}.{name}({item.name.value}:)", item)
            arguments[item.name.value] = self._argument(item)
        return FieldDef(
            name=name,
            type=renamed(type_ref(node.type), self.type_names),
            arguments=arguments,
            description=_description(node),
            directives=self.directives(node.directives),
            at=place(self.subgraph, node),
            inherited=inherited,
        )

    def _argument(self, node: InputValueDefinitionNode) -> Argument:
        return Argument(
            name=node.name.value,
            type=type_ref(node.type),
            default=node.default_value,
            description=_description(node),
            directives=self.directives(node.directives),
            at=place(self.subgraph, node),
        )

    def _inputs(self, owner: str, nodes: Sequence[Any]) -> dict[str, Argument]:
        found: dict[str, Argument] = {}
        for node in nodes:
            for item in (node.fields or ()) if KINDS[type(node)] is Kind.INPUT else ():
                if item.name.value in found:
                    self._twice(f"{owner}.{item.name.value}", item)
                    continue
                found[item.name.value] = self._argument(item)
        return found

    def _values(self, owner: str, nodes: Sequence[Any]) -> dict[str, EnumValue]:
        found: dict[str, EnumValue] = {}
        for node in nodes:
            for item in getattr(node, "values", None) or ():
                name = item.name.value
                if name in found:
                    self._twice(f"{owner}.{name}", item)
                    continue
                at = place(self.subgraph, item)
                found[name] = EnumValue(name, _description(item), self.directives(item.directives), at)
        return found

    def _unique_names(self, nodes: Iterable[ast.NamedTypeNode]) -> tuple[str, ...]:
        names = (self.type_names.get(node.name.value, node.name.value) for node in nodes)
        return tuple(dict.fromkeys(names))

    def _twice(self, coordinate: str, node: ast.Node) -> None:
        self.invalid(
            f"`{coordinate}` is defined twice", coordinate, node, mend="remove one of the definitions"
        )


def _description(node: Any) -> str | None:
    found = getattr(node, "description", None)
    return found.value if isinstance(found, StringValueNode) and found.value.strip() else None
