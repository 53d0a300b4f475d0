"""A made-up world behind any supergraph: every object and value follows from its name, so that the federated
answer can be compared with that of one merged schema without writing data.

A subgraph knows the world only where its schema says so: a field that it marks external and that no path
provides raises, and a field with a requirement is computed from the representation that it was sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLResolveInfo,
    execute,
    parse,
    parse_type,
)

from schema.query_graph import selected_on
from schema.supergraph import FieldDefinition, Supergraph, TypeKind
from schema.supergraph.field_sets import FieldSet, FieldSetField, parse_field_set
from tests.kit_federation.mock_subgraph import MockSubgraph

OBJECTS_OF_A_TYPE = 3


@dataclass(frozen=True)
class Thing:
    """One object: its true type and number. `seen_as` is the type name a subgraph gives it."""

    type_name: str
    number: int
    seen_as: str = ""
    provided: FieldSet = ()
    sent: Any = None
    above: Any = field(default=None, compare=False)

    def get(self, name: str) -> str | None:
        """The runtime type, as `resolve_type` asks for it."""
        return (self.seen_as or self.type_name) if name == "__typename" else None

    def __hash__(self) -> int:
        return hash((self.type_name, self.number))


class World:
    """What is true of every object of a supergraph's types."""

    def __init__(self, supergraph: Supergraph, salt: int = 0) -> None:
        self.supergraph, self.salt = supergraph, salt
        self._keys = {name: self._key_fields(name) for name, t in supergraph.types.items() if t.is_composite}

    def _key_fields(self, type_name: str) -> frozenset[str]:
        """The names in any key of the type or of its interfaces, and `id`."""
        type_ = self.supergraph.types[type_name]
        names = {"id"}
        for name in (type_name, *type_.interfaces):
            for join in self.supergraph.types[name].joins:
                names |= {item.name for item in join.key or () if isinstance(item, FieldSetField)}
        return frozenset(names)

    def chance(self, *parts: object) -> int:
        """A number that follows from the parts."""
        text = repr((self.salt, *parts)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")

    def definition(self, type_name: str, field_name: str) -> FieldDefinition:
        """The merged field."""
        return self.supergraph.types[type_name].fields[field_name]

    def value(self, thing: Thing, field_name: str, arguments: Mapping[str, Any]) -> Any:
        """The true value of a field: Things for objects."""
        definition = self.definition(thing.type_name, field_name)
        required = self.requirement(thing.type_name, field_name)
        sent = self.project(thing, required) if required else None
        return self.made(thing, definition, arguments, sent)

    def requirement(self, type_name: str, field_name: str) -> FieldSet:
        """What the field's subgraph requires for it."""
        for name in (type_name, *self.supergraph.types[type_name].interfaces):
            definition = self.supergraph.types[name].fields.get(field_name)
            for join in definition.joins.values() if definition is not None else ():
                if join.requires:
                    return join.requires
        return ()

    def project(self, thing: Thing, selections: FieldSet) -> dict[str, Any]:
        """The selected part of the truth, as a representation carries it."""
        found: dict[str, Any] = {}
        for item in selected_on(selections, thing.type_name, self.supergraph):
            arguments = {a.name: json.loads(a.text) for a in item.arguments}
            value = self.value(thing, item.name, arguments)
            found[item.name] = self._projected(value, item.selections)
        return found

    def _projected(self, value: Any, selections: FieldSet) -> Any:
        if isinstance(value, list):
            return [self._projected(one, selections) for one in value]
        if isinstance(value, Thing):
            return self.project(value, selections)
        return value

    def made(self, thing: Thing, definition: FieldDefinition, arguments: Mapping[str, Any], sent: Any) -> Any:
        """The value that follows from object, field, arguments and requirement."""
        name = definition.name
        hidden = {
            a.name.value
            for a in definition.arguments
            if any(d.name.value == "inaccessible" for d in a.directives or ())
        }
        arguments = {k: v for k, v in arguments.items() if k not in hidden}
        own = self._keys.get(thing.type_name, frozenset())
        is_key = name in own and not arguments
        # One text for all kinds of numbers and absent arguments: subgraphs fill defaults differently.
        given = json.dumps({k: v for k, v in sorted(arguments.items()) if v is not None}, default=str)
        seed = (thing.type_name, thing.number, name, given, json.dumps(sent, sort_keys=True, default=str))
        return self._of_type(parse_type(self._type_text(thing, definition)), definition, thing, is_key, seed)

    def _type_text(self, thing: Thing, definition: FieldDefinition) -> str:
        """The strictest shape that any subgraph promises: what is null for one must be null for all."""
        texts = [definition.type.text, *(join.type.text for join in definition.joins.values())]
        strictest = max(texts, key=lambda text: text.count("!"))
        return strictest.replace(strictest.strip("[]!"), definition.type.name)

    def _of_type(
        self, node: Any, definition: FieldDefinition, thing: Thing, is_key: bool, seed: tuple[object, ...]
    ) -> Any:
        chance = self.chance(*seed)
        if node.kind == "non_null_type":
            return self._of_type(node.type, definition, thing, True if is_key else is_key, (*seed, "!"))
        if chance % 7 == 0 and not is_key and seed[-1] != "!" and not definition.name.startswith("always"):
            return None
        if node.kind == "list_type":
            count = 2 if is_key else chance % 3
            return [
                self._of_type(node.type, definition, thing, is_key, (*seed, "!", i)) for i in range(count)
            ]
        return self._named(definition, thing, is_key, seed)

    def _named(
        self, definition: FieldDefinition, thing: Thing, is_key: bool, seed: tuple[object, ...]
    ) -> Any:
        type_ = self.supergraph.types.get(definition.type.name)
        chance = self.chance(*seed, "value")
        if type_ is None or type_.kind is TypeKind.SCALAR:
            return self._scalar(definition.type.name, thing, definition.name, is_key, chance)
        if type_.kind is TypeKind.ENUM:
            names = sorted(v.name for v in type_.enum_values.values() if not v.inaccessible)
            return names[chance % len(names)]
        candidates = sorted(self.common_types(thing.type_name, definition))
        if not candidates:
            return None
        target = candidates[(thing.number if is_key else chance) % len(candidates)]
        number = thing.number if is_key else self.chance(*seed, "object") % OBJECTS_OF_A_TYPE
        return Thing(target, 0 if target == self.supergraph.root_types["query"] else number)

    def _scalar(self, type_name: str, thing: Thing, field_name: str, is_key: bool, chance: int) -> Any:
        if type_name == "Boolean":
            return chance % 2 == 0
        if type_name == "Int":
            return thing.number + 1 if is_key else chance % 1000
        if type_name == "Float":
            return float(thing.number + 1) if is_key else (chance % 1000) / 2
        return f"{thing.type_name}-{thing.number}" if is_key else f"{field_name}-{chance % 100_000}"

    def common_types(self, type_name: str, definition: FieldDefinition) -> frozenset[str]:
        """The runtime types that every subgraph with the field can return: all that a value may have."""
        supergraph = self.supergraph
        possible = supergraph.possible_types[definition.type.name]
        for join in definition.joins.values():
            type_ = supergraph.types[join.type.name]
            if type_.interface_object_in(join.graph):
                continue
            if type_.kind is TypeKind.UNION:
                possible &= type_.members.get(join.graph, frozenset())
            elif type_.kind is TypeKind.OBJECT:
                possible &= {type_.name}
            else:
                possible &= {
                    name
                    for name in supergraph.possible_types[type_.name]
                    if type_.name in supergraph.types[name].implements.get(join.graph, ())
                }
        return frozenset(name for name in possible if not supergraph.types[name].inaccessible)

    def from_contexts(self, thing: Thing, field_name: str) -> dict[str, Any]:
        """The arguments that the nearest object above gives the field."""
        found: dict[str, Any] = {}
        for join in self.definition(thing.type_name, field_name).joins.values():
            for argument in join.context_arguments:
                setters = self.supergraph.contexts[argument.context]
                above = thing
                while not any(above.type_name in self.supergraph.possible_types[s] for s in setters):
                    above = above.above
                value: Any = self.project(above, parse_field_set(argument.selection))
                while isinstance(value, dict):
                    (value,) = value.values()
                found[argument.name] = value
        return found

    def monolith(self, query: str, variables: Mapping[str, Any]) -> Any:
        """The answer of one schema that knows everything."""
        schema = self.supergraph.api_schema

        def resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
            thing = source if isinstance(source, Thing) else Thing(info.parent_type.name, 0)
            arguments.update(self.from_contexts(thing, info.field_name))
            return _under(thing, self.value(thing, info.field_name, arguments))

        return execute(
            schema,
            parse(query),
            variable_values=dict(variables),
            field_resolver=resolve,
            type_resolver=lambda thing, *_: thing.type_name,
        )


def _under(above: Thing, value: Any) -> Any:
    if isinstance(value, list):
        return [_under(above, one) for one in value]
    return replace(value, above=above) if isinstance(value, Thing) else value


class WorldSubgraph(MockSubgraph):
    """A subgraph that answers from a world, and only what its schema lets it know."""

    def __init__(self, name: str, sdl: str, world: World) -> None:
        super().__init__(name, sdl)
        self.world = world
        self.graph = next(g.graph for g in world.supergraph.subgraphs.values() if g.name == name)

    def _resolve(self, it: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        if info.field_name == "_entities":
            return [self._entity(one) for one in arguments["representations"]]
        if info.field_name == "_service":
            return {"sdl": self.sdl}
        parent = info.parent_type.name
        thing = it if isinstance(it, Thing) else Thing(parent, 0)
        return self._field(thing, parent, info, arguments)

    def _field(
        self, thing: Thing, parent: str, info: GraphQLResolveInfo, arguments: Mapping[str, Any]
    ) -> Any:
        world, name = self.world, info.field_name
        definition = world.definition(thing.type_name, name)
        joined = world.supergraph.types[parent].fields[name].joins.get(self.graph)
        if joined is None:
            raise GraphQLError(f"`{parent}.{name}` is not joined to `{self.name}`")
        provided = [
            i for i in selected_on(thing.provided, thing.type_name, world.supergraph) if i.name == name
        ]
        sent = thing.sent or {}
        if joined.external and not provided and name not in sent:
            raise GraphQLError(f"`{parent}.{name}` is external in `{self.name}` and was asked for")
        if joined.used_overridden and not joined.override_label:
            raise GraphQLError(f"`{parent}.{name}` was taken over from `{self.name}` and was asked for")
        required = None
        if joined.requires:
            required = self._required(thing, joined.requires, sent)
        else:
            other = world.requirement(thing.type_name, name)
            required = world.project(thing, other) if other else None
        value = world.made(thing, definition, arguments, required)
        return self._seen(
            value, joined.type.name, (*(s for p in provided for s in p.selections), *joined.provides)
        )

    def _required(self, thing: Thing, selections: FieldSet, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The requirement as the representation carries it, checked to be whole."""
        found: dict[str, Any] = {}
        for item in selected_on(selections, thing.type_name, self.world.supergraph):
            if item.name in sent:
                found[item.name] = _cut(sent[item.name], item.selections, self.world, thing, item.name)
            elif self._knows(thing, item):
                found |= self.world.project(thing, (item,))
            else:
                raise GraphQLError(f"`{item.name}` is required of `{thing.type_name}` and was not sent")
        return found

    def _knows(self, thing: Thing, item: FieldSetField) -> bool:
        joined = self.world.definition(thing.type_name, item.name).joins.get(self.graph)
        named = any(
            p.name == item.name for p in selected_on(thing.provided, thing.type_name, self.world.supergraph)
        )
        return joined is not None and (named or not joined.external)

    def _seen(self, value: Any, type_name: str, provided: FieldSet) -> Any:
        if isinstance(value, list):
            return [self._seen(one, type_name, provided) for one in value]
        if not isinstance(value, Thing):
            return value
        type_ = self.world.supergraph.types[type_name]
        seen_as = type_name if type_.interface_object_in(self.graph) else ""
        return Thing(value.type_name, value.number, seen_as, provided)

    def _entity(self, representation: dict[str, Any]) -> Any:
        type_name = representation["__typename"]
        if type_name not in self._keys:
            return GraphQLError(f"`{type_name}` is not an entity of `{self.name}`")
        world = self.world
        type_ = world.supergraph.types[type_name]
        seen_as = type_name if type_.interface_object_in(self.graph) else ""
        for candidate in sorted(world.supergraph.possible_types[type_name]):
            for number in range(OBJECTS_OF_A_TYPE):
                thing = Thing(candidate, number)
                for join in type_.joins:
                    if join.graph != self.graph or join.key is None:
                        continue
                    if _agree(world.project(thing, join.key), representation):
                        return Thing(candidate, number, seen_as, (), representation)
        return GraphQLError(f"no `{type_name}` has the key of {representation}")


def _agree(key: Any, representation: Any) -> bool:
    if isinstance(key, dict):
        return isinstance(representation, dict) and all(
            name in representation and _agree(value, representation[name]) for name, value in key.items()
        )
    if isinstance(key, list):
        return (
            isinstance(representation, list)
            and len(key) == len(representation)
            and all(map(_agree, key, representation))
        )
    return bool(key == representation)


def _cut(value: Any, selections: FieldSet, world: World, thing: Thing, name: str) -> Any:
    """The selected part of a sent value; everything selected must be there."""
    if isinstance(value, list):
        return [_cut(one, selections, world, thing, name) for one in value]
    if not isinstance(value, dict) or not selections:
        return value
    type_name = value.get("__typename") or world.definition(thing.type_name, name).type.name
    found = {}
    for item in selected_on(selections, type_name, world.supergraph):
        if item.name not in value:
            raise GraphQLError(f"`{type_name}.{item.name}` is required below `{name}` and was not sent")
        below = Thing(type_name, 0)
        found[item.name] = _cut(value[item.name], item.selections, world, below, item.name)
    return found


def federated(
    supergraph: Supergraph, sdl_of: Mapping[str, str], salt: int = 0
) -> tuple[World, list[WorldSubgraph]]:
    """A world and the subgraphs that share it."""
    world = World(supergraph, salt)
    return world, [WorldSubgraph(name, sdl, world) for name, sdl in sorted(sdl_of.items())]
