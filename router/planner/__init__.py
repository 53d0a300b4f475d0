"""Operations → query plans: paths over the query graph, choice by cost, fetch groups, passes, plan."""

from router.planner.limits import DEFAULT_LIMITS, PlannerLimits
from router.planner.planning import (
    Explanation,
    PlanTakesLong,
    explain_operation,
    plan_operation,
    query_graph_of,
)
from router.planner.print_plan import plan_to_json, print_plan

__all__ = [
    "DEFAULT_LIMITS",
    "Explanation",
    "PlanTakesLong",
    "PlannerLimits",
    "explain_operation",
    "plan_operation",
    "plan_to_json",
    "print_plan",
    "query_graph_of",
]
