"""Variables by search: our verdict is graphql-core's own, what we send on is what its resolvers would see.

The one difference is on purpose: enums and custom scalars stay JSON values, because subgraphs read JSON.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from graphql import GraphQLResolveInfo, build_schema, execute
from graphql import parse as parse_document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import VariablesInvalid
from router.operation.parse import parse
from router.operation.validate import validate
from router.operation.variables import coerce

SDL = """
type Query { f(i: Int, r: Float, s: String, b: Boolean, id: ID, e: E, n: In, o: One, x: Any,
  il: [Int], im: [Int!]!, ll: [[ID!]], nl: [In!]): Int }
enum E { A B }
input In { a: Int! = 3 b: [ID!] c: In e: E = B r: Float s: String! = "x" t: Boolean x: Any o: One }
input One @oneOf { x: Int y: String z: [Int!] }
scalar Any
"""
SCHEMA = build_schema(SDL)
TYPES = {
    "i": "Int",
    "r": "Float",
    "s": "String",
    "b": "Boolean",
    "id": "ID",
    "e": "E",
    "n": "In",
    "o": "One",
    "x": "Any",
    "il": "[Int]",
    "im": "[Int!]!",
    "ll": "[[ID!]]",
    "nl": "[In!]",
}
EDGES: list[Any] = [
    None, True, False, 0, -0.0, 1, -1, 1.0, 1.5, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2.0**31, 2**53,
    2**53 + 1, 10**30, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan, "", "1", "1.0", "true", "A", "B",
    "C", "x", "\x00", "é\U0001f600", [], [None], [[]], [1, "1"], [[1], ["a"]], {}, {"a": 1}, {"a": None},
    {"x": 1}, {"y": "a"}, {"x": 1, "y": "a"}, {"x": None}, {"z": 1}, {"unknown": 1}, {"c": {"c": {"a": "1"}}},
    {"o": {"x": 1}}, {"o": {}},
]  # fmt: skip
JSON = st.recursive(
    st.sampled_from(EDGES[:37]) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdeorstxyz"), inner, max_size=4)
    ),
    max_leaves=8,
)


def ours(query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
    """The coerced values; None where they are refused."""
    operation = validate(parse(query), SCHEMA).operation
    try:
        return coerce(variables, operation.variable_definitions or (), SCHEMA)
    except VariablesInvalid:
        return None


def theirs(query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments that a resolver sees; None where graphql-core refuses the variables."""
    seen: dict[str, Any] = {}

    def resolve(_: Any, info: GraphQLResolveInfo, **arguments: Any) -> int:
        seen.update(arguments)
        return 1

    result = execute(SCHEMA, parse_document(query), variable_values=variables, field_resolver=resolve)
    assert not isinstance(result, dict)
    return None if result.errors else seen  # type: ignore[union-attr]


def same(one: Any, other: Any) -> bool:
    """Equal in value and kind: 1, 1.0 and true are three things."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def assert_alike(argument: str, value: Any) -> None:
    more = "" if argument == "im" else ", im: [1]"
    query = f"query ($v: {TYPES[argument]}) {{ f({argument}: $v{more}) }}"
    found, expected = ours(query, {"v": value}), theirs(query, {"v": value})
    if expected is None:
        assert found is None, f"{argument}: {value!r} was taken as {found}"
    else:
        assert found is not None, f"{argument}: {value!r} was refused, graphql-core takes it as {expected}"
        assert same(found["v"], expected[argument]), (
            f"{argument}: {value!r}: {found['v']!r}, {expected[argument]!r}"
        )


@pytest.mark.parametrize("argument", TYPES)
def test_every_edge_has_graphql_cores_verdict(argument: str) -> None:
    for value in EDGES:
        assert_alike(argument, value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(argument=st.sampled_from(sorted(TYPES)), value=JSON)
def test_every_value_has_graphql_cores_verdict(argument: str, value: Any) -> None:
    assert_alike(argument, value)


@pytest.mark.parametrize(
    ("declared", "given", "sent"),
    [
        ("$v: Int", {}, {}),
        ("$v: Int", {"v": None}, {"v": None}),
        ("$v: Int = 7", {}, {"v": 7}),
        ("$v: Int = 7", {"v": None}, {"v": None}),
        ("$v: Int = null", {}, {"v": None}),
        ("$v: Int! = 7", {}, {"v": 7}),
        ("$v: Int", {"v": 1, "other": 2}, {"v": 1}),
    ],
)
def test_absent_null_and_default_reach_subgraphs_as_they_are(
    declared: str, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert ours(f"query ({declared}) {{ f(i: $v, im: [1]) }}", given) == sent


def test_numbers_keep_their_kind_on_the_way_to_a_subgraph() -> None:
    query = "query ($x: Any, $r: Float, $id: ID) { f(x: $x, r: $r, id: $id, im: [1]) }"
    value = orjson.loads(b'{"big": 9007199254740993, "zero": -0.0, "half": 0.5}')
    found = ours(query, {"x": value, "r": 3, "id": 9007199254740993})
    assert found is not None
    assert orjson.dumps(found["x"]) == b'{"big":9007199254740993,"zero":-0.0,"half":0.5}'
    assert found["id"] == "9007199254740993"
    assert float(found["r"]) == 3.0
