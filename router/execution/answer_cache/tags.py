"""@cacheTag: by which names what was kept is forgotten.

Source: Federation specification 2.12, @cacheTag: on entities by `{$key.…}`, on root fields by `{$args.…}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    ConstDirectiveNode,
    EnumValueNode,
    ListValueNode,
    ObjectTypeDefinitionNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

from schema.supergraph import Supergraph

_DIRECTIVES: Final = frozenset({"federation__cacheTag", "cacheTag"})
_PLACE: Final = re.compile(r"\{\$(key|args|event)((?:\.[_A-Za-z]\w*)+)\}")
TAG_CHARS_MAX: Final = 1_024
TOLD_TAGS_MAX: Final = 100
"""Tags that a subgraph may tell of one entity, or of one answer to root fields; what has more is not kept."""
ROOT_TAGS: Final = "apolloCacheTags"
ENTITY_TAGS: Final = "apolloEntityCacheTags"
"""Members of a subgraph's `extensions` that tell tags: a list, and a list of lists in the entities' order."""


@dataclass(frozen=True, slots=True)
class TagFormats:
    """Formats by subgraph name and type, and by subgraph name and root field."""

    of_types: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    of_fields: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def of_entity(self, service: str, representation: Mapping[str, Any]) -> list[str]:
        """The tags of one entity, of its subgraph and of its type."""
        typename = str(representation.get("__typename"))
        formats = self.of_types.get((service, typename), ())
        filled = [_filled(one, "key", representation) for one in formats]
        return [
            subgraph_tag(service),
            type_tag(service, typename),
            *(named_tag(service, one) for one in filled if one),
        ]

    def of_root(self, service: str, fields: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """The tags of an answer to these root fields and their arguments."""
        tags = {subgraph_tag(service): None, type_tag(service, "Query"): None}
        for name, arguments in fields:
            for one in self.of_fields.get((service, name), ()):
                if tag := _filled(one, "args", arguments):
                    tags[named_tag(service, tag)] = None
        return list(tags)


def told_of_root(extensions: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The tags that a subgraph tells of an answer to root fields; None where they cannot be used."""
    return _told(extensions.get(ROOT_TAGS, ()))


def told_of_entities(extensions: Mapping[str, Any], count: int) -> list[tuple[str, ...] | None]:
    """The tags that a subgraph tells of each entity, in their order; None where they cannot be used.

    Where it tells of another number of entities, whose a tag is cannot be told: each then has all of them.
    """
    listed = extensions.get(ENTITY_TAGS, ())
    if not isinstance(listed, list | tuple):
        return [None] * count
    found = [_told(one) for one in listed]
    if len(found) in {0, count}:
        return found or [()] * count
    if None in found:
        return [None] * count
    return [_told([tag for one in found if one is not None for tag in one])] * count


def _told(listed: object) -> tuple[str, ...] | None:
    if not isinstance(listed, list | tuple) or len(listed) > TOLD_TAGS_MAX:
        return None
    if not all(isinstance(one, str) and 0 < len(one) <= TAG_CHARS_MAX for one in listed):
        return None
    return tuple(dict.fromkeys(listed))


def subgraph_tag(service: str) -> str:
    """All that one subgraph answered."""
    return f"subgraph\0{service}"


def type_tag(service: str, typename: str) -> str:
    """One subgraph's entities of a type; of `Query`: its root fields."""
    return f"type\0{service}\0{typename}"


def named_tag(service: str, tag: str) -> str:
    """What one subgraph gave this tag."""
    return f"tag\0{service}\0{tag}"


def tag_formats_of(supergraph: Supergraph) -> TagFormats:
    """Every `@cacheTag` of the supergraph."""
    names = {one.graph: one.name for one in supergraph.subgraphs.values()}
    of_types: dict[tuple[str, str], tuple[str, ...]] = {}
    of_fields: dict[tuple[str, str], tuple[str, ...]] = {}
    roots = {supergraph.root_types.get("query")}
    for node in supergraph.document.definitions:
        if not isinstance(node, ObjectTypeDefinitionNode):
            continue
        for graph, format_ in _formats(node.directives):
            _add(of_types, (names[graph], node.name.value), format_)
        for definition in (node.fields or ()) if node.name.value in roots else ():
            for graph, format_ in _formats(definition.directives):
                _add(of_fields, (names[graph], definition.name.value), format_)
    return TagFormats(of_types, of_fields)


def _formats(directives: Sequence[ConstDirectiveNode] | None) -> list[tuple[str, str]]:
    found = []
    for directive in directives or ():
        arguments = {one.name.value: one.value for one in directive.arguments or ()}
        name, given = arguments.get("name"), arguments.get("args")
        if directive.name.value != "join__directive" or not isinstance(name, StringValueNode):
            continue
        if name.value not in _DIRECTIVES or not isinstance(given, ObjectValueNode):
            continue
        formats = [one.value for one in given.fields if one.name.value == "format"]
        found += [
            (graph, one.value)
            for one in formats
            if isinstance(one, StringValueNode)
            for graph in _graphs(arguments.get("graphs"))
        ]
    return found


def _graphs(value: ValueNode | None) -> list[str]:
    listed = value.values if isinstance(value, ListValueNode) else ()
    return [one.value for one in listed if isinstance(one, EnumValueNode)]


def _add(found: dict[tuple[str, str], tuple[str, ...]], key: tuple[str, str], format_: str) -> None:
    found[key] = (*found.get(key, ()), format_)


def filled(format_: str, word: str, values: Mapping[str, Any]) -> str | None:
    """The tag of a format such as `user-{$key.id}`, its word with these values.

    None where a value that it needs is missing or no scalar.
    """
    return _filled(format_, word, values)


def _filled(format_: str, word: str, values: Mapping[str, Any]) -> str | None:
    """The tag, or None where a value that it needs is missing or no scalar."""
    missing = False

    def value_at(found: re.Match[str]) -> str:
        nonlocal missing
        value: Any = values if found[1] == word else None
        for name in found[2].split(".")[1:]:
            value = value.get(name) if isinstance(value, Mapping) else None
        missing |= value is None or isinstance(value, Mapping | list)
        return str(value).lower() if isinstance(value, bool) else str(value)

    tag = _PLACE.sub(value_at, format_)
    return None if missing or len(tag) > TAG_CHARS_MAX else tag
