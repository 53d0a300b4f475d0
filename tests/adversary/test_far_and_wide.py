"""Graphs that are only long or only wide: what composes is planned, and in time."""

from __future__ import annotations

import pytest

from router.planner.plan import QueryPlan
from tests.kit_federation.federation import federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_planner.compare import fetches

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"]) '


def chain_of(count: int) -> list[MockSubgraph]:
    """Each subgraph knows the entity by a key of the one before and one of its own."""
    return [
        MockSubgraph(
            f"g{i:02}",
            f'{LINK} type E @key(fields: "k{i}") @key(fields: "k{i + 1}") '
            f"{{ k{i}: ID! k{i + 1}: ID! v{i}: Int }}" + (" type Query { e: E }" if i == 0 else ""),
            rows={"E": [{f"k{i}": f"a{i}", f"k{i + 1}": f"a{i + 1}", f"v{i}": i}]},
            root={"e": {"k0": "a0", "k1": "a1", "v0": 0}},
        )
        for i in range(count)
    ]


def spread_over(count: int) -> list[MockSubgraph]:
    """A shared value without a key, of which each subgraph has one field more."""
    return [
        MockSubgraph(
            f"g{i:02}",
            f'{LINK} type E @key(fields: "id") {{ id: ID! v: V @shareable }} '
            f"type V {{ x: Int @shareable y{i}: Int }}" + (" type Query { e: E }" if i == 0 else ""),
            rows={"E": [{"id": "e", "v": {"x": 1, f"y{i}": i}}]},
            root={"e": {"id": "e", "v": {"x": 1, "y0": 0}}},
        )
        for i in range(count)
    ]


def requests_of(plan: QueryPlan) -> int:
    return sum(1 for _ in fetches(plan.node))


@pytest.mark.parametrize("count", [4, 7, 12])
async def test_a_chain_of_keys_is_followed_to_its_end(count: int) -> None:
    federation = federation_of(chain_of(count))
    query = f"{{ e {{ v{count - 1} }} }}"
    assert (await federation.ask(query)).data == {"e": {f"v{count - 1}": count - 1}}
    assert requests_of(federation.plan(query)) == count


@pytest.mark.parametrize("count", [3, 10])
async def test_a_value_spread_over_subgraphs_is_put_together(count: int) -> None:
    federation = federation_of(spread_over(count))
    query = f"{{ e {{ v {{ x {' '.join(f'y{i}' for i in range(count))} }} }} }}"
    answer = await federation.ask(query)
    assert answer.data == {"e": {"v": {"x": 1} | {f"y{i}": i for i in range(count)}}}
    assert requests_of(federation.plan(query)) == count


def alternating(count: int) -> list[MockSubgraph]:
    """Each field requires the one before, and the two subgraphs have every other one."""

    def fields(first: int) -> str:
        external = [f"f{i}: Int @external" for i in range(1 - first, count - 1, 2)]
        required = [f'f{i}: Int @requires(fields: "f{i - 1}")' for i in range(first or 2, count, 2)]
        return " ".join(external + required)

    link = LINK.replace('"@key"', '"@key", "@external", "@requires"')
    resolvers = {f"E.f{i}": lambda it, before=f"f{i - 1}": it[before] + 1 for i in range(1, count)}
    return [
        MockSubgraph(
            "a",
            f'{link} type Query {{ e: E }} type E @key(fields: "id") {{ id: ID! f0: Int {fields(0)} }}',
            rows={"E": [{"id": "e", "f0": 0}]},
            root={"e": {"id": "e", "f0": 0}},
            resolvers=dict(list(resolvers.items())[1::2]),
        ),
        MockSubgraph(
            "b",
            f'{link} type E @key(fields: "id") {{ id: ID! {fields(1)} }}',
            rows={"E": [{"id": "e"}]},
            resolvers=dict(list(resolvers.items())[::2]),
        ),
    ]


@pytest.mark.parametrize("count", [4, 16])
async def test_requirements_in_alternation_are_followed_one_by_one(count: int) -> None:
    federation = federation_of(alternating(count))
    query = f"{{ e {{ {' '.join(f'f{i}' for i in range(count))} }} }}"
    answer = await federation.ask(query)
    assert answer.data == {"e": {f"f{i}": i for i in range(count)}}
    assert requests_of(federation.plan(query)) == count
