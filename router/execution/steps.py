"""Plan nodes, compiled: each step runs itself against a `Run`. Built once a plan, shared by all requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from router.errors import PlanInvariantBroken
from router.execution.fetches import ContextualFetch, EntityFetch, RootFetch
from router.execution.paths import TreePath
from router.execution.run import Run
from router.execution.together import run_together
from router.execution.type_facts import TypeFacts
from router.planner import plan
from router.planner.plan import PathStep, PlanNode

_OPERATION_NAME: Final = re.compile(r"^\s*(query)\s+[_A-Za-z][_0-9A-Za-z]*")


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
            return _side_by_side(nodes, facts, under)
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
    fetch: plan.Fetch, facts: TypeFacts, under: tuple[PathStep, ...] = ()
) -> RootFetch | EntityFetch:
    """The step of one fetch: of entities where it requires something, of root fields otherwise."""
    path = TreePath(under, facts)
    if not fetch.requires:
        return RootFetch(fetch, path, facts)
    if fetch.context_rewrites:
        return ContextualFetch(fetch, path, facts)
    return EntityFetch(fetch, (path,), facts)


def _side_by_side(nodes: Sequence[PlanNode], facts: TypeFacts, under: tuple[PathStep, ...]) -> Step:
    """Parallel branches; those that begin by asking the same subgraph the same begin with one call.

    What follows a joined fetch in its branches follows the call, side by side, and is joined alike.
    """
    branches = [_begun(node) for node in nodes]
    together: dict[object, list[_Branch]] = {}
    for number, branch in enumerate(branches):
        key = _question(branch.fetch) if branch.fetch is not None else number
        together.setdefault(key, []).append(branch)
    steps: list[Step] = []
    for same in together.values():
        first = same[0]
        if len(same) == 1 or first.fetch is None:
            steps += [compile_node(it.node, facts, under) for it in same]
            continue
        paths = [TreePath((*under, *it.path), facts) for it in same]
        joined: Step = EntityFetch(first.fetch, paths, facts)
        rest = [it.rest for it in same if it.rest is not None]
        steps.append(InOrder([joined, _side_by_side(rest, facts, under)]) if rest else joined)
    return steps[0] if len(steps) == 1 else SideBySide(steps)


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch, and if it begins with an entity fetch: that fetch, its path, what follows it."""

    node: PlanNode
    fetch: plan.Fetch | None = None
    path: tuple[PathStep, ...] = ()
    rest: PlanNode | None = None


def _begun(node: PlanNode) -> _Branch:
    match node:
        case plan.Flatten(path, plan.Fetch() as fetch) if fetch.requires and not fetch.context_rewrites:
            return _Branch(node, fetch, path)
        case plan.Sequence((plan.Flatten() as head, *rest)):
            begun = _begun(head)
            following = plan.Sequence(tuple(rest)) if len(rest) > 1 else rest[0] if rest else None
            return _Branch(node, begun.fetch, begun.path, following)
    return _Branch(node)


def _question(fetch: plan.Fetch) -> object:
    """Equal for fetches that ask the same: everything but their number and the operation's name."""
    return (
        fetch.service,
        _OPERATION_NAME.sub(r"\1", fetch.operation, count=1),
        fetch.variable_usages,
        fetch.requires,
        fetch.input_rewrites,
        fetch.output_rewrites,
    )
