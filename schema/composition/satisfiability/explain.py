"""Says why a field cannot be obtained: the smallest operation, each subgraph tried, and the mend."""

from __future__ import annotations

from collections.abc import Iterator

from schema.composition.facts import selection_on
from schema.composition.merge.model import JoinField, MergedField
from schema.composition.satisfiability.contexts import setting_for
from schema.composition.satisfiability.reach import Reach
from schema.composition.satisfiability.step import Step
from schema.composition.satisfiability.view import State, States
from schema.composition.subgraph import Kind
from schema.federation.field_sets import print_field_set
from schema.federation.type_refs import named
from schema.problems import Problem

_COMPOSITE = (Kind.OBJECT, Kind.INTERFACE, Kind.UNION)


def unreachable(reach: Reach, step: Step, item: MergedField, reached: States) -> Problem:
    """The problem of one field that no subgraph can supply at this step."""
    target = reach.view.merged.types.get(named(item.type))
    has_children = target is not None and target.kind in _COMPOSITE
    operation = step.operation(item, has_children=has_children)
    coordinate = f"{step.type}.{item.name}"
    reasons = [_from(reach, step, item, graph, reached) for graph in sorted({s.graph for s in step.states})]
    lines = [f"`{coordinate}` cannot be obtained by this operation:", operation, "because", *reasons]
    holders = _holders(reach, step, item)
    return Problem(
        "SATISFIABILITY_ERROR",
        "\n".join(lines),
        coordinate,
        tuple(
            reach.view.place(graph, name, item.name) for graph, name in _declared(reach, step, item, holders)
        ),
        _mend(reach, step, item, holders, reached),
    )


def _name(reach: Reach, graph: int) -> str:
    return reach.view.merged.graphs[graph].name


def _holders(reach: Reach, step: Step, item: MergedField) -> list[int]:
    """The subgraphs that could resolve the field if the object were there."""
    view = reach.view
    found = {s.graph for s in _entries(reach, step) if view.join(s, item.name) is not None}
    return sorted(found)


def _declared(reach: Reach, step: Step, item: MergedField, holders: list[int]) -> list[tuple[int, str]]:
    """Where to look: who could resolve the field; if nobody could, who has the type."""
    found = [(s.graph, s.type) for s in _entries(reach, step) if s.graph in holders]
    holding = [(graph, name) for graph, name in found if reach.view.declaration(graph, name, item.name)]
    return holding or [(s.graph, s.type) for s in sorted(step.states, key=lambda s: (s.graph, s.type))]


def _entries(reach: Reach, step: Step) -> list[State]:
    view = reach.view
    owner = view.merged.types[step.type]
    own = [State(graph, step.type) for graph in sorted(owner.graphs)]
    objects = [
        State(graph, name) for graph, name in sorted(view.interface_objects) if name in owner.interfaces
    ]
    return own + objects


def _from(reach: Reach, step: Step, item: MergedField, graph: int, reached: States) -> str:
    lines = [f"- from `{_name(reach, graph)}`:"]
    here = next(s for s in sorted(step.states, key=lambda s: (s.graph, s.type)) if s.graph == graph)
    lines.append(f"  - {_why_not_here(reach, step, item, here, reached)}")
    entries = [s for s in _entries(reach, step) if s.graph != graph]
    for state in entries:
        declared = reach.view.declaration(state.graph, state.type, item.name)
        if declared is not None and not declared.external:
            lines.append(f"  - {_why_not_there(reach, step, item, state, reached)}")
    return "\n".join(lines)


def _why_not_here(reach: Reach, step: Step, item: MergedField, here: State, reached: States) -> str:
    declared = reach.view.declaration(here.graph, here.type, item.name)
    if declared is None:
        return f"it has no field `{step.type}.{item.name}`"
    if declared.external:
        return f"`{step.type}.{item.name}` is external there"
    if declared.used_overridden or declared.override_label:
        return f"`{step.type}.{item.name}` is overridden by another subgraph"
    return _why_not_required(reach, step, item, here, reached)


def _why_not_there(reach: Reach, step: Step, item: MergedField, state: State, reached: States) -> str:
    name = _name(reach, state.graph)
    keys = [hop for hop in reach.view.hops(step.type) if hop.graph == state.graph and hop.type == state.type]
    lead = f"cannot move to `{name}`, which has it, because"
    if any((s.graph, s.type, s.provided) == (state.graph, state.type, "") for s in reached):
        return f"in `{name}`, {_why_not_required(reach, step, item, state, reached)}"
    joins = [j for j in reach.view.merged.types[state.type].joins if j.graph == state.graph]
    if not keys:
        unresolvable = [j.key for j in joins if j.key is not None]
        if unresolvable:
            return f"{lead} its key `{unresolvable[0]}` has `resolvable: false`"
        return f"{lead} `{state.type}` has no `@key` there"
    missing = []
    for hop in keys:
        absent = reach.missing(step.type, reached, hop.key)
        fields = ", ".join(f"`{f}`" for f in absent) or "a part"
        missing.append(f"its key `{print_field_set(hop.key)}` needs {fields}, which cannot be obtained first")
    return f"{lead} {' and '.join(missing)}"


def _why_not_required(reach: Reach, step: Step, item: MergedField, state: State, reached: States) -> str:
    declared = reach.view.declaration(state.graph, state.type, item.name)
    if declared is None or (declared.requires is None and not declared.context_arguments):
        return f"`{step.type}.{item.name}` is not resolved there now"
    open_contexts = [why for why, _ in _unfilled(reach, item, reached, declared)]
    if open_contexts:
        return " and ".join(open_contexts)
    if reach.can_enter(step.type, reached, state):
        return (
            f'the `@requires(fields: "{declared.requires}")` of `{step.type}.{item.name}` cannot be obtained'
        )
    return f"`{step.type}` has no key to come back with what `{step.type}.{item.name}` requires"


def _unfilled(
    reach: Reach, item: MergedField, reached: States, declared: JoinField
) -> Iterator[tuple[str, str]]:
    """For each contextual argument that cannot be filled on this way: why, and what would mend it."""
    above = next(iter(reached))
    for argument in declared.context_arguments:
        name = argument.context.rpartition("__")[2]
        lead = f"`{item.name}({argument.name}:)`"
        setting = setting_for(above, argument.context)
        if setting is None:
            yield (
                f"{lead} reads the context `{name}`, which nothing above sets on this way",
                f'write `@context(name: "{name}")` on a type that each way to it passes through',
            )
        elif not reach.obtains(setting.type, setting.states, selection_on(argument.selection)):
            yield (
                f"{lead} takes `{argument.selection}` from `{setting.type}`, where it cannot be obtained",
                f"let a subgraph that is reached resolve it on `{setting.type}`",
            )


def _mend(reach: Reach, step: Step, item: MergedField, holders: list[int], reached: States) -> str:
    coordinate = f"{step.type}.{item.name}"
    if not holders:
        return f"let a subgraph that is reached resolve `{coordinate}`"
    for graph in holders:
        declared = reach.view.declaration(graph, step.type, item.name)
        for _, mend in _unfilled(reach, item, reached, declared) if declared else ():
            return mend
    obtainable = [
        print_field_set(hop.key)
        for hop in reach.view.hops(step.type)
        if reach.obtains(step.type, reached, hop.key)
    ]
    name = _name(reach, holders[0])
    starts = ", ".join(f"`{_name(reach, graph)}`" for graph in sorted({s.graph for s in step.states}))
    if obtainable:
        return f'write `@key(fields: "{obtainable[0]}")` on `{step.type}` in `{name}`'
    candidates = [
        f.name
        for f in reach.view.merged.types[step.type].fields.values()
        if reach.resolving(step.type, reached, f.name) and str(f.type).strip("!") in ("ID", "String", "Int")
    ]
    key = next((c for c in candidates if c == "id"), candidates[0] if candidates else "id")
    return (
        f'write `@key(fields: "{key}")` on `{step.type}` in `{name}`, with `{key}` in {starts} too;'
        f" or let {starts} resolve `{coordinate}` and mark it `@shareable`"
    )
