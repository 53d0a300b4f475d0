"""Every set of the tests beside the composer that Federation users know, and in other routers' hands."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from schema.composition import CompositionResult, compose
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph
from tests.kit_composition.explained import MORE_HINTS, NOT_LOADED, OTHER_CODES, OTHER_WORDS
from tests.kit_composition.sets import all_sets
from tests.kit_composition.shapes import api_shape, differences, supergraph_shape
from tests.servers.composers import Composers, Outcome

pytestmark = pytest.mark.timeout(400)  # seconds of another's work on a machine that may be busy

SETS = all_sets()
CASES = {name: sources for name, sources in SETS.items() if "/" not in name}
ELSEWHERE = {name: sources for name, sources in SETS.items() if name not in CASES}


def codes(result: CompositionResult) -> list[str]:
    return sorted({problem.code for problem in result.problems})


def told_apart(name: str, ours: CompositionResult, theirs: Outcome) -> list[str]:
    """What differs between the two, as one line each."""
    if codes(ours) != sorted(set(theirs.codes)):
        return [f"{name}: codes {codes(ours)} and {sorted(set(theirs.codes))}"]
    if ours.supergraph_sdl is None or theirs.sdl is None:
        return []
    found = differences(supergraph_shape(ours.supergraph_sdl), supergraph_shape(theirs.sdl))
    api = api_shape(read_supergraph(ours.supergraph_sdl).api_schema)
    lines = [f"{name}: supergraph at {at}" for at in found]
    lines += [
        f"{name}: API at {at}" for at in (differences(api, api_shape(theirs.api)) if theirs.api else ())
    ]
    hints = {hint.code for hint in ours.hints} ^ theirs.hints
    return lines + [f"{name}: hint {code}" for code in sorted(hints)]


def unexplained(composers: Composers, sets: Mapping[str, list[SubgraphSource]]) -> tuple[list[str], set[str]]:
    """The differences that no list explains, and the names of the sets that differ at all."""
    theirs = dict(zip(sets, composers.compose("apollo", list(sets.values())), strict=True))
    found = {name: told_apart(name, compose(sources), theirs[name]) for name, sources in sets.items()}
    explained = {"codes": OTHER_CODES, "supergraph": OTHER_WORDS, "hint": MORE_HINTS}
    lines = [
        line
        for name, differing in found.items()
        for line in differing
        if name not in explained.get(line.split(": ")[1].split()[0], ())
    ]
    return lines, {name for name, differing in found.items() if differing}


def test_cases_compose_as_elsewhere_or_the_difference_is_explained(composers: Composers) -> None:
    lines, differing = unexplained(composers, CASES)
    assert lines == []
    # What is explained still differs: an explanation that nothing needs any more goes.
    assert {*OTHER_CODES, *OTHER_WORDS, *MORE_HINTS} == differing


@pytest.mark.nightly
def test_sets_of_the_other_suites_compose_as_elsewhere(composers: Composers) -> None:
    lines, _ = unexplained(composers, ELSEWHERE)
    assert lines == []
    assert len(ELSEWHERE) > 80


def supergraphs(sets: Mapping[str, list[SubgraphSource]]) -> dict[str, str]:
    composed = {name: compose(sources).supergraph_sdl for name, sources in sets.items()}
    return {name: sdl for name, sdl in composed.items() if sdl is not None}


def not_loaded(composers: Composers, router: str, sdls: Mapping[str, str]) -> dict[str, str]:
    """The supergraphs that the router cannot take, or whose API it reads otherwise; why."""
    faults = {}
    for (name, sdl), (api, error) in zip(
        sdls.items(), composers.load(router, list(sdls.values())), strict=True
    ):
        if error is not None:
            faults[name] = error
        elif router == "apollo" and api is not None:
            apart = differences(api_shape(read_supergraph(sdl).api_schema), api_shape(api))
            faults.update(dict.fromkeys([name] if apart else [], f"API at {sorted(apart)}"))
    return {name: fault for name, fault in faults.items() if (router, name) not in NOT_LOADED}


def test_another_router_loads_and_plans_over_our_supergraphs(composers: Composers) -> None:
    """A tenth of them, and what is published; all of them nightly."""
    some = {name: CASES[name] for name in [*sorted(CASES)[::10], "published"]}
    assert not_loaded(composers, "apollo", supergraphs(some)) == {}


@pytest.mark.nightly
@pytest.mark.parametrize("router", ["apollo", "graphqlTools"])
def test_other_routers_load_every_supergraph_of_ours(composers: Composers, router: str) -> None:
    sdls = supergraphs(SETS)
    assert len(sdls) > 200
    assert not_loaded(composers, router, sdls) == {}


@pytest.mark.nightly
def test_where_we_accept_or_refuse_alone_is_explained(composers: Composers) -> None:
    """Three other composers; two of them know fewer features, and each has opinions of its own."""
    opinions = [composers.compose(by, list(SETS.values())) for by in ("apollo", "guild", "wundergraph")]
    alone = set()
    for place, (name, sources) in enumerate(SETS.items()):
        accepts = compose(sources).supergraph_sdl is not None
        if all((opinion[place].sdl is not None) != accepts for opinion in opinions):
            alone.add(name)
    assert alone - OTHER_CODES.keys() == set()
    assert alone
