"""Each call of each request broken in each way: the rest of the answer stands, the errors say where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit_federation.audit_suites import audit_subgraphs, audit_suites, audit_tests
from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.faults import FAULTS, FaultyTransport
from tests.kit_federation.federation import Federation, federation_of

CALLS_MAX = 12
STATEFUL = ("mutations_in_order", "query_inside_mutation")
"""Cases whose second run answers something else."""


def is_part(answer: Any, whole: Any) -> bool:
    """Whether `answer` is `whole` with some values null: nothing invented, nothing moved.

    Keys may be absent: where the fetch that tells an object's type is lost, so are its fragments.
    """
    if answer is None:
        return True
    if isinstance(answer, dict):
        return (
            isinstance(whole, dict)
            and answer.keys() <= whole.keys()
            and all(is_part(answer[key], whole[key]) for key in answer)
        )
    if isinstance(answer, list):
        return isinstance(whole, list) and len(answer) == len(whole) and all(map(is_part, answer, whole))
    return bool(answer == whole)


def leads_somewhere(path: list[str | int], answer: Any) -> bool:
    """Whether the path is one of the answer, or of what became null in it; list marks may be left out."""
    for element in path:
        while isinstance(answer, list) and isinstance(element, str):
            answer = next((it for it in answer if it is not None), None)
        if answer is None:
            return True
        if isinstance(element, int):
            if not isinstance(answer, list) or element >= len(answer):
                return False
            answer = answer[element]
        elif not isinstance(answer, dict) or element not in answer:
            return False
        else:
            answer = answer[element]
    return True


def audited(suite: str) -> Iterator[tuple[Federation, str, dict[str, Any]]]:
    for test in audit_tests(suite):
        if not test.get("errors"):
            yield federation_of(audit_subgraphs(suite)), test["query"], test.get("variables", {})


def own(name: str) -> Iterator[tuple[Federation, str, dict[str, Any]]]:
    case = read_case(name)
    for test in case.tests:
        # what a mutation changed is there the next time: its answers cannot be compared
        if not test.errors and not test.query.startswith("mutation"):
            yield federation_of(case_subgraphs(case)), test.query, test.variables


async def break_each_call(federation: Federation, query: str, variables: dict[str, Any]) -> None:
    compiled = federation.compiled(query)
    whole = await federation.run(compiled, variables)
    for number in range(CALLS_MAX):
        for fault in FAULTS:
            transport = FaultyTransport(federation.in_process(), number, fault)
            answer = await federation.run(compiled, variables, transport=transport)
            if transport.broken is None:
                return
            at = f"{fault.__name__} at call {number} to {transport.broken.service}\n{query}"
            assert is_part(answer.data, whole.data), f"{at}\n{answer.data}\n{whole.data}"
            assert answer.errors, at
            assert {it["extensions"]["service"] for it in answer.errors} == {transport.broken.service}, at
            assert all(leads_somewhere(it.get("path", []), answer.data) for it in answer.errors), (
                f"{at}\n{answer}"
            )
            assert "secret" not in str(answer.errors)


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_an_audited_answer_survives_each_broken_call(suite: str) -> None:
    for federation, query, variables in audited(suite):
        await break_each_call(federation, query, variables)


@pytest.mark.parametrize("name", [it for it in case_names() if it not in STATEFUL])
async def test_an_answer_of_ours_survives_each_broken_call(name: str) -> None:
    for federation, query, variables in own(name):
        await break_each_call(federation, query, variables)
