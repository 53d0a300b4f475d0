"""Compares a federated answer with the truth, and looks for requests that were for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from router.planner.plan import (
    ConditionNode,
    Defer,
    Fetch,
    Flatten,
    Parallel,
    PathStep,
    PlanNode,
    QueryPlan,
    Sequence,
    Subscription,
)
from tests.kit_planner.cases import Case


async def assert_answers_the_truth(
    case: Case, query: str, variables: Mapping[str, Any], *, salt: int = 0, may_refuse: bool = False
) -> bool:
    """The federated answer is that of one schema that knows everything; False where it was refused.

    `may_refuse`: the case has operations that no plan can answer; they must fail whole.
    """
    world, federation = case.federation(salt)
    truth = world.monolith(query, variables)
    answer = await federation.ask(query, variables)
    messages = [str(error["message"]) for error in answer.errors]
    if may_refuse and messages and messages[0].startswith("no way through the subgraphs"):
        assert answer.data is None
        return False
    assert messages == [], f"{case.name}: {query}\n{federation.plan(query)}"
    assert truth.errors is None
    assert _sorted(answer.data) == _sorted(truth.data), f"{case.name}: {query}\n{federation.plan(query)}"
    assert_nothing_asked_twice(federation.plan(query))
    return True


def assert_nothing_asked_twice(plan: QueryPlan) -> None:
    """No two requests to one subgraph at one place send the same representations, unless conditions part
    them."""
    sent = [
        (fetch.service, path, fetch.requires, conditions)
        for fetch, path, conditions in fetches(plan.node)
        if fetch.requires
    ]
    assert len(sent) == len(set(sent)), str(plan)


def fetches(
    node: PlanNode | None, path: tuple[PathStep, ...] = (), conditions: tuple[tuple[str, bool], ...] = ()
) -> Iterator[tuple[Fetch, tuple[PathStep, ...], tuple[tuple[str, bool], ...]]]:
    """Every request of a plan, with its place and the variables that decide on it."""
    match node:
        case Fetch():
            yield node, path, conditions
        case Flatten(below, inner):
            yield from fetches(inner, (*path, *below), conditions)
        case Sequence(nodes) | Parallel(nodes):
            for one in nodes:
                yield from fetches(one, path, conditions)
        case ConditionNode(variable, if_clause, else_clause):
            yield from fetches(if_clause, path, (*conditions, (variable, True)))
            yield from fetches(else_clause, path, (*conditions, (variable, False)))
        case Subscription(primary, rest):
            yield primary, path, conditions
            yield from fetches(rest, path, conditions)
        case Defer(primary, deferred):
            for one in (primary, *(part.node for part in deferred)):
                yield from fetches(one, path, conditions)


def _sorted(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
