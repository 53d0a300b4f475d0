"""What pages cost is estimated by how many items are asked for: every page of the published graph says so."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.endpoint import published_supergraph
from router.config import RouterConfig
from router.demand.estimate import Estimator, cost_nodes
from router.demand.weights import Weights
from router.snapshot import Snapshot, snapshot_of
from router.stages import read_document
from subgraphs.kit.pages import PAGE_ITEMS_DEFAULT

CONFIG = RouterConfig()
DAYS = "query($first: Int) { user(id: 1) { activities(first: $first) { nodes { id summary { load } } } } }"
LAST = DAYS.replace("first: $first", "last: $first")
EDGES = DAYS.replace("nodes { id summary { load } }", "edges { node { id summary { load } } }")


@pytest.fixture(scope="module")
def graph() -> Snapshot:
    return snapshot_of(published_supergraph(), CONFIG)


def estimated(graph: Snapshot, text: str, variables: dict[str, Any]) -> float:
    weights = Weights(graph.supergraph)
    normal = read_document(text, None, graph, CONFIG).normal
    estimator = Estimator(weights, list_size_assumed=CONFIG.demand.list_size_assumed, strict=True)
    return estimator.total(cost_nodes(normal, weights), variables)


@pytest.mark.parametrize("text", [DAYS, LAST, EDGES])
def test_a_page_costs_what_is_asked_of_it(graph: Snapshot, text: str) -> None:
    none, one, ten = (estimated(graph, text, {"first": number}) for number in (0, 1, 10))
    each = one - none
    assert each >= 2  # the activity and its summary
    assert ten == none + 10 * each
    assert estimated(graph, text, {}) == none + PAGE_ITEMS_DEFAULT * each


def test_every_page_says_how_long_it_is(graph: Snapshot) -> None:
    weights = Weights(graph.supergraph)
    pages = [
        (type_name, field.name)
        for type_name, type_ in graph.supergraph.types.items()
        for field in type_.fields.values()
        if field.type.name.endswith("Connection")
    ]
    assert len(pages) > 15
    for type_name, field_name in pages:
        weight = weights.field(type_name, field_name)
        assert weight is not None
        assert weight.size is not None, (type_name, field_name)
        assert weight.size.assumed == PAGE_ITEMS_DEFAULT
        assert ("first",) in weight.size.slicing
        assert weight.size.sized == {"edges", "nodes"}
        assert not weight.size.one_slicing
