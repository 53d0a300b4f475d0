"""Our own federation cases: answers and call counts, from subgraph SDL to answer, over both transports."""

from __future__ import annotations

import pytest

from router.execution.transports.http import HttpTransport
from tests.kit_federation.case_files import OwedAnswer, case_names, case_subgraphs, read_case
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.serving import serving

CASES = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name in case_names()
    for number in range(len(read_case(name).tests))
]


def case(name: str, number: int) -> tuple[Federation, OwedAnswer]:
    it = read_case(name)
    return federation_of(case_subgraphs(it)), it.tests[number]


@pytest.mark.parametrize(("name", "number"), CASES)
async def test_in_process(name: str, number: int) -> None:
    federation, owed = case(name, number)
    answer = await federation.ask(owed.query, owed.variables)
    assert answer.data == owed.data, answer.errors
    assert bool(answer.errors) == owed.errors, answer.errors
    if owed.calls is not None:
        assert federation.calls() == owed.calls


@pytest.mark.parametrize(("name", "number"), CASES)
async def test_over_http(name: str, number: int) -> None:
    federation, owed = case(name, number)
    async with serving(federation.subgraphs) as urls:
        transport = HttpTransport(urls)
        answer = await federation.ask(owed.query, owed.variables, transport=transport)
        await transport.close()
    assert answer.data == owed.data, answer.errors
    assert bool(answer.errors) == owed.errors, answer.errors
