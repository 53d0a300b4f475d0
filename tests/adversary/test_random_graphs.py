"""Random federated graphs: what composes answers every drawn operation as one schema would."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from graphql import parse, validate

from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_adversary.graphs import draw_graph
from tests.kit_adversary.graphs_of_federation_1 import draw_graph_of_federation_1
from tests.kit_federation.federation import Federation
from tests.kit_planner.compare import assert_nothing_asked_twice
from tests.kit_planner.operations import Operations
from tests.kit_planner.world import federated

BATCHES = range(6)


def supergraph_of(sdl_of: Mapping[str, str]) -> Supergraph | None:
    """The supergraph; None where the subgraphs do not compose, which every problem must explain."""
    result = compose([SubgraphSource(name, f"http://{name}/graphql", sdl) for name, sdl in sdl_of.items()])
    assert (result.supergraph_sdl is None) == bool(result.problems)
    return read_supergraph(result.supergraph_sdl) if result.supergraph_sdl is not None else None


async def answered_as_by_one_schema(sdl_of: Mapping[str, str], seed: int, operations_count: int) -> int:
    """How many drawn operations were compared."""
    supergraph = supergraph_of(sdl_of)
    if supergraph is None:
        return 0
    compared = 0
    for number in range(operations_count):
        random = Random(f"{seed}-{number}")
        schema = supergraph.api_schema
        kind = "mutation" if schema.mutation_type is not None and random.random() < 0.2 else "query"
        query, variables = Operations(schema, random, kind=kind, depth_max=random.randint(2, 5)).draw()
        if validate(schema, parse(query)):
            continue
        world, subgraphs = federated(supergraph, sdl_of, number % 7)
        federation = Federation(tuple(subgraphs), supergraph)
        truth = world.monolith(query, variables)
        if truth.errors:
            continue
        answer = await federation.ask(query, variables)
        assert not answer.errors, f"graph {seed}: {query} {variables}\n{answer.errors}"
        assert answer.data == truth.data, f"graph {seed}: {query} {variables}"
        assert_nothing_asked_twice(federation.plan(query))
        compared += 1
    return compared


@pytest.mark.parametrize("batch", BATCHES)
async def test_drawn_graphs_answer_as_one_schema(batch: int) -> None:
    compared = 0
    for seed in range(batch * 5, batch * 5 + 5):
        compared += await answered_as_by_one_schema(draw_graph(seed), seed, 3)
    assert compared > 0


@pytest.mark.parametrize("batch", range(2))
async def test_drawn_graphs_of_federation_1_answer_as_one_schema(batch: int) -> None:
    compared = 0
    for seed in range(batch * 5, batch * 5 + 5):
        compared += await answered_as_by_one_schema(draw_graph_of_federation_1(seed), seed, 3)
    assert compared > 0


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("batch", range(40))
async def test_many_drawn_graphs_answer_as_one_schema(batch: int) -> None:
    for seed in range(10_000 + batch * 50, 10_000 + batch * 50 + 50):
        await answered_as_by_one_schema(draw_graph(seed), seed, 10)
        await answered_as_by_one_schema(draw_graph_of_federation_1(seed), seed, 5)
