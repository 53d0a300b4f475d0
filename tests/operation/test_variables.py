"""Variable values by the specification's table of coercions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema
from graphql import parse as parse_document

from router.errors import VariablesInvalid
from router.operation.parse import parse
from router.operation.validate import validate
from router.operation.variables import PROBLEMS_MAX, coerce

SCHEMA = build_schema(
    """
    type Query { f(i: Int, r: Int!, fl: Float, s: String, b: Boolean, id: ID, e: E, n: In, l: [Int],
                   ll: [[Int!]!], any: Any, o: One): Int }
    enum E { A B }
    input In { a: Int! = 3 b: [ID!] c: In e: E = B }
    input One @oneOf { x: Int y: String }
    scalar Any
    """
)


def coerced(type_: str, value: Any, *, argument: str, default: str = "") -> Any:
    query = f"query($v: {type_}{default}) {{ f({argument}: $v, r: 1) }}"
    operation = validate(parse(query), SCHEMA).operation
    return coerce({"v": value}, operation.variable_definitions or (), SCHEMA)["v"]


@pytest.mark.parametrize(
    ("type_", "argument", "value", "result"),
    [
        ("Int", "i", 5, 5),
        ("Int", "i", 5.0, 5),
        ("Int", "i", -(2**31), -(2**31)),
        ("Int", "i", None, None),
        ("Float", "fl", 5, 5),
        ("Float", "fl", 1e300, 1e300),
        ("String", "s", "", ""),
        ("Boolean", "b", False, False),
        ("ID", "id", 7, "7"),
        ("ID", "id", "7", "7"),
        ("E", "e", "A", "A"),
        ("In", "n", {}, {"a": 3, "e": "B"}),
        ("In", "n", {"b": 1, "c": {"a": 1}}, {"a": 3, "b": ["1"], "c": {"a": 1, "e": "B"}, "e": "B"}),
        ("[Int]", "l", 1, [1]),
        ("[Int]", "l", [1, None], [1, None]),
        ("[Int]", "l", None, None),
        ("[[Int!]!]", "ll", 1, [[1]]),
        ("[[Int!]!]", "ll", [[1], [2]], [[1], [2]]),
        ("Any", "any", {"x": [1, "y", None]}, {"x": [1, "y", None]}),
        ("One", "o", {"x": 1}, {"x": 1}),
    ],
)
def test_a_value_is_coerced(type_: str, argument: str, value: Any, result: Any) -> None:
    assert coerced(type_, value, argument=argument) == result


@pytest.mark.parametrize(
    ("type_", "argument", "value"),
    [
        ("Int", "i", 2**31),
        ("Int", "i", 1.5),
        ("Int", "i", "1"),
        ("Int", "i", True),
        ("Int!", "i", None),
        ("Float", "fl", "1"),
        ("Float", "fl", float("nan")),
        ("Float", "fl", float("inf")),
        ("String", "s", 5),
        ("Boolean", "b", 0),
        ("ID", "id", 1.5),
        ("ID", "id", True),
        ("E", "e", "C"),
        ("E", "e", 1),
        ("In", "n", {"a": None}),
        ("In", "n", {"zz": 1}),
        ("In", "n", [{}]),
        ("In", "n", "x"),
        ("[Int]", "l", ["x"]),
        ("[[Int!]!]", "ll", [[1], None]),
        ("[[Int!]!]", "ll", [[None]]),
        ("One", "o", {}),
        ("One", "o", {"x": 1, "y": "a"}),
        ("One", "o", {"x": None}),
    ],
)
def test_a_value_that_does_not_fit_is_refused(type_: str, argument: str, value: Any) -> None:
    with pytest.raises(VariablesInvalid) as refused:
        coerced(type_, value, argument=argument)
    entry = refused.value.all_to_graphql()[0]
    assert entry["extensions"] == {"code": "VALIDATION_INVALID_TYPE_VARIABLE"}
    assert entry["locations"] == [{"line": 1, "column": 7}]
    assert refused.value.http_status == 400


def coerce_query(query: str, variables: dict[str, Any] | None) -> dict[str, Any]:
    operation = validate(parse(query), SCHEMA).operation
    return coerce(variables, operation.variable_definitions or (), SCHEMA)


def test_absent_null_and_default_are_three_things() -> None:
    query = "query($a: Int, $b: Int = 2, $c: Int = 3) { f(i: $a, r: 1, l: [$b, $c]) }"
    assert coerce_query(query, {}) == {"b": 2, "c": 3}
    assert coerce_query(query, None) == {"b": 2, "c": 3}
    assert coerce_query(query, {"a": None, "b": None}) == {"a": None, "b": None, "c": 3}


def test_unknown_variables_are_dropped() -> None:
    assert coerce_query("query($a: Int) { f(i: $a, r: 1) }", {"a": 1, "zzz": 2}) == {"a": 1}
    assert coerce_query("{ f(r: 1) }", {"zzz": 2}) == {}


def test_a_required_variable_must_be_there() -> None:
    with pytest.raises(VariablesInvalid):
        coerce_query("query($a: Int!) { f(r: $a) }", {})


def test_every_problem_is_told_up_to_a_bound() -> None:
    with pytest.raises(VariablesInvalid) as refused:
        coerce_query("query($l: [Int]) { f(l: $l, r: 1) }", {"l": ["x"] * 500})
    assert len(refused.value.all_to_graphql()) == PROBLEMS_MAX + 1


def test_values_that_nest_without_end_are_refused_not_raised() -> None:
    value: dict[str, Any] = {}
    for _ in range(5_000):
        value = {"c": value}
    with pytest.raises(VariablesInvalid):
        coerce_query("query($n: In) { f(n: $n, r: 1) }", {"n": value})


HIDDEN = build_schema("""
type Query { a(f: SecretFilter, k: SecretKind, n: [Int!]): String }
enum SecretKind { SECRET_A SECRET_B }
input SecretFilter @oneOf { secretSince: String until: SecretIn }
input SecretIn { secretDeep: SecretKind! other: Int }
""")


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("SecretFilter", {}),
        ("SecretFilter", {"since": "x"}),
        ("SecretFilter", {"since": "it's"}),
        ("SecretFilter", {"until": {}}),
        ("SecretFilter", {"until": {"secretDeep": "SECRET_C", "othr": 1}}),
        ("SecretKind", "SECRET"),
        ("SecretKind", {"x": ["y"]}),
        ("SecretKind!", None),
        ("SecretFilter", {"x" * 70_000: 1}),
    ],
    ids=range(9),
)
def test_without_suggestions_nothing_is_named_that_the_client_did_not_write(type_: str, value: Any) -> None:
    """The names of an enum's values and of an input's fields are the schema's, as those of fields are."""
    operation = parse_document(f"query($v: {type_}) {{ a }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    with pytest.raises(VariablesInvalid) as refused:
        coerce({"v": value}, operation.variable_definitions or (), HIDDEN, suggestions=False)
    told = json.dumps(refused.value.all_to_graphql())
    written = f"{type_} {json.dumps(value)}"
    assert set(re.findall(r"(?i)secret\w*|other", told)) <= set(re.findall(r"(?i)secret\w*|other", written))
    assert "Did you mean" not in told
