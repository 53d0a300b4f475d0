"""A mutation runs once: one of the subgraphs that share it must be able to finish what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schema.composition.merge.model import JoinField, MergedField
from schema.composition.satisfiability.reach import Reach
from schema.composition.satisfiability.step import Step
from schema.composition.satisfiability.view import State
from schema.composition.subgraph import Kind
from schema.federation.type_refs import named
from schema.problems import Problem


def shared_mutations(reach: Reach, fails: Callable[[Step], list[Problem]]) -> Iterator[Problem]:
    """Report shared mutations that no single subgraph can answer in full, entity hops allowed."""
    owner = reach.view.merged.types.get("Mutation")
    for item in owner.fields.values() if owner else ():
        for assumed in reach.view.choices("Mutation", item.name):
            starts = [
                (state, join)
                for graph in sorted(owner.graphs if owner else ())
                if (join := reach.view.join(state := State(graph, "Mutation"), item.name, assumed))
                is not None
            ]
            if len(starts) < 2:
                continue
            failures = {state.graph: _fails_alone(reach, item, state, join, fails) for state, join in starts}
            if all(failures.values()):
                yield _report(reach, item, failures)


def _fails_alone(
    reach: Reach,
    item: MergedField,
    start: State,
    join: JoinField,
    fails: Callable[[Step], list[Problem]],
) -> list[Problem]:
    target = reach.view.merged.types.get(named(item.type))
    if target is None or target.kind not in (Kind.OBJECT, Kind.INTERFACE, Kind.UNION):
        return []
    states = frozenset({reach.view.next_state(start, item.name, join)})
    root = Step("Mutation", frozenset({start}), "Mutation", ())
    if target.kind is Kind.OBJECT:
        return fails(root.into(item, target.name, states, fragment=None))
    return [
        problem
        for concrete, narrowed in reach.expand(states).items()
        for problem in fails(root.into(item, concrete, narrowed, fragment=concrete))
    ]


def _report(reach: Reach, item: MergedField, failures: dict[int, list[Problem]]) -> Problem:
    lines = [f"`Mutation.{item.name}` is shared, runs in one subgraph only, and none can finish its answer:"]
    for graph, problems in failures.items():
        missing = ", ".join(f"`{p.coordinate}`" for p in problems)
        lines.append(f"- `{reach.view.merged.graphs[graph].name}` cannot obtain {missing}")
    return Problem(
        "SATISFIABILITY_ERROR",
        "\n".join(lines),
        f"Mutation.{item.name}",
        tuple(reach.view.place(graph, "Mutation", item.name) for graph in failures),
        "give the returned type a key that the other subgraphs resolve",
    )
