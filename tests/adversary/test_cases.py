"""The adversary's cases in one process: answers, errors and call counts, composed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.federation import federation_of

CASES = Path(__file__).parent / "cases"
NUMBERED = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name in case_names(CASES)
    for number in range(len(read_case(name, CASES).tests))
]


@pytest.mark.parametrize(("name", "number"), NUMBERED)
async def test_the_answer_is_the_one_owed(name: str, number: int) -> None:
    case = read_case(name, CASES)
    owed = case.tests[number]
    federation = federation_of(case_subgraphs(case))
    answer = await federation.ask(owed.query, owed.variables)
    assert answer.data == owed.data, answer.errors
    assert bool(answer.errors) == owed.errors, answer.errors
    if owed.calls is not None:
        assert federation.calls() == owed.calls
