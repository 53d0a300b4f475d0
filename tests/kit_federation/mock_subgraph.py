"""A subgraph made from SDL and rows: validates as a real one does, resolves entities, counts its calls."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    OperationDefinitionNode,
    SchemaExtensionNode,
    SelectionSetNode,
    StringValueNode,
    build_ast_schema,
    execute,
    parse,
    subscribe,
    validate,
)
from graphql.language import ast

from authz.identity.subject import Subject

Row = dict[str, Any]
Resolver = Callable[..., Any]
"""Called with the parent object and the field's arguments by name."""

_BASE_OF = {
    ast.ObjectTypeExtensionNode: ast.ObjectTypeDefinitionNode,
    ast.InterfaceTypeExtensionNode: ast.InterfaceTypeDefinitionNode,
    ast.UnionTypeExtensionNode: ast.UnionTypeDefinitionNode,
    ast.EnumTypeExtensionNode: ast.EnumTypeDefinitionNode,
    ast.InputObjectTypeExtensionNode: ast.InputObjectTypeDefinitionNode,
    ast.ScalarTypeExtensionNode: ast.ScalarTypeDefinitionNode,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that a subgraph was asked to run."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None = None
    subject: Subject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def representations(self) -> list[Row]:
        """What `_entities` was asked with; empty for a root fetch."""
        return list(self.variables.get("representations", ()))


class MockSubgraph:
    """One subgraph.

    `rows` are by type name; an entity is the row that matches one of its keys, else null. `resolvers` are by
    coordinate (`Type.field`), `entities` by type name (called with the representation), `streams` by
    subscription field (an async generator function). Without a resolver a field is read from its row, a root
    field from `root`.
    """

    def __init__(
        self,
        name: str,
        sdl: str,
        *,
        rows: Mapping[str, Sequence[Row]] | None = None,
        resolvers: Mapping[str, Resolver] | None = None,
        entities: Mapping[str, Resolver] | None = None,
        root: Row | None = None,
    ) -> None:
        self.name = name
        self.sdl = sdl
        self.calls: list[Call] = []
        self._rows = rows or {}
        self._root = root or {}
        self._documents: dict[str, tuple[DocumentNode, list[str]]] = {}
        self._resolvers = dict(resolvers or {})
        self._entity_resolvers = dict(entities or {})
        document = parse(sdl)
        self._keys = _keys(document)
        self._external = _external(document)
        self.schema = _executable(document, self._keys)
        _bind(self.schema, self._resolve)

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        """A GraphQL response map, as a `LocalSubgraph` answers."""
        self.calls.append(Call(query, _copy(variables), operation_name, subject))
        return await self.answer(query, variables, operation_name)

    async def answer(
        self, query: str, variables: Mapping[str, Any], operation_name: str | None
    ) -> dict[str, Any]:
        """As `execute`, without noting the call."""
        document, problems = self._document(query)
        if problems:
            return {"errors": [{"message": it} for it in problems]}
        result = execute(
            self.schema,
            document,
            self._root,
            variable_values=dict(variables),
            operation_name=operation_name,
        )
        if inspect.isawaitable(result):
            result = await result
        return _body(result)

    def _document(self, query: str) -> tuple[DocumentNode, list[str]]:
        """The document and why it is not valid here; worked out once a text."""
        known = self._documents.get(query)
        if known is None:
            document = parse(query)
            problems = [it.message for it in validate(self.schema, document)]
            known = self._documents[query] = (document, problems)
        return known

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        """One GraphQL response map an event."""
        self.calls.append(Call(query, _copy(variables), operation_name, subject))
        document = parse(query)
        stream = subscribe(self.schema, document, variable_values=variables, operation_name=operation_name)
        if inspect.isawaitable(stream):
            stream = await stream
        if isinstance(stream, ExecutionResult):
            yield _body(stream)
            return
        try:
            async for result in stream:
                yield _body(result)
        finally:
            await stream.aclose()

    def _resolve(self, it: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        coordinate = f"{info.parent_type.name}.{info.field_name}"
        if info.parent_type is self.schema.query_type and info.field_name == "_entities":
            return [self._entity(one) for one in arguments["representations"]]
        if info.parent_type is self.schema.query_type and info.field_name == "_service":
            return {"sdl": self.sdl}
        resolver = self._resolvers.get(coordinate)
        if resolver is not None:
            return resolver(it, **arguments)
        return it.get(info.field_name) if isinstance(it, Mapping) else None

    def _entity(self, representation: Row) -> Any:
        typename = representation["__typename"]
        resolver = self._entity_resolvers.get(typename)
        if resolver is not None:
            return resolver(representation)
        if typename not in self._keys:
            return GraphQLError(f"`{typename}` is not an entity of `{self.name}`")
        row = self.lookup(typename, representation)
        if row is None:
            return None
        external = {name: value for name, value in representation.items() if name in self._external[typename]}
        return {**representation, "__typename": typename, **row, **external}

    def lookup(self, typename: str, representation: Row) -> Row | None:
        """The row that agrees with the representation on one whole key of the type."""
        for key in self._keys[typename]:
            for row in self._rows.get(typename, ()):
                if _agrees(key, row, representation):
                    return row
        return None


def _agrees(key: SelectionSetNode, row: Any, representation: Any) -> bool:
    if isinstance(row, list) and isinstance(representation, list):
        return len(row) == len(representation) and all(map(_agrees, [key] * len(row), row, representation))
    if not isinstance(row, Mapping) or not isinstance(representation, Mapping):
        return False
    for selection in key.selections:
        assert isinstance(selection, FieldNode)
        name = selection.name.value
        if name == "__typename":
            continue
        if name not in representation or name not in row:
            return False
        if selection.selection_set is not None:
            if not _agrees(selection.selection_set, row[name], representation[name]):
                return False
        elif representation[name] is None or str(row[name]) != str(representation[name]):
            return False
    return True


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(it) for key, it in value.items()}
    return [_copy(it) for it in value] if isinstance(value, list) else value


def _body(result: ExecutionResult) -> dict[str, Any]:
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = [it.formatted for it in result.errors]
    return body


def _composites(document: DocumentNode) -> list[Any]:
    return [
        it
        for it in document.definitions
        if isinstance(
            it,
            ObjectTypeDefinitionNode
            | ObjectTypeExtensionNode
            | InterfaceTypeDefinitionNode
            | ast.InterfaceTypeExtensionNode,
        )
    ]


def _applied(node: Any, name: str) -> list[DirectiveNode]:
    return [it for it in node.directives or () if it.name.value.removeprefix("federation__") == name]


def _keys(document: DocumentNode) -> dict[str, list[SelectionSetNode]]:
    found: dict[str, list[SelectionSetNode]] = {}
    for node in _composites(document):
        for key in _applied(node, "key"):
            fields = next(it.value for it in key.arguments or () if it.name.value == "fields")
            assert isinstance(fields, StringValueNode)
            operation = parse("{" + fields.value + "}").definitions[0]
            assert isinstance(operation, OperationDefinitionNode)
            found.setdefault(node.name.value, []).append(operation.selection_set)
    return found


def _external(document: DocumentNode) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for node in _composites(document):
        names = found.setdefault(node.name.value, set())
        names.update(it.name.value for it in node.fields or () if _applied(it, "external"))
    return {name: frozenset(names) for name, names in found.items()}


def _executable(document: DocumentNode, keys: Mapping[str, Any]) -> GraphQLSchema:
    """The SDL plus the federation fields; extensions without a base become definitions."""
    defined = {it.name.value for it in document.definitions if type(it) in _BASE_OF.values()}
    definitions = []
    for node in document.definitions:
        base = _BASE_OF.get(type(node))
        if isinstance(node, SchemaExtensionNode):
            continue
        if base is not None and node.name.value not in defined:
            defined.add(node.name.value)
            node = base(**{key: getattr(node, key, None) for key in base.keys if hasattr(node, key)})
        definitions.append(node)
    objects = {
        it.name.value
        for it in definitions
        if isinstance(it, ObjectTypeDefinitionNode | ObjectTypeExtensionNode)
    }
    entities = [name for name in keys if name in objects]
    root = "extend type Query" if "Query" in defined else "type Query"
    federation = f"scalar _Any type _Service {{ sdl: String }} {root} {{ _service: _Service"
    if entities:
        federation += " _entities(representations: [_Any!]!): [_Entity]!"
        federation += " } union _Entity = " + " | ".join(entities)
    else:
        federation += " }"
    whole = DocumentNode(definitions=(*definitions, *parse(federation).definitions))
    return build_ast_schema(whole, assume_valid_sdl=True)


def _bind(schema: GraphQLSchema, resolve: Callable[..., Any]) -> None:
    for type_ in schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        for field_ in getattr(type_, "fields", {}).values():
            if hasattr(field_, "resolve"):
                field_.resolve = resolve
                if type_ is schema.subscription_type:
                    field_.subscribe = resolve
                    field_.resolve = _of_event
        if hasattr(type_, "resolve_type"):
            type_.resolve_type = lambda it, *_: it.get("__typename")


def _of_event(it: Any, info: GraphQLResolveInfo, **_: Any) -> Any:
    """An event is the root object itself: `{field: value}`."""
    return it[info.field_name]
