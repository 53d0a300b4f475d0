"""No call is wasted, over all cases: nothing is asked twice, and no answer is lost without a trace."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from router.execution.transport import SubgraphRequest, SubgraphResponse, SubgraphTransport
from tests.kit_federation.audit_suites import audit_subgraphs, audit_suites, audit_tests
from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.faults import FaultyTransport, unreachable
from tests.kit_federation.federation import Federation, federation_of

CALLS_MAX = 12
APART = {"{ authors { signature } person { signature __typename } }"}
"""One object on two ways that differ in what they require: the shorter does not wait for the longer."""
PART = re.compile(r"_entities\(representations:\s*\$(\w+)\)")


class RecordingTransport:
    """Passes calls on and keeps them with their answers."""

    def __init__(self, inner: SubgraphTransport) -> None:
        self._inner = inner
        self.calls: list[tuple[SubgraphRequest, SubgraphResponse]] = []

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        answer = await self._inner.fetch(request)
        self.calls.append((request, answer))
        return answer

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        return self._inner.subscribe(request)

    async def close(self) -> None:
        await self._inner.close()


def questions(request: SubgraphRequest) -> Iterator[tuple[str, str]]:
    """What is asked of which entity: the selection's text, and the representation's."""
    found = list(PART.finditer(request.query))
    ends = [it.start() for it in found[1:]]
    for part, end in zip(found, [*ends, len(request.query)][: len(found)], strict=True):
        selection = re.sub(r"\s*_e\d+:\s*$", "", request.query[part.end() : end])
        for one in request.variables[part[1]]:
            yield selection.rstrip("} "), json.dumps(one, sort_keys=True)


def says_something(value: Any) -> bool:
    """Whether an answer holds any value besides nulls, type names and empty lists."""
    if isinstance(value, dict):
        return any(says_something(it) for key, it in value.items() if "typename" not in key)
    return any(map(says_something, value)) if isinstance(value, list) else value is not None


async def assert_nothing_wasted(federation: Federation, query: str, variables: dict[str, Any]) -> None:
    compiled = federation.compiled(query)
    recorder = RecordingTransport(federation.in_process())
    whole = await federation.run(compiled, variables, transport=recorder)
    asked: set[tuple[str, str, str]] = set()
    for request, _ in recorder.calls:
        for selection, representation in questions(request):
            question = (request.service, selection, representation)
            assert question not in asked or " ".join(query.split()) in APART, (
                f"asked twice: {question}\n{query}"
            )
            asked.add(question)
    assert len(recorder.calls) <= CALLS_MAX
    for number in range(len(recorder.calls)):
        transport = FaultyTransport(federation.in_process(), number, unreachable)
        answer = await federation.run(compiled, variables, transport=transport)
        broken = transport.broken
        if answer.data == whole.data and broken is not None:
            # calls side by side may change places: the answer is found by its question
            told = next(it for request, it in recorder.calls if request.query == broken.query)
            assert not says_something(told.data), f"wasted: {broken.query}\n{query}"


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_no_audited_operation_wastes_a_call(suite: str) -> None:
    for test in audit_tests(suite):
        if not test.get("errors"):
            federation = federation_of(audit_subgraphs(suite))
            await assert_nothing_wasted(federation, test["query"], test.get("variables", {}))


@pytest.mark.parametrize(
    "name", [it for it in case_names() if not it.startswith(("mutations", "query_inside"))]
)
async def test_no_operation_of_ours_wastes_a_call(name: str) -> None:
    case = read_case(name)
    for test in case.tests:
        if not test.errors and not test.query.startswith("mutation"):
            await assert_nothing_wasted(federation_of(case_subgraphs(case)), test.query, test.variables)
