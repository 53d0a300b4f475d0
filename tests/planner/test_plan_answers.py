"""Case folders with data of their own: answers, errors, call counts, and plans that were agreed on."""

from __future__ import annotations

import pytest

from router.errors import ClientError
from router.execution.transports.http import HttpTransport
from schema.supergraph import read_supergraph
from tests.kit_federation.case_files import CaseFile, OwedAnswer, case_subgraphs, read_case
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.serving import serving
from tests.kit_planner.cases import CASES, expect_text

NAMES = sorted(path.parent.name for path in CASES.glob("*/answers.yaml"))


def case_of(name: str) -> CaseFile:
    return read_case("answers", CASES / name)


NUMBERED = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name in NAMES
    for number in range(len(case_of(name).tests))
]

OTHERS = [
    pytest.param(path.parent.parent.name, path.stem, id=f"{path.parent.parent.name}-{path.stem}")
    for path in sorted(CASES.glob("*/others/*.graphql"))
]


async def assert_answered(federation: Federation, owed: OwedAnswer, transport: HttpTransport | None) -> None:
    answer = await federation.ask(owed.query, owed.variables, transport=transport)
    assert answer.data == owed.data, answer.errors
    assert bool(answer.errors) == owed.errors, answer.errors
    if owed.calls is not None:
        assert federation.calls() == owed.calls


@pytest.mark.parametrize(("name", "number"), NUMBERED)
async def test_the_answer_and_the_calls_are_those_owed(name: str, number: int) -> None:
    case = case_of(name)
    await assert_answered(federation_of(case_subgraphs(case)), case.tests[number], None)


@pytest.mark.parametrize("name", NAMES)
async def test_the_same_over_http(name: str) -> None:
    case = case_of(name)
    federation = federation_of(case_subgraphs(case))
    async with serving(federation.subgraphs) as urls:
        transport = HttpTransport(urls)
        for owed in case.tests:
            for subgraph in federation.subgraphs:
                subgraph.calls.clear()
            await assert_answered(federation, owed, transport)
        await transport.close()


@pytest.mark.parametrize(("name", "composer"), OTHERS)
async def test_the_same_by_the_supergraphs_of_other_composers(name: str, composer: str) -> None:
    case = case_of(name)
    supergraph = read_supergraph((CASES / name / "others" / f"{composer}.graphql").read_text())
    for owed in case.tests:
        await assert_answered(Federation(tuple(case_subgraphs(case)), supergraph), owed, None)


@pytest.mark.parametrize("name", NAMES)
def test_the_plans_are_as_agreed(name: str) -> None:
    case = case_of(name)
    federation = federation_of(case_subgraphs(case))
    plans = [f"# {owed.query}\n{plan_or_refusal(federation, owed.query)}" for owed in case.tests]
    expect_text(CASES / name / "plans.txt", "\n\n".join(plans))


def plan_or_refusal(federation: Federation, query: str) -> str:
    try:
        return str(federation.plan(query))
    except ClientError as refusal:
        return "refused: " + "; ".join(str(entry["message"]) for entry in refusal.all_to_graphql())
