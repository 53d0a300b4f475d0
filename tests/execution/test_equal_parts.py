"""Equal parts of an answer become one object; what is answered is what it would be with many."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import orjson
import pytest
from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import ClientError
from router.execution import CompiledPlan, ExecutionOptions, explain, null_reasons, sharing, subgraph_errors
from router.execution import run as run_module
from router.execution.data_flow import fetches_in
from router.execution.run import Run
from router.execution.selected_keys import SelectedKeys, selected_keys
from router.execution.transport import SubgraphTransport
from tests.kit_federation.audit_suites import audit_subgraphs, audit_suites
from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.faults import FAULTS, WRONG_VALUES, Fault, FaultyTransport
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph, Row
from tests.kit_federation.random_operations import OperationSource, operation_of
from tests.kit_federation.whole import WholeAnswers

OPTIONS = ExecutionOptions(null_reasons=True)
RUNS = 3
"""The first answer of a text is read as ever; how the next ones are read is known then."""

SHOPS = """
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])
    type Query { shops: [Shop] }
    type Shop @key(fields: "id") {
        id: ID! name: String place: Place @shareable owner: Person staff: [Person]
    }
    type Place { city: String }
    type Person @key(fields: "id") { id: ID! born: Int home: Shop }
"""
PEOPLE = """
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])
    type Shop @key(fields: "id") { id: ID! place: Place @shareable }
    type Place { street: String! }
    type Person @key(fields: "id") { id: ID! called: String! friends: [Person!] }
"""
QUERY = """{ shops {
    name place { city street } owner { id born called friends { id called } }
    staff { called born home { name owner { called friends { born called } } } }
} }"""


def shops(rows: list[Row], people: dict[str, Row], streets: Mapping[str, str | None]) -> Federation:
    """Shops of `rows`, with people by id; a street is known for each shop by its id."""
    by_id = {it["id"]: it for it in rows}
    person: Callable[[Any], Row | None] = people.get

    def full(row: Row | None) -> Row | None:
        return row and {
            **row,
            "__typename": "Shop",
            "owner": person(row["owner"]),
            "staff": [person(it) for it in row["staff"]],
            "place": {"city": row["city"]},
        }

    first = MockSubgraph(
        "shops",
        SHOPS,
        resolvers={
            "Query.shops": lambda _: [full(it) for it in rows],
            "Person.home": lambda it: full(by_id.get(people[it["id"]]["home"])),
        },
        entities={"Person": lambda it: person(it["id"]), "Shop": lambda it: full(by_id.get(it["id"]))},
    )
    second = MockSubgraph(
        "people",
        PEOPLE,
        resolvers={"Person.friends": lambda it: [person(each) for each in people[it["id"]]["friends"]]},
        entities={
            "Person": lambda it: person(it["id"]),
            "Shop": lambda it: {**it, "place": {"street": streets.get(it["id"])}},
        },
    )
    return federation_of([first, second])


def person(number: int, *friends: str, called: str | None = "n", home: str = "s1") -> Row:
    known = {"__typename": "Person", "id": f"p{number}", "born": 1990, "called": called}
    return {**known, "friends": list(friends), "home": home}


def shop(number: int, *staff: str, city: str | None = "Bern", owner: str = "p1") -> Row:
    return {"id": f"s{number}", "name": "shop", "city": city, "owner": owner, "staff": list(staff)}


PERSONS = {it["id"]: it for it in (person(1, "p2", "p1"), person(2, "p1"), person(3))}
STREETS = {f"s{number}": f"street {number}" for number in range(6)}
ROWS = [shop(number, "p1", "p2", "p1") for number in range(6)]


async def answered(federation: Federation, compiled: CompiledPlan, transport: SubgraphTransport) -> bytes:
    answer = await federation.run(compiled, transport=transport, options=OPTIONS)
    errors = sorted(orjson.dumps(it, option=orjson.OPT_SORT_KEYS) for it in answer.errors)
    return orjson.dumps([answer.data, answer.extensions]) + b"".join(errors)


async def compare(federation: Federation, query: str, number: int = 99, fault: Fault = FAULTS[0]) -> bool:
    """Answers of shared trees beside the others; whether the call of this number was there to be broken."""

    def broken() -> FaultyTransport:
        return FaultyTransport(federation.in_process(), number, fault)

    inner = broken()
    expected = await answered(federation, federation.compiled(query), inner)
    shared = federation.compiled(query)
    for _ in range(RUNS):
        assert await answered(federation, shared, WholeAnswers(broken())) == expected, f"{fault}\n{query}"
    return inner.broken is not None


@pytest.fixture(autouse=True)
def _whatever_it_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared however little is equal, never passed on unread; all is told, as limits may cut differently."""
    monkeypatch.setattr(CompiledPlan, "whole", lambda _: None)
    monkeypatch.setattr(sharing, "SHARED_PERCENT_MIN", 0)
    monkeypatch.setattr(subgraph_errors, "PATHS_PER_ERROR_MAX", 10_000)
    monkeypatch.setattr(null_reasons, "REASONS_MAX", 10_000)
    monkeypatch.setattr(explain, "REFUSALS_MAX", 10_000)
    monkeypatch.setattr(run_module, "ERRORS_MAX", 100_000)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs whose answers were read, in order."""
    seen: list[Run] = []
    read = sharing.SharedAnswers.read

    def spied(self: sharing.SharedAnswers, run: Run, text: bytes, parts: Any) -> dict[str, Any]:
        seen.append(run)
        return read(self, run, text, parts)

    monkeypatch.setattr(sharing.SharedAnswers, "read", spied)
    return seen


async def test_equal_people_of_one_list_are_one_object(runs: list[Run]) -> None:
    federation = shops(ROWS, PERSONS, STREETS)
    assert not await compare(federation, "{ shops { staff { id called } } }")
    staff = [it["staff"] for it in runs[-1].root["shops"]]
    assert runs[-1].shares
    assert len({id(it) for it in staff}) == 1, "equal lists are one"
    assert len({id(it) for it in runs[0].root["shops"][0]["staff"]}) == 3, "the first answer is read as ever"


async def test_objects_that_another_fetch_fills_through_their_parents_stay_apart(runs: list[Run]) -> None:
    federation = shops(ROWS, PERSONS, STREETS)
    answer = await federation.run(federation.compiled("{ shops { place { city street } } }"))
    assert answer.data is not None
    assert isinstance(answer.data, dict)
    assert [it["place"]["street"] for it in answer.data["shops"]] == list(STREETS.values())
    await compare(federation, "{ shops { staff { born } place { city street } } }")
    assert runs[-1].shares
    assert len({id(it["place"]) for it in runs[-1].root["shops"]}) == len(ROWS)


async def test_a_null_that_comes_up_does_so_at_every_place() -> None:
    people = PERSONS | {"p2": person(2, "p1", called=None)}
    await compare(shops(ROWS, people, STREETS | {"s3": None}), QUERY)


async def test_an_answer_with_little_in_common_is_read_as_ever_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "SHARED_PERCENT_MIN", 100)
    monkeypatch.setattr(sharing, "IDLE_ANSWERS", 2)
    federation = shops(ROWS, PERSONS, STREETS)
    compiled = federation.compiled("{ shops { owner { id born called } } }")
    given = []
    for _ in range(7):
        transport = WholeAnswers(federation.in_process())
        await answered(federation, compiled, transport)
        given.append(transport.given)
    assert given == [1, 1, 0, 0, 1, 0, 0]


numbers = st.integers(0, 3)
people_ids = numbers.map("p{}".format)


@st.composite
def federations(draw: st.DrawFn) -> Federation:
    """Few people and shops, so that many are equal; names that may not be null sometimes are."""
    called = st.sampled_from(["n", "n", "m", None])
    people = {
        f"p{number}": person(
            number,
            *draw(st.lists(people_ids, max_size=3)),
            called=draw(called),
            home=f"s{draw(numbers)}",
        )
        for number in range(draw(st.integers(1, 4)))
    }
    known = st.sampled_from(sorted(people))
    rows = [
        shop(
            number % 4,
            *draw(st.lists(known, max_size=3)),
            city=draw(st.sampled_from(["Bern", None])),
            owner=draw(known),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    for it in people.values():
        it["friends"] = [each for each in it["friends"] if each in people]
    return shops(rows, people, draw(st.dictionaries(numbers.map("s{}".format), st.sampled_from("ab"))))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(federations(), st.integers(0, 5), st.sampled_from((*FAULTS, *WRONG_VALUES)))
async def test_any_shops_are_answered_alike_whatever_breaks(
    federation: Federation, number: int, fault: Fault
) -> None:
    await compare(federation, QUERY, number, fault)


async def compare_federation(federation: Federation, queries: list[str], chosen: Random) -> None:
    for query in queries:
        try:
            federation.compiled(query)
        except ClientError:
            continue
        await compare(federation, query)
        for number in range(3):
            if not await compare(federation, query, number, chosen.choice((*FAULTS, *WRONG_VALUES))):
                break


def queries_of(federation: Federation, seed: int, count: int) -> list[str]:
    source = OperationSource(federation.supergraph.api_schema, {}, seed)
    return [operation_of(source.draw()) for _ in range(count)]


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_an_audited_graph_answers_alike(suite: str) -> None:
    federation, seed = federation_of(audit_subgraphs(suite)), zlib.crc32(suite.encode())
    await compare_federation(federation, queries_of(federation, seed, 4), Random(seed))


@pytest.mark.parametrize("name", case_names())
async def test_a_graph_of_ours_answers_alike(name: str) -> None:
    federation, seed = federation_of(case_subgraphs(read_case(name))), zlib.crc32(name.encode())
    await compare_federation(federation, queries_of(federation, seed, 4), Random(seed))


def keys_of(node: SelectionSetNode, into: SelectedKeys) -> SelectedKeys:
    for it in node.selections:
        if isinstance(it, InlineFragmentNode):
            keys_of(it.selection_set, into)
        elif isinstance(it, FieldNode):
            key = it.alias.value if it.alias is not None else it.name.value
            if it.selection_set is None:
                into.leaves.add(key)
            else:
                keys_of(it.selection_set, into.below.setdefault(key, SelectedKeys()))
    return into


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
def test_a_fetch_selects_what_its_text_says(suite: str) -> None:
    federation = federation_of(audit_subgraphs(suite))
    for query in queries_of(federation, 7, 12):
        try:
            node = federation.plan(query).node
        except ClientError:
            continue
        for fetch, _ in fetches_in(node) if node is not None else ():
            operation = parse(fetch.operation).definitions[0]
            assert isinstance(operation, OperationDefinitionNode)
            expected = keys_of(operation.selection_set, SelectedKeys())
            assert selected_keys(fetch.operation) == expected
            if fetch.entity_selection:
                assert selected_keys(fetch.entity_selection) == expected.below["_entities"]


@pytest.mark.parametrize(
    "text",
    [
        '{a(x:"} { ( \\" )",y:{b:[")"]}){b} c}',
        'query Q($a:[I!]!={b:"{"}){x:a(y:$a)@skip(if:$b)@d(e:"{)"){...on T@include(if:$c){b}'
        "...@skip(if:$d){c}}}",
        'mutation{a(x:"""a " { ) \\""" """){b{c}b{d e:d}}}',
    ],
)
def test_strings_arguments_and_directives_are_passed_over(text: str) -> None:
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert selected_keys(text) == keys_of(operation.selection_set, SelectedKeys())
