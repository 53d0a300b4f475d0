"""Contracts: a supergraph for one audience, with everything hidden that its tags do not let through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from graphql import ConstDirectiveNode, DirectiveNode, NameNode, StringValueNode, parse, print_ast
from graphql.language import ast

_INACCESSIBLE_URL = "https://specs.apollo.dev/inaccessible/v0.2"
_INACCESSIBLE = (
    "directive @inaccessible on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ARGUMENT_DEFINITION | SCALAR"
    " | ENUM | ENUM_VALUE | INPUT_OBJECT | INPUT_FIELD_DEFINITION"
)
_ROOTS = frozenset({"Query", "Mutation", "Subscription"})
_SPEC_PREFIXES = ("join__", "link__", "context__", "policy__", "requiresScopes__")
Node = TypeVar("Node", bound=ast.Node)
_FILTERED = (ast.ObjectTypeDefinitionNode, ast.InterfaceTypeDefinitionNode)


class ContractEmpty(Exception):
    """The contract lets nothing through that could be asked for."""


@dataclass(frozen=True, slots=True)
class Contract:
    """Tags that are let through and tags that are kept back. No `include`: everything but `exclude`."""

    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()

    def hides(self, tags: frozenset[str], *, is_included_above: bool) -> bool:
        """Whether a field or type with these tags stays hidden; `is_included_above`: its type is included."""
        if tags & self.exclude:
            return True
        return bool(self.include) and not is_included_above and not tags & self.include


def apply_contract(supergraph_sdl: str, contract: Contract) -> str:
    """The supergraph with `@inaccessible` on everything that the contract keeps back.

    Types that are left without a visible part are hidden too, and fields that return hidden types with them.
    Errors: ContractEmpty when no query is left.
    """
    document = parse(supergraph_sdl, no_location=True)
    types = [d for d in document.definitions if isinstance(d, ast.TypeDefinitionNode) and not _is_spec(d)]
    hidden = _Hidden(contract, types)
    hidden.settle()
    if "Query" in hidden.types:
        raise ContractEmpty("the contract lets no query through")
    marked = {node.name.value: hidden.marked(node) for node in types}
    definitions = [
        marked[d.name.value] if isinstance(d, ast.TypeDefinitionNode) and d.name.value in marked else d
        for d in document.definitions
    ]
    return print_ast(replace(document, definitions=tuple(_linked(definitions)))) + "\n"


class _Hidden:
    """What a contract hides, grown until nothing visible needs something hidden."""

    def __init__(self, contract: Contract, types: Sequence[ast.TypeDefinitionNode]) -> None:
        self.contract = contract
        self.nodes = {node.name.value: node for node in types}
        self.types: set[str] = set()
        self.parts: set[tuple[str, str]] = set()
        for node in types:
            self._start(node)

    def settle(self) -> None:
        """Hide what has no visible part left, and what leads only to hidden types."""
        before = -1
        while before != len(self.types) + len(self.parts):
            before = len(self.types) + len(self.parts)
            for name, node in self.nodes.items():
                for part in _parts(node):
                    if _leads_to(part) in self.types:
                        self.parts.add((name, part.name.value))
                if name not in self.types and self._is_empty(node):
                    self.types.add(name)

    def marked(self, node: ast.TypeDefinitionNode) -> ast.TypeDefinitionNode:
        """The type with `@inaccessible` on it and its parts where they are hidden."""
        name = node.name.value
        node = _hidden(node) if name in self.types else node
        for attribute in ("fields", "values"):
            parts = getattr(node, attribute, None)
            if parts:
                node = _replaced(node, attribute, tuple(self._marked_part(name, part) for part in parts))
        return node

    def _marked_part(self, owner: str, part: Any) -> Any:
        if (owner, part.name.value) in self.parts or owner in self.types:
            part = _hidden(part)
        arguments = getattr(part, "arguments", None)
        if not arguments:
            return part
        marked = tuple(_hidden(a) if self._hides_argument(a) else a for a in arguments)
        return _replaced(part, "arguments", marked)

    def _start(self, node: ast.TypeDefinitionNode) -> None:
        name, tags = node.name.value, _tags(node)
        if tags & self.contract.exclude or _is_inaccessible(node):
            self.types.add(name)
            return
        is_included = bool(tags & self.contract.include)
        for part in _parts(node):
            is_filtered = isinstance(node, _FILTERED)
            hides = self.contract.hides(_tags(part), is_included_above=is_included or not is_filtered)
            if hides or _is_inaccessible(part):
                self.parts.add((name, part.name.value))

    def _hides_argument(self, argument: ast.InputValueDefinitionNode) -> bool:
        is_required = isinstance(argument.type, ast.NonNullTypeNode) and argument.default_value is None
        excluded = _tags(argument) & self.contract.exclude or _leads_to(argument) in self.types
        return bool(excluded) and not is_required

    def _is_empty(self, node: ast.TypeDefinitionNode) -> bool:
        if isinstance(node, ast.UnionTypeDefinitionNode):
            return all(member.name.value in self.types for member in node.types or ())
        parts = _parts(node)
        return bool(parts) and all((node.name.value, part.name.value) in self.parts for part in parts)


def _is_spec(node: ast.TypeDefinitionNode) -> bool:
    return node.name.value.startswith(_SPEC_PREFIXES)


def _parts(node: ast.TypeDefinitionNode) -> Sequence[ast.FieldDefinitionNode]:
    return getattr(node, "fields", None) or getattr(node, "values", None) or ()


def _tags(node: ast.Node) -> frozenset[str]:
    directives: Iterable[DirectiveNode] = getattr(node, "directives", None) or ()
    return frozenset(
        argument.value.value
        for directive in directives
        if directive.name.value == "tag"
        for argument in directive.arguments or ()
        if isinstance(argument.value, StringValueNode)
    )


def _is_inaccessible(node: ast.Node) -> bool:
    return any(d.name.value == "inaccessible" for d in getattr(node, "directives", None) or ())


def _leads_to(part: ast.Node) -> str | None:
    found = getattr(part, "type", None)
    while found is not None and not isinstance(found, ast.NamedTypeNode):
        found = found.type
    return None if found is None else found.name.value


def _hidden(node: Node) -> Node:
    if _is_inaccessible(node):
        return node
    added = ConstDirectiveNode(name=NameNode(value="inaccessible"), arguments=())
    return _replaced(node, "directives", (*(getattr(node, "directives", None) or ()), added))


def _replaced(node: Node, attribute: str, value: tuple[Any, ...]) -> Node:
    changes: dict[str, Any] = {attribute: value}
    return replace(node, **changes)


def _linked(definitions: Sequence[ast.DefinitionNode]) -> list[ast.DefinitionNode]:
    """The definitions with @inaccessible linked and defined, unless the supergraph has it already."""
    if any(
        isinstance(d, ast.DirectiveDefinitionNode) and d.name.value == "inaccessible" for d in definitions
    ):
        return list(definitions)
    link = f'extend schema @link(url: "{_INACCESSIBLE_URL}", for: SECURITY)'
    extension, definition = parse(f"{link}\n{_INACCESSIBLE}", no_location=True).definitions
    added = getattr(extension, "directives", None) or ()
    linked = [
        _replaced(d, "directives", (*(d.directives or ()), *added))
        if isinstance(d, ast.SchemaDefinitionNode)
        else d
        for d in definitions
    ]
    return [*linked, definition]
