"""Drawn subgraph sets: this composer and the one that Federation users know accept the same, say the same
codes and hints, and make the same supergraph and API.

Where the two differ on purpose, `EXPLAINED` says who is right; tests/kit_composition/explained.py does so for
the sets that are written down.
"""

from __future__ import annotations

from typing import cast

import pytest
from graphql import validate_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.composition import CompositionResult, compose
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph
from tests.kit_composition.shapes import Shape, api_shape, differences, supergraph_shape
from tests.kit_composition.strategies import subgraph_sets
from tests.servers.composers import Composers, Outcome

EXAMPLES, EXAMPLES_NIGHTLY = 40, 3000


def codes(result: CompositionResult) -> set[str]:
    return {problem.code for problem in result.problems}


def is_explained(sources: list[SubgraphSource], ours: CompositionResult, theirs: Outcome) -> str | None:
    """Who is right, where the two refuse and accept differently, and why."""
    if theirs.is_crash:
        return "the peer ended in an exception"
    if set(theirs.codes) == {"INVALID_GRAPHQL"} < codes(ours):
        return "the peer stops at what GraphQL itself refuses; here all that is wrong is told"
    has_label = any("label:" in source.sdl for source in sources)
    if has_label and codes(ours) ^ set(theirs.codes) == {"SATISFIABILITY_ERROR"}:
        return "the peer takes a label that is not on the way to be neither on nor off; here both are tried"
    return None


def without_idle(theirs: Shape, ours: Shape) -> Shape:
    """Their supergraph without the features that nothing in it uses, as when what a tag stood on was left
    out.
    """
    idle = {name[1:] for name in theirs if name.startswith("@") and name not in ours}
    kept = {name: said for name, said in theirs.items() if name.removeprefix("@") not in idle}
    words, roots, links = cast("tuple[str, object, frozenset[object]]", theirs["schema"])
    used = frozenset(link for link in links if not any(f"/{name}/v" in str(link) for name in idle))
    return {**kept, "schema": (words, roots, used)}


def apart(sources: list[SubgraphSource], ours: CompositionResult, theirs: Outcome) -> dict[str, object]:
    """What the two say differently and nothing explains."""
    if codes(ours) != set(theirs.codes):
        told = {"ours": sorted(codes(ours)), "theirs": theirs.codes, "words": theirs.messages}
        return {} if is_explained(sources, ours, theirs) else dict(told)
    if ours.supergraph_sdl is None or theirs.sdl is None or theirs.api is None:
        return {}
    mine, others = supergraph_shape(ours.supergraph_sdl), supergraph_shape(theirs.sdl)
    found: dict[str, object] = dict(differences(mine, without_idle(others, mine)))
    api = api_shape(read_supergraph(ours.supergraph_sdl).api_schema)
    found |= {f"API {at}": both for at, both in differences(api, api_shape(theirs.api)).items()}
    # One copy of a shared field may return an interface, another one an object of it: told only here.
    hints = {hint.code for hint in ours.hints} - {"INCONSISTENT_RUNTIME_TYPES_FOR_SHAREABLE_RETURN"}
    theirs_hints = theirs.hints - {"INCONSISTENT_RUNTIME_TYPES_FOR_SHAREABLE_RETURN"}
    return found | dict.fromkeys(hints ^ theirs_hints, "only one gives the hint")


def compare(composers: Composers, sources: list[SubgraphSource]) -> None:
    assert apart(sources, compose(sources), composers.compose("apollo", [sources])[0]) == {}


@pytest.mark.timeout(400)
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources=subgraph_sets())
def test_drawn_sets_compose_as_elsewhere(composers: Composers, sources: list[SubgraphSource]) -> None:
    compare(composers, sources)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@settings(max_examples=EXAMPLES_NIGHTLY, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources=subgraph_sets())
def test_many_drawn_sets_compose_as_elsewhere(composers: Composers, sources: list[SubgraphSource]) -> None:
    compare(composers, sources)


@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(sources=subgraph_sets())
def test_what_composes_is_valid_and_does_not_depend_on_the_order(sources: list[SubgraphSource]) -> None:
    """What clients see is a schema by GraphQL's own rules, and the same subgraphs give the same text."""
    result = compose(sources)
    assert compose(sources[::-1]) == result
    if result.supergraph_sdl is not None:
        assert validate_schema(read_supergraph(result.supergraph_sdl).api_schema) == []


def test_drawn_sets_are_of_both_kinds() -> None:
    outcomes: list[bool] = []

    @settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def look(data: st.DataObject) -> None:
        outcomes.append(compose(data.draw(subgraph_sets())).supergraph_sdl is not None)

    look()
    assert 20 < sum(outcomes) < len(outcomes) - 20
