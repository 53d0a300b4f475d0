"""Random operations with `@defer` and `@stream`: put together, the parts are what is answered whole.

Both with all subgraphs well, and with each call broken in each way.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from graphql import parse, print_ast, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.identity.subject import ANONYMOUS
from router.execution import IncrementalFormat, execute_incrementally
from router.execution.transport import SubgraphTransport
from router.operation.increments import at_once
from router.operation.normalize import normalize
from router.operation.parse import parse as parse_operation
from router.operation.validate import executable_schema
from router.operation.validate import validate as validate_operation
from tests.kit_federation.faults import FAULTS, FaultyTransport
from tests.kit_federation.federation import Federation
from tests.kit_federation.incremental_client import Read, merged
from tests.kit_planner.cases import Case, audit_names, case_names, load_case
from tests.kit_planner.operations import Operations

REFUSING = {"corrupted-supergraph-node-id", "non-resolvable-interface-object"}
NAMES = [*case_names(), *(f"audit/{name}" for name in audit_names() if name not in REFUSING)]
CALLS_MAX = 6

_cases: dict[str, Case] = {}


def case_of(name: str) -> Case:
    if name not in _cases:
        _cases[name] = load_case(name)
    return _cases[name]


def drawn(case: Case, random: Random) -> tuple[str, dict[str, Any]] | None:
    """An operation with parts, its variables; None where what was drawn is not valid."""
    schema = case.supergraph.api_schema
    operations = Operations(schema, random, depth_max=random.randint(2, 5), defers=True, streams=True)
    query, variables = operations.draw()
    if "@defer" not in query and "@stream" not in query:
        return None
    return None if validate(executable_schema(schema), parse(query)) else (query, variables)


async def put_together(
    federation: Federation,
    query: str,
    variables: dict[str, Any],
    format_: IncrementalFormat,
    transport: SubgraphTransport | None = None,
) -> Read:
    stream = execute_incrementally(
        federation.compiled(query),
        variables,
        ANONYMOUS,
        transport or federation.in_process(),
        format_=format_,
    )
    return merged([it.body() async for it in stream], format_)


def plain(case: Case, query: str) -> str:
    """The same operation, of which nothing is delivered later."""
    valid = at_once(validate_operation(parse_operation(query), case.supergraph.api_schema))
    assert "@" not in normalize(valid, case.supergraph).signature.replace("@include", "").replace("@skip", "")
    return print_ast(valid.parsed.document)


async def compare(name: str, random: Random, salt: int) -> bool:
    """Whether an operation was compared."""
    case = case_of(name)
    found = drawn(case, random)
    if found is None:
        return False
    query, variables = found
    world, federation = case.federation(salt)
    truth = world.monolith(plain(case, query), variables)
    assert truth.errors is None
    for format_ in IncrementalFormat:
        read = await put_together(federation, query, variables, format_)
        assert read.errors == [], f"{name}: {query}\n{federation.plan(query)}"
        assert read.data == truth.data, f"{name} {format_}: {query}\n{federation.plan(query)}"
    return True


def is_part(answer: Any, whole: Any) -> bool:
    """Whether `answer` is `whole` with values missing or null; lists may end early."""
    if answer is None:
        return True
    if isinstance(answer, dict):
        return isinstance(whole, dict) and all(
            key in whole and is_part(value, whole[key]) for key, value in answer.items()
        )
    if isinstance(answer, list):
        return isinstance(whole, list) and len(answer) <= len(whole) and all(map(is_part, answer, whole))
    return bool(answer == whole)


async def break_each_call(name: str, random: Random, salt: int) -> bool:
    case = case_of(name)
    found = drawn(case, random)
    if found is None:
        return False
    query, variables = found
    world, federation = case.federation(salt)
    truth = world.monolith(plain(case, query), variables).data
    for number in range(CALLS_MAX):
        for fault in FAULTS:
            transport = FaultyTransport(federation.in_process(), number, fault)
            format_ = random.choice(list(IncrementalFormat))
            read = await put_together(federation, query, variables, format_, transport)
            if transport.broken is None:
                return True
            at = f"{name}: {fault.__name__} at call {number}\n{query}\n{federation.plan(query)}"
            assert is_part(read.data, truth), f"{at}\n{read.data}\n{truth}"
            services = {it["extensions"]["service"] for it in read.errors if "extensions" in it}
            assert services <= {transport.broken.service}, at
    return True


@pytest.mark.parametrize("name", NAMES)
async def test_parts_are_the_whole(name: str) -> None:
    for seed in range(3):
        await compare(name, Random(seed), salt=seed % 5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=False), name=st.sampled_from(NAMES), salt=st.integers(0, 9))
async def test_parts_found_by_search_are_the_whole(random: Random, name: str, salt: int) -> None:
    await compare(name, random, salt)


@pytest.mark.parametrize("name", ["everyday_mix", "keys_from_merged_lists", "lists_of_lists", "shared_roots"])
async def test_a_broken_call_costs_only_its_fields(name: str) -> None:
    for seed in range(3):
        await break_each_call(name, Random(seed), salt=seed % 5)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", NAMES)
async def test_many_parts_are_the_whole(name: str) -> None:
    compared = [await compare(name, Random(seed), salt=seed % 11) for seed in range(1_000, 1_300)]
    assert any(compared)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", NAMES)
async def test_many_broken_calls_cost_only_their_fields(name: str) -> None:
    for seed in range(2_000, 2_040):
        await break_each_call(name, Random(seed), salt=seed % 11)
