"""What is remembered of earlier operations changes no plan."""

from __future__ import annotations

import gc
import weakref
import zlib
from dataclasses import replace
from random import Random

import pytest

from authz.identity.subject import ANONYMOUS
from router.errors import ClientError
from router.execution import compile_plan, execute
from router.execution.transports.in_process import InProcessTransport
from router.operation.model import AllowedOperation, NormalOperation
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import validate
from router.planner import memory as memory_module
from router.planner import plan_operation, query_graph_of
from router.planner.memory import memory_of
from router.planner.plan import QueryPlan
from router.planner.planning import explain_operation
from router.planner.search import Search
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_planner.cases import TESTS, audit_names, case_names, load_case
from tests.kit_planner.operations import Operations

GATEWAY = TESTS / "benchmarks" / "gateway" / "supergraph.graphql"
GRAPHS = [*case_names(), *(f"audit/{name}" for name in audit_names())]


def normal_of(supergraph: Supergraph, query: str) -> NormalOperation:
    return normalize(validate(parse(query), supergraph.api_schema), supergraph)


def alone(supergraph: Supergraph, normal: NormalOperation) -> QueryPlan | str:
    """The plan of a search that remembers nothing."""
    try:
        return replace(explain_operation(normal, supergraph, weigh_all=False).plan, evaluated_plans=0)
    except ClientError as refusal:
        return str(refusal)


def remembering(supergraph: Supergraph, normal: NormalOperation) -> QueryPlan | str:
    try:
        return replace(plan_operation(normal, supergraph), evaluated_plans=0)
    except ClientError as refusal:
        return str(refusal)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each selection that was looked for was remembered."""
    found: list[bool] = []
    look = Search._remembered

    def spied(self: Search, key: object) -> object:
        plan = look(self, key)  # type: ignore[arg-type]
        found.append(plan is not None)
        return plan

    monkeypatch.setattr(Search, "_remembered", spied)
    return found


def compare(name: str, seed: int, count: int) -> None:
    supergraph = load_case(name).supergraph
    source = Operations(supergraph.api_schema, Random(seed), size_max=24)
    for _ in range(count):
        try:
            normal = normal_of(supergraph, source.draw()[0])
        except ClientError:
            continue
        assert remembering(supergraph, normal) == alone(supergraph, normal), normal.signature


@pytest.mark.parametrize("name", GRAPHS)
def test_any_operation_is_planned_as_if_it_were_the_first(name: str) -> None:
    compare(name, zlib.crc32(name.encode()), 10)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", GRAPHS)
def test_many_operations_are_planned_as_if_each_were_the_first(name: str) -> None:
    for seed in range(10):
        compare(name, seed, 60)


@pytest.fixture
def supergraph() -> Supergraph:
    """A new one for each test: nothing of it is remembered."""
    return read_supergraph(GATEWAY.read_text())


QUERY = "{ %s: topProducts { upc name price shippingEstimate reviews { body author { username } } } }"


def test_a_selection_that_was_planned_is_not_searched_again(
    supergraph: Supergraph, taken: list[bool]
) -> None:
    plan_operation(normal_of(supergraph, QUERY % "a"), supergraph)
    assert not any(taken)
    taken.clear()
    normal = normal_of(supergraph, QUERY % "b")
    assert remembering(supergraph, normal) == alone(supergraph, normal)
    assert taken
    assert all(taken)


@pytest.mark.parametrize(
    "query",
    [
        QUERY % "price",
        "{ topProducts { upc: name name: upc shippingEstimate price: weight } }",
        "{ topProducts { name shippingEstimate __typename weight: name } }",
        "{ topProducts { ... @defer { shippingEstimate } name } }",
    ],
)
def test_names_of_our_own_fields_that_the_client_uses_otherwise_are_kept_apart(
    supergraph: Supergraph, query: str
) -> None:
    plan_operation(normal_of(supergraph, QUERY % "a"), supergraph)
    normal = normal_of(supergraph, query)
    assert remembering(supergraph, normal) == alone(supergraph, normal)


def test_a_long_search_is_planned_alone(supergraph: Supergraph, monkeypatch: pytest.MonkeyPatch) -> None:
    normal = normal_of(supergraph, QUERY % "a")
    expected = alone(supergraph, normal)
    monkeypatch.setattr("router.planner.search.STEPS_MAX", 5)
    assert remembering(supergraph, normal) == expected


def test_memory_has_an_end(
    supergraph: Supergraph, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    monkeypatch.setattr(memory_module, "ENTRIES_MAX", 3)
    for name in ("a", "b"):
        plan_operation(normal_of(supergraph, QUERY % name), supergraph)
    assert not any(taken)


def test_memory_that_is_in_use_is_not_waited_for(supergraph: Supergraph, taken: list[bool]) -> None:
    normal = normal_of(supergraph, QUERY % "a")
    with memory_of(query_graph_of(supergraph)).lent(normal.selections) as memory:
        assert memory is not None
        assert remembering(supergraph, normal) == alone(supergraph, normal)
    assert not taken


async def test_a_supergraph_that_nobody_serves_any_more_is_forgotten_with_all_that_was_found_for_it() -> None:
    known = read_supergraph(GATEWAY.read_text())
    left = (weakref.ref(known), weakref.ref(known.api_schema))
    normal = normal_of(known, QUERY % "a")
    compiled = compile_plan(plan_operation(normal, known), AllowedOperation(normal, normal), known)
    await execute(compiled, {}, ANONYMOUS, InProcessTransport({}))
    del known, compiled
    gc.collect()
    assert [it() for it in left] == [None, None]
