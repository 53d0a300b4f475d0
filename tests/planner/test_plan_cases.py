"""Every case folder: the plan is the one that was read and agreed on, and its answer is the truth."""

from __future__ import annotations

import pytest

from router.operation.variables import coerce
from tests.kit_planner.cases import CASES, case_names, expect_text, load_case, plan_of, query_of
from tests.kit_planner.compare import assert_answers_the_truth


@pytest.mark.parametrize("name", case_names())
def test_the_plan_is_as_agreed(name: str) -> None:
    plan = plan_of(load_case(name).supergraph, query_of(name))
    expect_text(CASES / name / "plan.txt", str(plan))


@pytest.mark.parametrize("name", [name for name in case_names() if not name.startswith("subscription")])
async def test_the_answer_is_the_truth(name: str) -> None:
    case = load_case(name)
    operation = case.federation()[1].normal(query_of(name))
    variables = coerce({}, operation.variables, case.supergraph.api_schema)
    for salt in range(4):
        await assert_answers_the_truth(case, query_of(name), variables, salt=salt)


@pytest.mark.parametrize("name", case_names())
def test_the_same_operation_always_gets_the_same_plan(name: str) -> None:
    assert str(plan_of(load_case(name).supergraph, query_of(name))) == str(
        plan_of(load_case(name).supergraph, query_of(name))
    )
