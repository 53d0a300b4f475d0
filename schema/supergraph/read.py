"""Supergraph SDL → `Supergraph`: joins are read once here, so that nobody else looks at `@join__…`.

Reads join v0.1 to v0.5. Source: Federation specification, join; the rules on absent `@join__field`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from graphql import (
    DocumentNode,
    EnumTypeDefinitionNode,
    GraphQLSyntaxError,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    parse,
)

from schema.supergraph.applied import argument_text, arguments_of, named
from schema.supergraph.features import check_features, is_feature_element
from schema.supergraph.implied import add_implied_joins
from schema.supergraph.model import InvalidSupergraph, Subgraph, Supergraph, TypeDefinition, TypeKind
from schema.supergraph.read_types import read_type
from schema.supergraph.sound import check_document, check_joins

_ROOT_DEFAULTS: Final = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}


def read_supergraph(sdl: str) -> Supergraph:
    """The supergraph that `sdl` describes.

    Errors: InvalidSupergraph (`INVALID_FEDERATION_SUPERGRAPH`) where the text is not GraphQL, has no
    `join__Graph`, names a subgraph, type or key field that is not there, defines something twice, or links
    a feature `for: SECURITY` or `EXECUTION` that is not known.
    """
    try:
        document = parse(sdl, no_location=True)
    except GraphQLSyntaxError as error:
        raise InvalidSupergraph(f"the supergraph is not valid GraphQL: {error.message}") from error
    except RecursionError:
        raise InvalidSupergraph("the supergraph is nested too deeply") from None
    check_document(document)
    features = check_features(document)
    subgraphs = _read_subgraphs(document)
    types: dict[str, TypeDefinition] = {}
    for node in document.definitions:
        if isinstance(node, TypeDefinitionNode) and not is_feature_element(node.name.value, features):
            types[node.name.value] = read_type(node, tuple(subgraphs))
    check_joins(types, subgraphs, document)
    add_implied_joins(types)
    root_types = _read_root_types(document, types)
    if "query" not in root_types:
        raise InvalidSupergraph("the supergraph has no query type")
    return Supergraph(
        sdl=sdl,
        document=document,
        subgraphs=subgraphs,
        types=types,
        root_types=root_types,
        possible_types=_possible_types(types),
        contexts=_contexts(types.values()),
    )


def _read_subgraphs(document: DocumentNode) -> dict[str, Subgraph]:
    for node in document.definitions:
        if isinstance(node, EnumTypeDefinitionNode) and node.name.value == "join__Graph":
            found: dict[str, Subgraph] = {}
            for value in node.values or ():
                graph = value.name.value
                arguments = arguments_of(next(named(value.directives, "join__graph"), None))
                found[graph] = Subgraph(
                    graph=graph,
                    name=argument_text(arguments, "name") or graph,
                    url=argument_text(arguments, "url") or "",
                )
            return found
    raise InvalidSupergraph("the text has no enum `join__Graph`: it is not a supergraph")


def _read_root_types(document: DocumentNode, types: Mapping[str, TypeDefinition]) -> dict[str, str]:
    for node in document.definitions:
        if isinstance(node, SchemaDefinitionNode):
            return {
                operation.operation.value: operation.type.name.value
                for operation in node.operation_types
                if operation.type.name.value in types
            }
    return {kind: name for kind, name in _ROOT_DEFAULTS.items() if name in types}


def _possible_types(types: Mapping[str, TypeDefinition]) -> dict[str, frozenset[str]]:
    possible: dict[str, set[str]] = {name: set() for name, type_ in types.items() if type_.is_composite}
    for name, type_ in types.items():
        if type_.kind is TypeKind.OBJECT:
            possible[name].add(name)
            for interface in type_.interfaces:
                possible.setdefault(interface, set()).add(name)
        elif type_.kind is TypeKind.UNION:
            for members in type_.members.values():
                possible[name] |= members
    return {name: frozenset(found) for name, found in possible.items()}


def _contexts(types: Iterable[TypeDefinition]) -> dict[str, tuple[str, ...]]:
    contexts: dict[str, list[str]] = {}
    for type_ in types:
        for directive in type_.directives:
            if directive.name.value in {"context", "federation__context"}:
                name = argument_text(arguments_of(directive), "name")
                if name:
                    contexts.setdefault(name, []).append(type_.name)
    return {name: tuple(setters) for name, setters in contexts.items()}
