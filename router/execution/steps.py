"""Plan nodes, compiled: each step runs itself against a `Run`. Built once a plan, shared by all requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from router.errors import PlanInvariantBroken
from router.execution.fetches import ContextualFetch, EntityFetch, RootFetch
from router.execution.paths import TreePath
from router.execution.run import Run
from router.execution.sharing import Sharing
from router.execution.together import run_together
from router.execution.type_facts import TypeFacts
from router.planner import plan
from router.planner.plan import PathStep, PlanNode


class Step(Protocol):
    """Something to do for an answer: reads and merges `run.root`; a subgraph's failure raises nothing."""

    async def run(self, run: Run) -> None:
        """Do it; return when everything of it is merged."""
        ...


class InOrder:
    """Steps of which a later one reads what an earlier one merged."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    async def run(self, run: Run) -> None:
        """Run them one after another."""
        for step in self._steps:
            await step.run(run)


class SideBySide:
    """Steps that need nothing of each other."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    async def run(self, run: Run) -> None:
        """Run them together."""
        await run_together([step.run(run) for step in self._steps])


class Choice:
    """One of two branches, by a Boolean variable."""

    __slots__ = ("_if_false", "_if_true", "_variable")

    def __init__(self, variable: str, if_true: Step | None, if_false: Step | None) -> None:
        self._variable = variable
        self._if_true = if_true
        self._if_false = if_false

    async def run(self, run: Run) -> None:
        """Run the branch that the variable chooses, if there is one."""
        chosen = self._if_true if run.variables.get(self._variable) else self._if_false
        if chosen is not None:
            await chosen.run(run)


def compile_node(node: PlanNode, facts: TypeFacts, under: tuple[PathStep, ...] = ()) -> Step:
    """The step of a plan node; `under` is the path of the flatten nodes around it.

    Errors: `PlanInvariantBroken` for a node that cannot stand where it stands.
    """
    match node:
        case plan.Fetch():
            return compile_fetch(node, facts, under)
        case plan.Flatten(path, inner):
            return compile_node(inner, facts, (*under, *path))
        case plan.Sequence(nodes):
            return InOrder([compile_node(it, facts, under) for it in nodes])
        case plan.Parallel(nodes):
            return SideBySide([compile_node(it, facts, under) for it in nodes])
        case plan.ConditionNode(variable, if_clause, else_clause):
            return Choice(
                variable,
                None if if_clause is None else compile_node(if_clause, facts, under),
                None if else_clause is None else compile_node(else_clause, facts, under),
            )
        case plan.Defer(primary, deferred):
            # without incremental delivery, deferred parts are simply what comes later
            parts = [it for it in (primary, *(part.node for part in deferred)) if it is not None]
            return InOrder([compile_node(it, facts, under) for it in parts])
        case plan.Subscription():
            raise PlanInvariantBroken("a subscription is not part of another node")


def compile_fetch(
    fetch: plan.Fetch,
    facts: TypeFacts,
    under: tuple[PathStep, ...] = (),
    sharing: Sharing | None = None,
) -> RootFetch | EntityFetch:
    """The step of one fetch: of entities where it requires something, of root fields otherwise."""
    path = TreePath(under, facts)
    if not fetch.requires:
        return RootFetch(fetch, path, facts, sharing)
    if fetch.context_rewrites:
        return ContextualFetch(fetch, path, facts)
    return EntityFetch(fetch, (path,), facts, sharing=sharing)
