"""Conformance: every suite of the federation audit, from subgraph SDL to answer, over both transports."""

from __future__ import annotations

from typing import Any

import pytest

from router.execution import GraphQLResponse
from router.execution.transports.http import HttpTransport
from tests.kit_federation.audit_suites import audit_subgraphs, audit_suites, audit_tests
from tests.kit_federation.federation import federation_of
from tests.kit_federation.serving import serving

CASES = [
    pytest.param(suite, number, id=f"{suite}-{number}")
    for suite in audit_suites()
    for number in range(len(audit_tests(suite)))
]


def judge(answer: GraphQLResponse, owed: dict[str, Any]) -> None:
    """`data` must be equal (list order counts, key order does not); errors must be there as owed."""
    if "data" in owed:
        assert answer.data == owed["data"], answer.errors
    else:
        assert answer.data is None
    assert bool(answer.errors) == owed.get("errors", False), answer.errors


@pytest.mark.parametrize(("suite", "number"), CASES)
async def test_in_process(suite: str, number: int) -> None:
    federation = federation_of(audit_subgraphs(suite))
    owed = audit_tests(suite)[number]
    judge(await federation.ask(owed["query"], owed.get("variables")), owed)


@pytest.mark.parametrize(("suite", "number"), CASES)
async def test_over_http(suite: str, number: int) -> None:
    federation = federation_of(audit_subgraphs(suite))
    owed = audit_tests(suite)[number]
    async with serving(federation.subgraphs) as urls:
        transport = HttpTransport(urls)
        answer = await federation.ask(owed["query"], owed.get("variables"), transport=transport)
        await transport.close()
    judge(answer, owed)
