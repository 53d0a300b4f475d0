"""Subgraphs that share an abstract field must be able to answer it with the same object."""

from __future__ import annotations

from schema.composition.merge.model import MergedField
from schema.composition.satisfiability.step import Step
from schema.composition.satisfiability.view import GraphView, States
from schema.problems import Problem


def mismatched_runtime_types(view: GraphView, step: Step, item: MergedField, found: States) -> Problem | None:
    """The problem of a shared field whose copies have no concrete type in common; interface objects stay
    out.
    """
    plain = [s for s in found if (s.graph, s.type) not in view.interface_objects]
    possible = {state.graph: view.runtime_types(state) for state in sorted(plain, key=lambda s: s.graph)}
    if len(possible) < 2 or frozenset.intersection(*possible.values()):
        return None
    lines = [f"`{step.type}.{item.name}` is shared, and no type can come from all of its subgraphs:"]
    for graph, types in possible.items():
        names = ", ".join(f"`{name}`" for name in sorted(types)) or "nothing"
        lines.append(f"- `{view.merged.graphs[graph].name}` can answer {names}")
    return Problem(
        "SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES",
        "\n".join(lines),
        f"{step.type}.{item.name}",
        tuple(view.place(graph, step.type, item.name) for graph in possible),
        "let them know at least one type in common, as shared fields answer the same everywhere",
    )
