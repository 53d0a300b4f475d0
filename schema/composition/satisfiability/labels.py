"""Satisfiability whatever the override labels are: on and off in every combination that matters.

A first walk leaves the labels open. There a field with a label must be reachable with it on and with it off,
and a key or requirement counts only what holds either way, so a walk without failures proves all combinations
at once. Where a walk fails because of a label, it is walked again with the label on, and with it off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schema.composition.merge.model import MergedGraph
from schema.composition.satisfiability.view import NOTHING_DECIDED, GraphView
from schema.composition.satisfiability.walk import PROBLEMS_MAX, walk_all
from schema.composition.validate import ValidSubgraph
from schema.problems import Problem

LABEL_WALKS_MAX = 64


@dataclass(slots=True)
class _Search:
    merged: MergedGraph
    subgraphs: Sequence[ValidSubgraph]
    hints: list[Problem]
    found: dict[tuple[str, str], Problem] = field(default_factory=dict)
    walks: int = 0


def check_satisfiability(
    merged: MergedGraph, subgraphs: Sequence[ValidSubgraph], problems: list[Problem], hints: list[Problem]
) -> None:
    """Add a problem for each field that some allowed operation cannot obtain, with the smallest such
    operation; and a hint for each shared field that subgraphs answer with different types.
    """
    search = _Search(merged, subgraphs, hints)
    _walk_with(search, NOTHING_DECIDED)
    problems.extend(list(search.found.values())[:PROBLEMS_MAX])


def _walk_with(search: _Search, labels: Mapping[str, bool]) -> None:
    if search.walks >= LABEL_WALKS_MAX:
        search.found.setdefault(("", ""), _too_many())
        return
    search.walks += 1
    walk = walk_all(GraphView(search.merged, search.subgraphs, labels))
    search.hints.extend(walk.hinted.values())
    doubtful = [failure for failure in walk.failed.values() if failure.asked]
    for key, failure in walk.failed.items():
        if not failure.asked:
            search.found.setdefault(key, _while(failure.problem, labels))
    if doubtful:
        label = min(doubtful[0].asked)
        for value in (False, True):
            _walk_with(search, {**labels, label: value})


def _while(problem: Problem, labels: Mapping[str, bool]) -> Problem:
    """The problem, with the labels under which it is one."""
    if not labels:
        return problem
    states = " and ".join(f"`{label}` {'on' if is_on else 'off'}" for label, is_on in labels.items())
    return replace(problem, message=f"with the override label {states}: {problem.message}")


def _too_many() -> Problem:
    return Problem(
        "MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED",
        f"more than {LABEL_WALKS_MAX} combinations of override labels matter; not all could be checked",
        mend="finish some of the overrides, or give those that move together one label",
    )
