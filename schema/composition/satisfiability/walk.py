"""Walks every path that an operation can take, and reports where no subgraph can go on.

A step is a concrete type and the subgraphs that can hold it there, hops by key included. A step that was
taken
before with fewer subgraphs is not taken again: more subgraphs can only make more fields reachable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from schema.composition.merge.model import MergedField, MergedGraph
from schema.composition.post_merge.inaccessible import is_hidden
from schema.composition.satisfiability.explain import unreachable
from schema.composition.satisfiability.mutations import shared_mutations
from schema.composition.satisfiability.reach import Reach
from schema.composition.satisfiability.runtime_types import compare_runtime_types
from schema.composition.satisfiability.step import Step
from schema.composition.satisfiability.view import GraphView, State, States
from schema.composition.subgraph import ROOTS, Kind
from schema.composition.validate import ValidSubgraph
from schema.federation.type_refs import named
from schema.problems import Problem, Severity

STEPS_MAX = 1_000_000
PROBLEMS_MAX = 50
LABELS_TRIED_MAX = 8


@dataclass(slots=True)
class _Walk:
    reach: Reach
    queue: deque[Step] = field(default_factory=deque)
    visited: dict[str, list[States]] = field(default_factory=dict)
    entered: set[tuple[str, States]] = field(default_factory=set)
    failed: dict[tuple[str, str], Problem] = field(default_factory=dict)
    hinted: dict[str, Problem] = field(default_factory=dict)
    steps: int = 0


def check_satisfiability(
    merged: MergedGraph, subgraphs: Sequence[ValidSubgraph], problems: list[Problem], hints: list[Problem]
) -> None:
    """Add a problem for each field that some allowed operation cannot obtain, with the smallest such
    operation; and a hint for each shared field that subgraphs answer with different types.
    """
    found: dict[tuple[str, str], Problem] = {}
    for labels in _label_choices(merged):
        reach = Reach(GraphView(merged, subgraphs, labels))
        walk = _Walk(reach)
        for root in ROOTS:
            for step in _root_steps(merged, root, walk):
                _run(walk, step)
        found = {**walk.failed, **found}
        hints.extend(walk.hinted.values())
        for problem in shared_mutations(reach, partial(_fails, reach)):
            found.setdefault((problem.coordinate or "", "mutation"), problem)
    problems.extend(list(found.values())[:PROBLEMS_MAX])


def _label_choices(merged: MergedGraph) -> list[frozenset[str]]:
    labels = sorted(
        {
            join.override_label
            for owner in merged.types.values()
            for item in owner.fields.values()
            for join in item.joins
            if join.override_label
        }
    )
    singles = [frozenset({label}) for label in labels[:LABELS_TRIED_MAX]]
    return list(dict.fromkeys([frozenset[str](), *singles, frozenset(labels)]))


def _root_steps(merged: MergedGraph, root: str, walk: _Walk) -> Iterator[Step]:
    owner = merged.types.get(root)
    if owner is None or is_hidden(owner.directives):
        return
    states = frozenset(State(graph, root) for graph in owner.graphs)
    yield Step(root, states, root, ())


def _fails(reach: Reach, step: Step) -> list[Problem]:
    """What cannot be obtained from one step on, walked apart from everything else."""
    walk = _Walk(reach)
    _run(walk, step)
    return list(walk.failed.values())


def _run(walk: _Walk, start: Step) -> None:
    walk.queue.append(start)
    while walk.queue and len(walk.failed) < PROBLEMS_MAX:
        step = walk.queue.popleft()
        reached = walk.reach.reached(step.type, step.states)
        seen = walk.visited.setdefault(step.type, [])
        if any(earlier <= reached for earlier in seen):
            continue
        seen.append(reached)
        walk.steps += 1
        if walk.steps > STEPS_MAX:
            walk.failed["", ""] = Problem(
                "MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED",
                f"more than {STEPS_MAX} paths through the subgraphs; not all operations could be checked",
            )
            return
        _visit(walk, step, reached)


def _visit(walk: _Walk, step: Step, reached: States) -> None:
    merged = walk.reach.view.merged
    owner = merged.types[step.type]
    for item in owner.fields.values():
        if is_hidden(item.directives):
            continue
        target = merged.types.get(named(item.type))
        if target is not None and is_hidden(target.directives):
            continue
        found = walk.reach.resolving(step.type, reached, item.name)
        if not found:
            if (step.type, item.name) not in walk.failed:
                walk.failed[step.type, item.name] = unreachable(walk.reach, step, item, reached)
        elif target is not None:
            if target.kind in (Kind.INTERFACE, Kind.UNION):
                _compare_runtime_types(walk, step, item, found)
            if (target.name, found) not in walk.entered:
                walk.entered.add((target.name, found))
                walk.queue.extend(_next_steps(walk.reach, step, item, target.kind, found))


def _compare_runtime_types(walk: _Walk, step: Step, item: MergedField, found: States) -> None:
    finding = compare_runtime_types(walk.reach.view, step, item, found)
    if finding is None:
        return
    if finding.severity is Severity.ERROR:
        walk.failed.setdefault((step.type, item.name), finding)
    else:
        walk.hinted.setdefault(finding.coordinate or "", finding)


def _next_steps(reach: Reach, step: Step, item: MergedField, kind: Kind, states: States) -> Iterator[Step]:
    name = named(item.type)
    if kind is Kind.OBJECT:
        yield step.into(item, name, states, fragment=None)
    elif kind in (Kind.INTERFACE, Kind.UNION):
        types = reach.view.merged.types
        for concrete, narrowed in reach.expand(states).items():
            if not is_hidden(types[concrete].directives):
                yield step.into(item, concrete, narrowed, fragment=concrete)
