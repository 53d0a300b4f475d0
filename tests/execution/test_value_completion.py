"""`extensions.valueCompletion`: each value that does not fit the schema is null, told once, never shown."""

from __future__ import annotations

from typing import Any

import pytest

from router.execution.explain import REFUSALS_MAX
from tests.kit_federation.federation import federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@inaccessible"])'
)
SDL = f"""{LINK}
type Query {{ it: Thing must: Thing! things: [Thing!] any: Some some: [Some] }}
type Thing {{ int: Int! float: Float text: String flag: Boolean id: ID kind: Kind kinds: [Kind!]
  deep: [[Int!]] self: Thing custom: Anything selves: [Thing] }}
enum Kind {{ OPEN SHUT @inaccessible }}
scalar Anything
interface Some {{ id: ID }}
type Seen implements Some {{ id: ID }}
type Hidden implements Some @inaccessible {{ id: ID }}
"""
SECRET = "a-secret-value"


class Raw(MockSubgraph):
    """Answers what the test says, whether or not it fits."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__("only", SDL)
        self.data = data

    async def answer(self, query: str, variables: Any, operation_name: str | None) -> dict[str, Any]:
        return {"data": self.data}


async def answer_of(query: str, data: dict[str, Any]) -> tuple[Any, list[tuple[str, str]]]:
    """The data, and each refusal as its path and message."""
    answer = await federation_of([Raw(data)]).ask(query)
    assert answer.errors == ()
    assert SECRET not in str(answer.body())
    refusals = answer.extensions.get("valueCompletion", [])
    assert {it["extensions"]["code"] for it in refusals} <= {"RESPONSE_VALIDATION_FAILED"}
    return answer.data, [(".".join(map(str, it["path"])), it["message"]) for it in refusals]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("float", "1.5"),
        ("float", True),
        ("float", [1.0]),
        ("text", 5),
        ("text", {"a": SECRET}),
        ("text", [SECRET]),
        ("flag", 1),
        ("flag", "true"),
        ("id", 1.5),
        ("id", True),
        ("id", {"id": SECRET}),
        ("kind", SECRET),
        ("kind", "SHUT"),
        ("kind", 1),
        ("kind", ["OPEN"]),
        ("kinds", "OPEN"),
        ("deep", 5),
        ("deep", {"0": [1]}),
        ("self { text }", SECRET),
        ("self { text }", [{"text": "a"}]),
        ("selves { text }", {"text": SECRET}),
    ],
)
async def test_a_value_that_does_not_fit_is_null_and_told(field: str, value: Any) -> None:
    key = field.split()[0]
    data, refusals = await answer_of(
        "{ it { other: text " + field + " } }", {"it": {"other": "t", key: value}}
    )
    assert data == {"it": {"other": "t", key: None}}
    assert [path for path, _ in refusals] == [f"it.{key}"]
    assert f"`Thing.{key}`" in refusals[0][1] or "`Thing`" in refusals[0][1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("float", 1),
        ("float", -0.0),
        ("float", 1e308),
        ("int", -(2**31)),
        ("int", 2**31 - 1),
        ("id", 9007199254740993),
        ("id", ""),
        ("kind", "OPEN"),
        ("custom", {"any": ["thing", 1.5, None, 2**60]}),
        ("custom", "text"),
        ("deep", [[1], None, []]),
    ],
)
async def test_a_value_that_fits_is_answered_as_it_came(field: str, value: Any) -> None:
    data, refusals = await answer_of("{ it { " + field + " } }", {"it": {field: value}})
    assert data == {"it": {field: value}}
    assert type(data["it"][field]) is type(value)
    assert refusals == []


async def test_items_are_judged_one_by_one_and_null_goes_up_to_where_it_may_stand() -> None:
    query = "{ it { deep kinds } things { int text } }"
    thing = {"deep": [[1, "x"], [2], None], "kinds": ["OPEN", "SHUT"]}
    data, refusals = await answer_of(query, {"it": thing, "things": [{"int": 1, "text": "a"}, {"int": 2.5}]})
    assert data == {"it": {"deep": [None, [2], None], "kinds": None}, "things": None}
    assert [path for path, _ in refusals] == ["it.deep.0.1", "it.kinds.1", "things.1.int"]


async def test_a_missing_value_that_may_not_be_null_is_told() -> None:
    data, refusals = await answer_of("{ must { int } }", {"must": {"int": None}})
    assert data is None
    assert refusals == [("must.int", "the value of `Thing.int` is null and may not be")]


async def test_objects_of_hidden_and_unknown_types_are_null_without_their_names() -> None:
    query = "{ any { __typename id } some { __typename id } }"
    some = [{"__typename": name, "id": "1"} for name in ("Seen", "Hidden", SECRET, "Thing")]
    data, refusals = await answer_of(query, {"any": some[1], "some": [*some, None, "text"]})
    assert data == {"any": None, "some": [{"__typename": "Seen", "id": "1"}, *[None] * 5]}
    assert [path for path, _ in refusals] == ["any", "some.1", "some.2", "some.3", "some.5"]
    assert "Hidden" not in str(refusals)


async def test_no_more_is_told_than_helps() -> None:
    things = [{"text": number} for number in range(200)]
    data, refusals = await answer_of("{ it { selves { text } } }", {"it": {"selves": things}})
    assert data == {"it": {"selves": [{"text": None}] * 200}}
    assert len(refusals) == REFUSALS_MAX


async def test_beside_real_errors_refusals_are_left_out() -> None:
    class Erring(Raw):
        async def answer(self, query: str, variables: Any, operation_name: str | None) -> dict[str, Any]:
            return {"data": self.data, "errors": [{"message": "no", "path": ["it", "text"]}]}

    answer = await federation_of([Erring({"it": {"text": None, "float": "x"}})]).ask("{ it { text float } }")
    assert answer.data == {"it": {"text": None, "float": None}}
    assert [it["path"] for it in answer.errors] == [["it", "text"]]
    assert answer.extensions == {}
