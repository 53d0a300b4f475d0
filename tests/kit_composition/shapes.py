"""Schemas without the order of anything: mappings from coordinates to what stands there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphql import (
    DirectiveDefinitionNode,
    DirectiveNode,
    GraphQLSchema,
    ListValueNode,
    Node,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    build_schema,
    parse,
    print_ast,
)

from schema.composition.merge.values import meaning
from schema.federation.field_sets import parse_field_set

Shape = dict[str, object]
_FIELD_SETS = frozenset({"key", "requires", "provides", "selection"})
_SPECIFICATIONS = ("link__", "join__", "core__", "federation__", "context__", "requiresScopes__", "policy__")


def supergraph_shape(sdl: str) -> Shape:
    """Every element of a supergraph with its type, default, description and directives."""
    found: Shape = {}
    for node in parse(sdl, no_location=True).definitions:
        if isinstance(node, SchemaDefinitionNode):
            roots = {o.operation.value: o.type.name.value for o in node.operation_types}
            found["schema"] = (_described(node), roots, _directives(node))
        elif isinstance(node, DirectiveDefinitionNode):
            found[f"@{node.name.value}"] = (
                node.repeatable,
                frozenset(location.value for location in node.locations),
                frozenset(f"{a.name.value}: {print_ast(a.type)}" for a in node.arguments or ()),
            )
        elif isinstance(node, TypeDefinitionNode):
            found.update(_elements(node.name.value, node))
    return found


def _elements(coordinate: str, node: Any) -> Iterator[tuple[str, object]]:
    """The element and everything in it."""
    kind = type(node).__name__
    words = "" if coordinate.startswith(_SPECIFICATIONS) else _described(node)
    written = print_ast(node.type) if getattr(node, "type", None) else ""
    default = getattr(node, "default_value", None)
    related = frozenset(
        n.name.value for part in ("interfaces", "types") for n in getattr(node, part, None) or ()
    )
    shown = None if default is None else meaning(default)
    yield coordinate, (kind, words, written, shown, related, _directives(node))
    for part in ("fields", "arguments", "values"):
        for inner in getattr(node, part, None) or ():
            yield from _elements(f"{coordinate}.{inner.name.value}", inner)


def _described(node: Any) -> str:
    return node.description.value.strip() if node.description else ""


def _directives(node: Any) -> frozenset[object]:
    return frozenset(_directive(directive) for directive in node.directives or ())


def _directive(node: DirectiveNode) -> object:
    return node.name.value, frozenset(
        (a.name.value, _value(a.name.value, a.value)) for a in node.arguments or ()
    )


def _value(name: str, value: Any) -> object:
    """An argument's meaning; what has no order in it, a selection or a list, has none here either."""
    if name in _FIELD_SETS and hasattr(value, "value"):
        return _selection(parse_field_set(value.value))
    if isinstance(value, ListValueNode):
        return frozenset(_value(name, item) for item in value.values)
    fields = getattr(value, "fields", None)
    if fields is not None:
        return frozenset((f.name.value, _value(f.name.value, f.value)) for f in fields)
    return meaning(value)


def _selection(node: Node) -> object:
    selections: Iterable[Any] = getattr(node, "selections", ())
    return frozenset(
        (
            print_ast(item.name) if hasattr(item, "name") else print_ast(item.type_condition),
            frozenset(print_ast(a) for a in getattr(item, "arguments", None) or ()),
            _selection(item.selection_set) if item.selection_set else None,
        )
        for item in selections
    )


def api_shape(schema: GraphQLSchema | str) -> Shape:
    """Every element of an API schema with its type, default, deprecation and description."""
    schema = build_schema(schema) if isinstance(schema, str) else schema
    found: Shape = {}
    for name, owner in schema.type_map.items():
        if name.startswith("__"):
            continue
        members = {t.name for part in ("interfaces", "types") for t in getattr(owner, part, None) or ()}
        traits = (getattr(owner, "specified_by_url", None), getattr(owner, "is_one_of", False))
        found[name] = (type(owner).__name__, frozenset(members), traits, _words(owner.description))
        for part in ("fields", "values"):
            for key, item in (getattr(owner, part, None) or {}).items():
                found[f"{name}.{key}"] = _member(item)
                for argument, given in (getattr(item, "args", None) or {}).items():
                    found[f"{name}.{key}({argument}:)"] = _member(given)
    for directive in schema.directives:
        found[f"@{directive.name}"] = (directive.is_repeatable, frozenset(map(str, directive.locations)))
    return found


def _member(item: Any) -> object:
    written = str(item.type) if hasattr(item, "type") else ""
    default = repr(_plain(getattr(item, "default_value", None)))
    return written, default, item.deprecation_reason, _words(item.description)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _plain(item)) for key, item in value.items())
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _words(description: str | None) -> str:
    return (description or "").strip()


def differences(ours: Shape, theirs: Shape) -> dict[str, tuple[object, object]]:
    """Each coordinate where the two say different things, with both."""
    names = sorted({*ours, *theirs})
    return {n: (ours.get(n), theirs.get(n)) for n in names if ours.get(n) != theirs.get(n)}
