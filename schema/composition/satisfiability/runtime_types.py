"""Subgraphs that share an abstract field must be able to answer it with the same object."""

from __future__ import annotations

from collections.abc import Mapping

from schema.composition.merge.model import MergedField
from schema.composition.satisfiability.step import Step
from schema.composition.satisfiability.view import GraphView, States
from schema.problems import Problem, Severity


def compare_runtime_types(view: GraphView, step: Step, item: MergedField, found: States) -> Problem | None:
    """The problem of a shared field whose copies have no concrete type in common, or the hint that some have
    more types than the others; interface objects stay out.
    """
    plain = [s for s in found if (s.graph, s.type) not in view.interface_objects]
    possible = {state.graph: view.runtime_types(state) for state in sorted(plain, key=lambda s: s.graph)}
    if len(set(possible.values())) < 2:
        return _nothing_known(view, step, item, possible)
    common = frozenset.intersection(*possible.values())
    return _differing(view, step, item, possible, common) if common else _apart(view, step, item, possible)


def _nothing_known(
    view: GraphView, step: Step, item: MergedField, possible: Mapping[int, frozenset[str]]
) -> Problem | None:
    """Several subgraphs, none with any type."""
    return _apart(view, step, item, possible) if len(possible) > 1 and not any(possible.values()) else None


def _apart(view: GraphView, step: Step, item: MergedField, possible: Mapping[int, frozenset[str]]) -> Problem:
    lines = [f"`{step.type}.{item.name}` is shared, and no type can come from all of its subgraphs:"]
    for graph, types in possible.items():
        lines.append(f"- `{view.merged.graphs[graph].name}` can answer {_listed(types) or 'nothing'}")
    return Problem(
        "SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES",
        "\n".join(lines),
        f"{step.type}.{item.name}",
        tuple(view.place(graph, step.type, item.name) for graph in possible),
        "let them know at least one type in common, as shared fields answer the same everywhere",
    )


def _differing(
    view: GraphView,
    step: Step,
    item: MergedField,
    possible: Mapping[int, frozenset[str]],
    common: frozenset[str],
) -> Problem:
    lines = [f"`{step.type}.{item.name}` is shared, and may only be answered with {_listed(common)}:"]
    for graph, types in possible.items():
        if types - common:
            lines.append(f"- `{view.merged.graphs[graph].name}` must not answer {_listed(types - common)}")
    return Problem(
        "INCONSISTENT_RUNTIME_TYPES_FOR_SHAREABLE_RETURN",
        "\n".join(lines),
        f"{step.type}.{item.name}",
        tuple(view.place(graph, step.type, item.name) for graph in possible),
        "let all of them know the same types, as shared fields answer the same everywhere",
        Severity.WARN,
    )


def _listed(types: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(types))
