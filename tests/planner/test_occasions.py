"""When requests are made: decisions hold on each of their occasions and on no other."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from router.operation.model import Condition, OperationKind
from router.planner.occasions import COPIES_MAX, decidable, decision, simplest
from router.planner.plan import ConditionNode, Fetch, PlanNode
from tests.kit_planner.cases import load_case, plan_of

FETCH = Fetch(0, "a", OperationKind.QUERY, "{x}")
CONDITIONS = st.lists(
    st.builds(Condition, st.sampled_from("abc"), st.booleans()), max_size=3, unique_by=lambda c: c.variable
).map(lambda found: tuple(sorted(found, key=lambda c: c.variable)))


def made(node: PlanNode | None, values: dict[str, bool]) -> int:
    if node is None:
        return 0
    if isinstance(node, ConditionNode):
        return made(node.if_clause if values[node.variable] else node.else_clause, values)
    return 1


@given(st.frozensets(CONDITIONS, max_size=4))
def test_a_request_is_made_once_on_each_of_its_occasions_and_on_no_other(
    occasions: frozenset[tuple[Condition, ...]],
) -> None:
    node = decision(occasions, FETCH)
    for truths in product((True, False), repeat=3):
        values = dict(zip("abc", truths, strict=True))
        wanted = any(all(values[c.variable] is not c.negated for c in one) for one in occasions)
        assert made(node, values) == wanted


def test_an_occasion_that_another_includes_says_nothing() -> None:
    a, b = Condition("a", negated=False), Condition("b", negated=True)
    assert simplest([(a,), (a, b)]) == {(a,)}
    assert simplest([(), (a,)]) == {()}


def test_decisions_with_many_branches_are_left_apart() -> None:
    several = [(Condition(name, negated=False),) for name in "abcdef"]
    assert decidable(several[:COPIES_MAX])
    assert not decidable(several)


def test_visits_that_send_the_same_under_different_conditions_are_one_request() -> None:
    supergraph = load_case("everyday_mix").supergraph
    plan = str(
        plan_of(
            supergraph,
            "query ($a: Boolean!, $b: Boolean!) "
            "{ topProducts { name inStock @include(if: $a) also: inStock @include(if: $b) } }",
        )
    )
    assert "Include(if: $a)" in plan
    assert "Include(if: $b)" in plan
    assert plan.count("inStock @include(if: $a)") == plan.count("also: inStock @include(if: $b)") == 2
