"""The API schema: the supergraph as clients see it, without linked specifications and hidden elements.

Source: Federation, API schema; inaccessible v0.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    DirectiveDefinitionNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    NamedTypeNode,
    Node,
    ObjectTypeDefinitionNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    build_ast_schema,
)

from schema.supergraph.features import Features, check_features, is_feature_element

_N = TypeVar("_N", bound=Node)
_KEPT_DIRECTIVES: Final = frozenset({"deprecated", "specifiedBy", "oneOf"})


@dataclass(frozen=True, slots=True)
class _Visible:
    features: Features
    hidden_types: frozenset[str]

    def shows(self, node: Any) -> bool:
        return not any(d.name.value == self.features.inaccessible for d in node.directives or ())

    def shows_type(self, node: TypeNode) -> bool:
        inner: Any = node
        while not isinstance(inner, NamedTypeNode):
            inner = inner.type
        return inner.name.value not in self.hidden_types


def api_schema_of(document: DocumentNode) -> GraphQLSchema:
    """The schema that clients validate against and introspect."""
    features = check_features(document)
    hidden = frozenset(
        node.name.value
        for node in document.definitions
        if isinstance(node, TypeDefinitionNode)
        and (
            is_feature_element(node.name.value, features)
            or any(d.name.value == features.inaccessible for d in node.directives or ())
        )
    )
    visible = _Visible(features, hidden)
    definitions = [kept for node in document.definitions if (kept := _definition(node, visible)) is not None]
    return build_ast_schema(DocumentNode(definitions=tuple(definitions)), assume_valid=True)


def _definition(node: DefinitionNode, visible: _Visible) -> DefinitionNode | None:
    if isinstance(node, SchemaDefinitionNode):
        return _with(
            node,
            directives=(),
            operation_types=tuple(o for o in node.operation_types if visible.shows_type(o.type)),
        )
    if isinstance(node, DirectiveDefinitionNode):
        if is_feature_element(node.name.value, visible.features, directive=True):
            return None
        return _with(node, arguments=_input_values(node.arguments, visible))
    if isinstance(node, TypeDefinitionNode) and node.name.value not in visible.hidden_types:
        return _type(node, visible)
    return None


def _type(node: TypeDefinitionNode, visible: _Visible) -> DefinitionNode:
    directives = _kept(node.directives)
    if isinstance(node, (ObjectTypeDefinitionNode, InterfaceTypeDefinitionNode)):
        fields = tuple(
            _with(f, arguments=_input_values(f.arguments, visible), directives=_kept(f.directives))
            for f in node.fields or ()
            if visible.shows(f) and visible.shows_type(f.type)
        )
        interfaces = tuple(i for i in node.interfaces or () if visible.shows_type(i))
        return _with(node, fields=fields, interfaces=interfaces, directives=directives)
    if isinstance(node, InputObjectTypeDefinitionNode):
        return _with(node, fields=_input_values(node.fields, visible), directives=directives)
    if isinstance(node, UnionTypeDefinitionNode):
        types = tuple(member for member in node.types or () if visible.shows_type(member))
        return _with(node, types=types, directives=directives)
    if isinstance(node, EnumTypeDefinitionNode):
        values = tuple(
            _with(v, directives=_kept(v.directives)) for v in node.values or () if visible.shows(v)
        )
        return _with(node, values=values, directives=directives)
    return _with(node, directives=directives)


def _input_values(nodes: Iterable[Any] | None, visible: _Visible) -> tuple[Any, ...]:
    return tuple(
        _with(node, directives=_kept(node.directives))
        for node in nodes or ()
        if visible.shows(node) and visible.shows_type(node.type)
    )


def _kept(directives: Iterable[ConstDirectiveNode] | None) -> tuple[ConstDirectiveNode, ...]:
    return tuple(d for d in directives or () if d.name.value in _KEPT_DIRECTIVES)


def _with(node: _N, **changes: Any) -> _N:
    """A copy of an AST node with some attributes changed."""
    return type(node)(**{**{key: getattr(node, key, None) for key in node.keys}, **changes})
