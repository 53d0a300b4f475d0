"""Planning over ever longer and wider graphs: few requests, and steps of the search that grow no faster.

Steps are counted, not seconds, so that a busy machine fails nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from router.planner import PlannerLimits, plan_operation
from router.planner.plan import Parallel, QueryPlan
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_planner.cases import normal_of
from tests.kit_planner.compare import fetches

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3",'
    ' import: ["@key", "@shareable", "@requires", "@external"])\n'
)


@cache
def supergraph_of(sdls: tuple[str, ...]) -> Supergraph:
    named = [SubgraphSource(f"g{i:02}", f"http://g{i}/graphql", LINK + sdl) for i, sdl in enumerate(sdls)]
    result = compose(named)
    assert result.supergraph_sdl is not None, result.problems
    return read_supergraph(result.supergraph_sdl)


def planned(sdls: list[str], query: str, steps_max: int) -> QueryPlan:
    """The plan, found within so many steps."""
    supergraph = supergraph_of(tuple(sdls))
    limits = PlannerLimits(states_max=steps_max, duration_ms_max=120_000)
    return plan_operation(normal_of(supergraph, query), supergraph, limits=limits)


def requests_of(plan: QueryPlan) -> int:
    return sum(1 for _ in fetches(plan.node))


def requirements(count: int) -> tuple[list[str], str]:
    """Two subgraphs that require each other's fields in turn; the last one alone is asked for."""

    def fields(first: int) -> str:
        external = [f"f{i}: Int @external" for i in range(1 - first, count - 1, 2)]
        required = [f'f{i}: Int @requires(fields: "f{i - 1}")' for i in range(first or 2, count, 2)]
        return " ".join(external + required)

    a = f'type Query {{ e: E }} type E @key(fields: "id") {{ id: ID! f0: Int {fields(0)} }}'
    return [a, f'type E @key(fields: "id") {{ id: ID! {fields(1)} }}'], f"{{ e {{ f{count - 1} }} }}"


def keys(count: int) -> tuple[list[str], str]:
    """Each subgraph knows the entity by a key of the one before; the last one's field is asked for."""
    sdls = [
        f'type E @key(fields: "k{i}") @key(fields: "k{i + 1}") {{ k{i}: ID! k{i + 1}: ID! v{i}: Int }}'
        + ("" if i else " type Query { e: E }")
        for i in range(count)
    ]
    return sdls, f"{{ e {{ v{count - 1} }} }}"


def shared_roots(count: int) -> tuple[list[str], str]:
    """Three lists that all subgraphs offer, of values of which each has one field."""
    roots = " ".join(f"{name}: [V] @shareable" for name in "lmn")
    sdls = [f"type Query {{ {roots} }} type V {{ x: Int @shareable y{i}: Int }}" for i in range(count)]
    fields = "x " + " ".join(f"y{i}" for i in range(count))
    return sdls, "{ " + " ".join(f"{name} {{ {fields} }}" for name in "lmn") + " }"


def shared_in_depth(count: int) -> tuple[list[str], str]:
    """A shared list of entities with shared values that lead to entities: a field each at every level."""
    sdls = [
        f"type Query {{ all: [E] @shareable }} type V {{ y{i}: Int e: E @shareable }}"
        f' type E @key(fields: "id") {{ id: ID! f{i}: Int v: V @shareable }}'
        for i in range(count)
    ]
    fields = " ".join(f"f{i}" for i in range(count))
    values = " ".join(f"y{i}" for i in range(count))
    return sdls, f"{{ all {{ {fields} v {{ {values} e {{ {fields} }} }} }} }}"


@pytest.mark.parametrize(
    ("graph", "count", "steps_max"),
    [
        (requirements, 20, 200),
        (requirements, 40, 400),
        (keys, 20, 300),
        (keys, 40, 1_200),
        (shared_roots, 14, 200),
        (shared_roots, 40, 600),
        (shared_in_depth, 10, 200),
        (shared_in_depth, 30, 700),
    ],
)
def test_as_many_requests_as_subgraphs_and_few_steps(
    graph: Callable[[int], tuple[list[str], str]], count: int, steps_max: int
) -> None:
    sdls, query = graph(count)
    assert requests_of(planned(sdls, query, steps_max)) == count


def test_subgraphs_that_offer_one_root_field_are_asked_side_by_side() -> None:
    sdls = [
        'type Query { box: Box @shareable } type Box @key(fields: "id") { id: ID! weight: Int }',
        'type Query { box: Box @shareable } type Box @key(fields: "id sku") { id: ID! sku: ID! price: Int }',
        'type Box @key(fields: "sku") { sku: ID! }',
    ]
    plan = planned(sdls, "{ box { weight price } }", 100)
    assert isinstance(plan.node, Parallel)
    assert [fetch.service for fetch, _, _ in fetches(plan.node)] == ["g00", "g01"]


def test_a_reference_that_many_share_is_followed_in_each_not_hopped_at_every_level() -> None:
    sdls = [
        f'type Query {{ r{i}: N }} type N @key(fields: "id") {{ id: ID! next: N @shareable v{i}: Int }}'
        for i in range(4)
    ]
    query = "v0 v1 v2"
    for _ in range(12):
        query = f"v0 v1 v2 next {{ {query} }}"
    assert requests_of(planned(sdls, f"{{ r0 {{ {query} }} }}", 1_000)) == 3
