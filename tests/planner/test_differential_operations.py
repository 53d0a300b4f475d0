"""Random operations over every case: federated answer ≡ the answer of one schema that knows everything."""

from __future__ import annotations

from random import Random

import pytest
from graphql import parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit_planner.cases import Case, audit_names, case_names, load_case
from tests.kit_planner.compare import assert_answers_the_truth
from tests.kit_planner.operations import Operations

NAMES = [*case_names(), *(f"audit/{name}" for name in audit_names())]
# Cases of which some operations cannot be planned, as intended: a field with no single way in.
REFUSING = {"audit/corrupted-supergraph-node-id", "audit/non-resolvable-interface-object"}

_cases: dict[str, Case] = {}


def _case(name: str) -> Case:
    if name not in _cases:
        _cases[name] = load_case(name)
    return _cases[name]


async def _compare(name: str, random: Random, salt: int) -> None:
    case = _case(name)
    schema = case.supergraph.api_schema
    kind = "mutation" if schema.mutation_type is not None and random.random() < 0.3 else "query"
    query, variables = Operations(schema, random, kind=kind, depth_max=random.randint(2, 5)).draw()
    if not validate(schema, parse(query)):
        await assert_answers_the_truth(case, query, variables, salt=salt, may_refuse=name in REFUSING)


@pytest.mark.parametrize("name", NAMES)
async def test_drawn_operations_are_answered_as_by_one_schema(name: str) -> None:
    for seed in range(6):
        await _compare(name, Random(seed), salt=seed % 5)


@pytest.mark.parametrize(
    "name", ["everyday_mix", "keys_from_merged_lists", "requires_in_chains", "typenames"]
)
async def test_deferred_fragments_change_when_not_what(name: str) -> None:
    case = _case(name)
    for seed in range(8):
        query, variables = Operations(case.supergraph.api_schema, Random(seed), defers=True).draw()
        at_once = query.replace("@defer", "")
        if validate(case.supergraph.api_schema, parse(at_once)):
            continue
        world, federation = case.federation(seed % 5)
        answer = await federation.ask(query, variables)
        assert answer.errors == (), f"{query}\n{federation.plan(query)}"
        assert answer.data == world.monolith(at_once, variables).data


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), name=st.sampled_from(NAMES), salt=st.integers(0, 9))
async def test_operations_found_by_search_are_answered_as_by_one_schema(
    random: Random, name: str, salt: int
) -> None:
    await _compare(name, random, salt)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
async def test_many_drawn_operations_are_answered_as_by_one_schema(name: str) -> None:
    for seed in range(1_000, 1_600):
        await _compare(name, Random(seed), salt=seed % 11)
