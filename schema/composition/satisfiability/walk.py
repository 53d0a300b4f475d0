"""Walks every path that an operation can take, and reports where no subgraph can go on.

A step is a concrete type and the subgraphs that can hold it there, hops by key included. A step that was
taken
before with fewer subgraphs is not taken again: more subgraphs can only make more fields reachable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from schema.composition.merge.model import MergedField
from schema.composition.post_merge.inaccessible import is_hidden
from schema.composition.satisfiability.explain import unreachable
from schema.composition.satisfiability.mutations import shared_mutations
from schema.composition.satisfiability.reach import Reach
from schema.composition.satisfiability.runtime_types import compare_runtime_types
from schema.composition.satisfiability.step import Step
from schema.composition.satisfiability.view import GraphView, State, States
from schema.composition.subgraph import ROOTS, Kind
from schema.federation.type_refs import named
from schema.problems import Problem, Severity

STEPS_MAX = 1_000_000
PROBLEMS_MAX = 50


@dataclass(frozen=True, slots=True)
class Failure:
    """What cannot be obtained, and the undecided override labels that could change that."""

    problem: Problem
    asked: frozenset[str] = frozenset()


@dataclass(slots=True)
class Walk:
    """One walk in one view of the graph: what failed, by type and field, and what deserves a hint."""

    reach: Reach
    queue: deque[Step] = field(default_factory=deque)
    visited: dict[str, list[States]] = field(default_factory=dict)
    entered: set[tuple[str, States]] = field(default_factory=set)
    failed: dict[tuple[str, str], Failure] = field(default_factory=dict)
    hinted: dict[str, Problem] = field(default_factory=dict)
    steps: int = 0


def walk_all(view: GraphView) -> Walk:
    """Walk from every root, and then from each shared mutation in one of its subgraphs alone."""
    walk = Walk(Reach(view))
    for root in ROOTS:
        owner = view.merged.types.get(root)
        if owner is not None and not is_hidden(owner.directives):
            states = frozenset(State(graph, root) for graph in owner.graphs)
            _run(walk, Step(root, states, root, ()))
    view.asked.clear()
    for problem in shared_mutations(walk.reach, partial(_fails, walk.reach)):
        failure = Failure(problem, frozenset(view.asked))
        walk.failed.setdefault((problem.coordinate or "", "mutation"), failure)
    return walk


def _fails(reach: Reach, step: Step) -> list[Problem]:
    """What cannot be obtained from one step on, walked apart from everything else."""
    walk = Walk(reach)
    _run(walk, step)
    reach.view.asked.update(*(failure.asked for failure in walk.failed.values()))
    return [failure.problem for failure in walk.failed.values()]


def _run(walk: Walk, start: Step) -> None:
    view = walk.reach.view
    walk.queue.append(start)
    while walk.queue and len(walk.failed) < PROBLEMS_MAX:
        step = walk.queue.popleft()
        view.asked.clear()
        reached = walk.reach.reached(step.type, step.states)
        seen = walk.visited.setdefault(step.type, [])
        if any(earlier <= reached for earlier in seen):
            continue
        seen.append(reached)
        walk.steps += 1
        if walk.steps > STEPS_MAX:
            walk.failed["", ""] = Failure(
                Problem(
                    "MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED",
                    f"more than {STEPS_MAX} paths through the subgraphs; not all operations could be checked",
                )
            )
            return
        _visit(walk, replace(step, asked=step.asked | view.asked), reached)


def _visit(walk: Walk, step: Step, reached: States) -> None:
    view = walk.reach.view
    for item in view.merged.types[step.type].fields.values():
        if is_hidden(item.directives):
            continue
        target = view.merged.types.get(named(item.type))
        if target is not None and is_hidden(target.directives):
            continue
        for assumed in view.choices(step.type, item.name):
            _follow(walk, step, item, reached, assumed)


def _follow(
    walk: Walk,
    step: Step,
    item: MergedField,
    reached: States,
    assumed: Mapping[str, bool],
) -> None:
    """Go into one field, whose own labels are as `assumed`."""
    view = walk.reach.view
    view.asked.clear()
    found = walk.reach.resolving(step.type, reached, item.name, assumed)
    asked = step.asked | view.asked
    if not found:
        if (step.type, item.name) not in walk.failed:
            problem = unreachable(walk.reach, step, item, reached)
            walk.failed[step.type, item.name] = Failure(problem, asked)
        return
    target = view.merged.types.get(named(item.type))
    if target is None:
        return
    if target.kind in (Kind.INTERFACE, Kind.UNION):
        _compare_runtime_types(walk, step, item, found)
    if (target.name, found) not in walk.entered:
        walk.entered.add((target.name, found))
        walk.queue.extend(_next_steps(walk.reach, step, item, found, asked=asked))


def _compare_runtime_types(walk: Walk, step: Step, item: MergedField, found: States) -> None:
    finding = compare_runtime_types(walk.reach.view, step, item, found)
    if finding is None:
        return
    if finding.severity is Severity.ERROR:
        walk.failed.setdefault((step.type, item.name), Failure(finding))
    else:
        walk.hinted.setdefault(finding.coordinate or "", finding)


def _next_steps(
    reach: Reach, step: Step, item: MergedField, states: States, *, asked: frozenset[str]
) -> Iterator[Step]:
    types = reach.view.merged.types
    name = named(item.type)
    if types[name].kind is Kind.OBJECT:
        yield step.into(item, name, states, fragment=None, asked=asked)
    elif types[name].kind in (Kind.INTERFACE, Kind.UNION):
        for concrete, narrowed in reach.expand(states).items():
            if not is_hidden(types[concrete].directives):
                yield step.into(item, concrete, narrowed, fragment=concrete, asked=asked)
