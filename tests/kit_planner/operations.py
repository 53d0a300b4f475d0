"""Random operations that are valid on a schema: aliases, fragments of every kind, conditions, variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType


@dataclass
class Operations:
    """Draws operations from `random`; nesting ends at `depth_max`, all selections at `size_max`."""

    schema: GraphQLSchema
    random: Random
    depth_max: int = 5
    size_max: int = 40
    kind: str = "query"
    defers: bool = False
    streams: bool = False
    _conditions: dict[str, bool] = field(default_factory=dict)
    _size: int = 0

    def draw(self) -> tuple[str, dict[str, Any]]:
        """An operation and its variables."""
        self._conditions, self._size = {}, 0
        root = self.schema.query_type if self.kind == "query" else self.schema.mutation_type
        assert root is not None
        selection = self._selection(root, 0, 1 if self.kind == "mutation" else 3)
        declared = ", ".join(f"${name}: Boolean!" for name in self._conditions)
        head = f"{self.kind} Drawn({declared})" if declared else f"{self.kind} Drawn"
        return f"{head} {selection}", dict(self._conditions)

    def _selection(self, type_: Composite, depth: int, count_max: int = 4) -> str:
        parts: list[str] = []
        for _ in range(self.random.randint(1, count_max)):
            self._size += 1
            if self._size > self.size_max and parts:
                break
            parts.append(self._item(type_, depth))
        return "{ " + " ".join(part for part in parts if part) + " }" if any(parts) else "{ __typename }"

    def _item(self, type_: Composite, depth: int) -> str:
        abstract = not isinstance(type_, GraphQLObjectType)
        roll = self.random.random()
        if isinstance(type_, GraphQLUnionType) or (abstract and roll < 0.45):
            return self._fragment(type_, depth)
        if roll < 0.08 and depth > 0:
            return self._typename()
        if roll < (0.3 if self.defers else 0.14) and depth > 0:
            defer = " @defer" if self.defers and self.random.random() < 0.6 else ""
            return f"... on {type_.name}{self._condition()}{defer} {self._selection(type_, depth)}"
        return self._field(type_, depth)

    def _typename(self) -> str:
        return self.random.choice(["__typename", "__typename", "kind: __typename"])

    def _fragment(self, type_: Composite, depth: int) -> str:
        if self.random.random() < 0.2:
            return self._typename()
        possible = sorted(t.name for t in self.schema.get_possible_types(type_))  # type: ignore[arg-type]
        interfaces = sorted(
            name
            for name, other in self.schema.type_map.items()
            if isinstance(other, GraphQLInterfaceType)
            and any(t.name in possible for t in self.schema.get_possible_types(other))
        )
        names = possible + (interfaces if self.random.random() < 0.3 else [])
        if not names:
            return "__typename"
        target = self.schema.type_map[self.random.choice(names)]
        return f"... on {target.name}{self._condition()} {self._selection(target, depth)}"  # type: ignore[arg-type]

    def _field(self, type_: Any, depth: int) -> str:
        names = sorted(type_.fields)
        if depth >= self.depth_max:
            names = [n for n in names if not is_composite_type(get_named_type(type_.fields[n].type))]
            if not names:
                return "__typename"
        name = self.random.choice(names)
        definition = type_.fields[name]
        arguments = []
        for argument_name, argument in definition.args.items():
            if is_non_null_type(argument.type) or self.random.random() < 0.5:
                arguments.append(f"{argument_name}: {self._literal(argument.type)}")
        text = name + (f"({', '.join(arguments)})" if arguments else "")
        # Aliases are unique by what they stand for, so that fields of one key can always be merged.
        if arguments or self.random.random() < 0.15:
            text = f"{name}_{abs(hash((type_.name, text))) % 997 if arguments else 'alias'}: {text}"
        elif self.random.random() < 0.06 and "id" in type_.fields and name != "id" and "id" in names:
            text = f"x_{name}: {text}"
        text += self._condition() + self._stream(definition.type)
        named = get_named_type(definition.type)
        return f"{text} {self._selection(named, depth + 1)}" if is_composite_type(named) else text

    def _stream(self, type_: Any) -> str:
        if not self.streams or self.random.random() < 0.3:
            return ""
        nullable = type_.of_type if is_non_null_type(type_) else type_
        return f" @stream(initialCount: {self.random.randint(0, 2)})" if is_list_type(nullable) else ""

    def _condition(self) -> str:
        if self.random.random() > 0.08:
            return ""
        name = self.random.choice("ab")
        self._conditions.setdefault(name, self.random.random() < 0.5)
        return f" @{self.random.choice(['include', 'skip'])}(if: ${name})"

    def _literal(self, type_: Any) -> str:
        if isinstance(type_, GraphQLNonNull):
            return self._literal(type_.of_type)
        if isinstance(type_, GraphQLList) or is_list_type(type_):
            return f"[{self._literal(type_.of_type)}]"
        if is_enum_type(type_):
            return self.random.choice(sorted(type_.values))
        if is_input_object_type(type_):
            assert isinstance(type_, GraphQLInputObjectType)
            fields = ", ".join(
                f"{n}: {self._literal(f.type)}" for n, f in type_.fields.items() if is_non_null_type(f.type)
            )
            return "{" + fields + "}"
        return {"Int": "3", "Float": "1.5", "Boolean": "true"}.get(type_.name, '"a"')
