"""Random operations over a schema, with ids that matter: aliases, fragments, arguments, forged entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)
from hypothesis import strategies as st

FIELDS_MAX = 4
DEPTH_MAX = 5
LITERALS = {
    "Int": ["0", "1", "3", "100"],
    "Float": ["0", "1.5", "1e9"],
    "Boolean": ["true", "false"],
    "Date": ['"2025-10-20"', '"2010-01-01"'],
    "DateTime": ['"2025-10-20T00:00:00Z"', '"2030-01-01T00:00:00+02:00"'],
    "JSON": ["{}"],
}
DEEP = st.integers(0, 3).map(lambda number: number > 0)


class Writer:
    """Draws one operation; `ids` are what an argument of type ID or a text may be."""

    def __init__(self, schema: GraphQLSchema, draw: st.DrawFn, ids: Sequence[str]) -> None:
        self._schema = schema
        self._draw = draw
        self._ids = ids
        self._aliases = 0

    def selections(self, kind: object, depth: int) -> str:
        """A selection set on `kind`, in braces; every field has an alias of its own."""
        parts = ["__typename"] if self._draw(st.booleans()) else []
        if isinstance(kind, GraphQLUnionType | GraphQLInterfaceType):
            possible = sorted(self._schema.get_possible_types(kind), key=lambda each: each.name)
            chosen = self._draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2))
            parts += [f"... on {each.name} {self.selections(each, depth)}" for each in chosen]
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            parts += [self._field(kind, name, depth) for name in self._names(kind, depth)]
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def _names(self, kind: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> list[str]:
        names = [
            name
            for name, field in kind.fields.items()
            if not name.startswith("_") and (depth > 0 or is_leaf_type(get_named_type(field.type)))
        ]
        # Fields that lead on are drawn more often: what hurts lies deep.
        leading = [name for name in names if not is_leaf_type(get_named_type(kind.fields[name].type))]
        chosen = (
            self._draw(st.lists(st.sampled_from(names), min_size=1, max_size=FIELDS_MAX)) if names else []
        )
        if leading and self._draw(DEEP):
            chosen.append(self._draw(st.sampled_from(leading)))
        return chosen

    def _field(self, kind: GraphQLObjectType | GraphQLInterfaceType, name: str, depth: int) -> str:
        field = kind.fields[name]
        self._aliases += 1
        text = f"a{self._aliases}: {name}{self._arguments(field)}"
        target = get_named_type(field.type)
        if not is_leaf_type(target):
            text += f" {self.selections(target, depth - 1)}"
        return f"... on {kind.name} {{ {text} }}" if self._draw(st.booleans()) else text

    def _arguments(self, field: GraphQLField) -> str:
        given = []
        for name, argument in field.args.items():
            if is_required_argument(argument) or self._draw(st.integers(0, 2)) == 0:
                given.append(f"{name}: {self._value(argument.type, name)}")
        return f"({', '.join(given)})" if given else ""

    def _value(self, kind: GraphQLInputType, name: str) -> str:
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type, name)
        if isinstance(kind, GraphQLList):
            return f"[{self._value(kind.of_type, name)}]"
        if isinstance(kind, GraphQLEnumType):
            return str(self._draw(st.sampled_from(sorted(kind.values))))
        if isinstance(kind, GraphQLInputObjectType):
            inner = [
                f"{key}: {self._value(field.type, key)}"
                for key, field in kind.fields.items()
                if is_required_input_field(field) or self._draw(st.integers(0, 3)) == 0
            ]
            return "{" + ", ".join(inner) + "}"
        if kind.name in LITERALS:
            return str(self._draw(st.sampled_from(LITERALS[kind.name])))
        return f'"{self._draw(st.sampled_from(self._ids))}"'


@st.composite
def queries(draw: st.DrawFn, schema: GraphQLSchema, ids: Sequence[str], athlete: str) -> str:
    """A query at whatever the roots give, and always one about the athlete."""
    writer = Writer(schema, draw, ids)
    user = writer.selections(schema.type_map["User"], DEPTH_MAX)
    rest = writer.selections(schema.query_type, DEPTH_MAX - 1)
    return f'{{ u: user(id: "{athlete}") {user} ... on Query {rest} }}'


@st.composite
def entity_queries(
    draw: st.DrawFn, schema: GraphQLSchema, keys: Mapping[str, Sequence[str]], ids: Sequence[str]
) -> tuple[str, list[dict[str, object]]]:
    """An `_entities` query as somebody with the router's key might send it, and forged representations."""
    name = draw(st.sampled_from(sorted(keys)))
    writer = Writer(schema, draw, ids)
    selected = writer.selections(schema.type_map[name], DEPTH_MAX - 1)
    forged = draw(
        st.dictionaries(
            st.sampled_from(
                ["ownerId", "owner_id", "rowAccess", "row_access", "roles", "clearance", "athlete"]
            ),
            st.sampled_from([*ids, None, True, {}, []]),  # type: ignore[list-item]
            max_size=3,
        )
    )
    wanted = draw(st.lists(st.sampled_from(list(keys[name])), min_size=1, max_size=3))
    representations: list[dict[str, object]] = [{"__typename": name, "id": key, **forged} for key in wanted]
    query = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {name} {selected} }} }}"
    return query, representations
