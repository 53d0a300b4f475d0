"""Documents against the API schema: what is refused, how it is worded, which operation runs."""

from __future__ import annotations

import json
import re

import pytest
from graphql import build_schema

from router.errors import ClientError, UnknownOperationName, ValidationFailed
from router.operation.model import OperationKind
from router.operation.parse import parse
from router.operation.validate import PROBLEMS_MAX, executable_schema, validate

SCHEMA = build_schema(
    """
    type Query { item(id: ID!): Item items: [Item] }
    type Mutation { add(n: Int = 1): Int }
    type Subscription { ticks: Int items: Int }
    type Item { id: ID! name: String parent: Item }
    """
)


def problems_of(query: str, *, suggestions: bool = True) -> list[dict[str, object]]:
    with pytest.raises(ClientError) as refused:
        validate(parse(query), SCHEMA, suggestions=suggestions)
    return refused.value.all_to_graphql()


def test_every_problem_is_told_with_its_place() -> None:
    told = problems_of("{ nope item { id } }")
    assert [it["locations"] for it in told] == [
        [{"line": 1, "column": 3}],
        [{"line": 1, "column": 8}],
    ]
    assert all(it["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"} for it in told)


def test_suggestions_can_be_left_out() -> None:
    assert "item" in str(problems_of("{ itmes { id } }")).replace("itmes", "")
    assert "items" not in str(problems_of("{ itmes { id } }", suggestions=False))


HIDDEN = build_schema("""
directive @secretDirective(arg: Int!) on FIELD
type Query {
  hello(secretArg: SecretKind!): String me: SecretPerson it: SecretI found(f: SecretFilter): SecretU
}
enum SecretKind { SECRET_A SECRET_B }
interface SecretI { id: ID }
type SecretPerson implements SecretI { id: ID secretName: String }
union SecretU = SecretPerson
input SecretFilter { secretSince: String! }
""")


@pytest.mark.parametrize(
    "query",
    [
        "{ hello }",
        "{ me }",
        "{ me { ide secretNam } }",
        "{ me { id { a } } }",
        "{ me { ... on Query { me { id } } } }",
        "{ it { ide } }",
        "{ found { id } }",
        "{ found(f: {}) { __typename } }",
        "{ found(f: 1) { __typename } }",
        "{ found(f: {since: 1}) { __typename } }",
        "{ hello(secret: X) }",
        "{ hello(arg: X) @secret }",
        "query($k: Int) { hello(a: $k) }",
        "query($f: [Int]) { found(f: $f) { __typename } }",
        "query($f: SecretPers) { me { id } }",
        '{ hello(a: "it\'s") me }',
    ],
)
def test_without_suggestions_nothing_is_named_that_the_client_did_not_write(query: str) -> None:
    with pytest.raises(ClientError) as refused:
        validate(parse(query), HIDDEN, suggestions=False)
    told = json.dumps(refused.value.all_to_graphql())
    named = set(re.findall(r"(?i)secret\w*", told))
    assert named <= set(re.findall(r"(?i)secret\w*", query))
    assert "locations" in told


@pytest.mark.parametrize(
    "query",
    [
        "{ items }",
        "{ items { id { x } } }",
        "{ item(id: 1) { id } item(id: 2) { id } }",
        "query($x: Int) { items { id } }",
        "query { item(id: $x) { id } }",
        "{ ...F } fragment F on Query { ...F }",
        "{ ...Missing }",
        "subscription { ticks items }",
        "subscription { ... @defer { ticks } }",
        "{ __typename @stream }",
        "{ items @skip(if: true) @skip(if: true) { id } }",
        "type Query { a: Int }",
        "query A { items { id } } query A { items { id } }",
        "{ items { id } } query B { items { id } }",
        "{ __type { name } }",
        "{ __schema { types { fields { type { fields { type { fields { type { fields { name } "
        + "} } } } } } } } }",
    ],
)
def test_what_the_specification_forbids_is_refused(query: str) -> None:
    assert problems_of(query)


def test_defer_and_stream_are_known_and_advertised() -> None:
    validate(parse('{ items @stream(initialCount: 1) { id ... @defer(label: "x") { name } } }'), SCHEMA)
    assert executable_schema(SCHEMA).get_directive("defer") is not None
    assert executable_schema(SCHEMA) is executable_schema(SCHEMA)


def test_the_number_of_problems_is_bounded() -> None:
    told = problems_of("{" + " ".join(f"x{n}" for n in range(500)) + "}")
    assert len(told) == PROBLEMS_MAX + 1


def test_the_named_operation_is_chosen() -> None:
    parsed = parse("query A { items { id } } mutation B { add }")
    assert validate(parsed, SCHEMA, "A").kind is OperationKind.QUERY
    chosen = validate(parsed, SCHEMA, "B")
    assert chosen.kind is OperationKind.MUTATION
    assert chosen.operation.name is not None
    assert chosen.operation.name.value == "B"


@pytest.mark.parametrize(
    ("query", "name"),
    [("query A { items { id } } query B { items { id } }", None), ("query A { items { id } }", "C")],
)
def test_without_a_clear_choice_the_request_is_refused(query: str, name: str | None) -> None:
    with pytest.raises(UnknownOperationName) as refused:
        validate(parse(query), SCHEMA, name)
    assert refused.value.code == "GRAPHQL_UNKNOWN_OPERATION_NAME"


def test_fragments_that_nest_each_other_without_end_are_refused_not_raised() -> None:
    chain = "".join(
        f"fragment f{n} on Item {{ {'parent {' * 20} ...f{n + 1} {'}' * 20} }}" for n in range(200)
    )
    query = f"{{ items {{ ...f0 }} }} {chain} fragment f200 on Item {{ id }}"
    with pytest.raises(ValidationFailed):
        validate(parse(query), SCHEMA)
