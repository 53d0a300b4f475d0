"""The schema as one caller may see it: introspection without what their rights can never reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphql import (
    DefinitionNode,
    DirectiveDefinitionNode,
    DocumentNode,
    FieldDefinitionNode,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    NamedTypeNode,
    ObjectTypeDefinitionNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    build_ast_schema,
    parse,
    print_schema,
)

from router.operation.requirements import Requirement, Requirements


def visible_schema(
    schema: GraphQLSchema, requirements: Requirements, denied: frozenset[Requirement]
) -> GraphQLSchema | None:
    """The schema less every field that needs something in `denied`, and less what only such fields lead to.

    None where nothing of the query type is left.
    """
    types = _Types(parse(print_schema(schema), no_location=True), requirements, denied)
    types.prune()
    query = schema.query_type.name if schema.query_type else "Query"
    if query not in types.types:
        return None
    roots = [
        root.name for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root
    ]
    return build_ast_schema(DocumentNode(definitions=tuple(types.definitions(types.reached_from(roots)))))


class _Types:
    """Type definitions by name while fields and types are taken out of them."""

    def __init__(
        self, document: DocumentNode, requirements: Requirements, denied: frozenset[Requirement]
    ) -> None:
        self.directives = [one for one in document.definitions if isinstance(one, DirectiveDefinitionNode)]
        self.schema = [one for one in document.definitions if isinstance(one, SchemaDefinitionNode)]
        self.types: dict[str, TypeDefinitionNode] = {
            one.name.value: one for one in document.definitions if isinstance(one, TypeDefinitionNode)
        }
        for name, type_ in self.types.items():
            if isinstance(type_, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
                kept = (
                    one
                    for one in type_.fields or ()
                    if denied.isdisjoint(requirements.of(name, one.name.value))
                )
                self.types[name] = replace(type_, fields=tuple(kept))

    def prune(self) -> None:
        """Take out empty types and whatever names them, until nothing more is empty."""
        while empty := {name for name, type_ in self.types.items() if _is_empty(type_)}:
            for name in empty:
                del self.types[name]
            self.types = {name: _without(type_, empty) for name, type_ in self.types.items()}

    def reached_from(self, roots: Iterable[str]) -> frozenset[str]:
        """Names of the types that a client can come across."""
        found: set[str] = set()
        waiting = [*roots, *(name for one in self.directives for name in _of_inputs(one.arguments))]
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.types:
                continue
            found.add(name)
            waiting += _named_in(self.types[name])
            waiting += (other for other, type_ in self.types.items() if name in _interfaces(type_))
        return frozenset(found)

    def definitions(self, reached: frozenset[str]) -> Iterator[DefinitionNode]:
        """The definitions of the schema that is left."""
        for one in self.schema:
            operations = tuple(it for it in one.operation_types if it.type.name.value in reached)
            yield replace(one, operation_types=operations)
        yield from self.directives
        yield from (type_ for name, type_ in self.types.items() if name in reached)


def _is_empty(type_: TypeDefinitionNode) -> bool:
    if isinstance(type_, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
        return not type_.fields
    return isinstance(type_, UnionTypeDefinitionNode) and not type_.types


def _without(type_: TypeDefinitionNode, names: set[str]) -> TypeDefinitionNode:
    if isinstance(type_, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
        fields = tuple(one for one in type_.fields or () if _name(one.type) not in names)
        interfaces = tuple(one for one in type_.interfaces or () if one.name.value not in names)
        return replace(type_, fields=fields, interfaces=interfaces)
    if isinstance(type_, UnionTypeDefinitionNode):
        return replace(type_, types=tuple(one for one in type_.types or () if one.name.value not in names))
    return type_


def _named_in(type_: TypeDefinitionNode) -> Iterator[str]:
    if isinstance(type_, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
        yield from _interfaces(type_)
        for field in type_.fields or ():
            yield from _of_field(field)
    elif isinstance(type_, UnionTypeDefinitionNode):
        yield from (one.name.value for one in type_.types or ())
    elif isinstance(type_, InputObjectTypeDefinitionNode):
        yield from _of_inputs(type_.fields)


def _of_field(field: FieldDefinitionNode) -> Iterator[str]:
    yield _name(field.type)
    yield from _of_inputs(field.arguments)


def _of_inputs(inputs: Iterable[InputValueDefinitionNode] | None) -> Iterator[str]:
    yield from (_name(one.type) for one in inputs or ())


def _interfaces(type_: TypeDefinitionNode) -> Iterator[str]:
    if isinstance(type_, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
        yield from (one.name.value for one in type_.interfaces or ())


def _name(type_: TypeNode) -> str:
    while not isinstance(type_, NamedTypeNode):
        type_ = type_.type  # type: ignore[attr-defined]
    return type_.name.value
