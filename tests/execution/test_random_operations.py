"""Random operations: the whole answer agrees with what each of its leaves is answered alone."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from router.errors import ClientError
from router.execution import GraphQLResponse
from tests.kit_federation.audit_suites import audit_subgraphs, audit_suites
from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.random_operations import OperationSource, operation_of, single_leaves

VALUES = {
    "ID": ['"p1"', '"u1"', '"a1"', '"c1"', '"o1"', '"t1"'],
    "String": ['"USD"', '"EUR"', '"c1"', '"a1"'],
}


def holds(whole: Any, part: Any) -> bool:
    """Whether every value of `part` is in `whole` at its place."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and holds(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


async def ask(federation: Federation, query: str) -> GraphQLResponse | None:
    """The answer; None where the operation is not valid or cannot be planned."""
    try:
        return await federation.run(federation.compiled(query))
    except ClientError:
        return None


async def compare(federation: Federation, seed: int, count: int) -> None:
    source = OperationSource(federation.supergraph.api_schema, VALUES, seed)
    for _ in range(count):
        nodes = source.draw()
        query = operation_of(nodes)
        try:
            federation.normal(query)
        except ClientError:
            continue  # names that conflict: not an operation
        whole = await ask(federation, query)
        for leaf in single_leaves(nodes):
            single = operation_of(leaf)
            part = await ask(federation, single)
            if part is None:
                assert whole is None, f"answered whole, refused in part\n{query}\n{single}"
                break
            if whole is not None and not whole.errors and not whole.extensions:
                assert not part.errors, f"{query}\n{single}\n{part.errors}"
                assert holds(whole.data, part.data), f"{query}\n{single}\n{whole.data}\n{part.data}"
        else:
            assert whole is not None, f"refused whole, answered in every part\n{query}"


def seed_of(name: str) -> int:
    return zlib.crc32(name.encode())


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_an_audited_graph_answers_wholes_as_their_parts(suite: str) -> None:
    await compare(federation_of(audit_subgraphs(suite)), seed_of(suite), 4)


@pytest.mark.parametrize("name", case_names())
async def test_a_graph_of_ours_answers_wholes_as_their_parts(name: str) -> None:
    await compare(federation_of(case_subgraphs(read_case(name))), seed_of(name), 4)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_an_audited_graph_answers_many_wholes_as_their_parts(suite: str) -> None:
    await compare(federation_of(audit_subgraphs(suite)), seed_of(suite) + 1, 1_000)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", case_names())
async def test_a_graph_of_ours_answers_many_wholes_as_their_parts(name: str) -> None:
    await compare(federation_of(case_subgraphs(read_case(name))), seed_of(name) + 1, 1_000)
