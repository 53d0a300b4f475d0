"""Fetch groups → `QueryPlan`: requests printed, put in order, conditions that cover a request hoisted."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field

from graphql import VariableDefinitionNode, print_ast

from router.operation.model import NormalOperation, OperationKind
from router.planner.contexts import unused_name
from router.planner.groups import FetchGroup, FetchGroups
from router.planner.occasions import asked_on, decision
from router.planner.plan import (
    ConditionNode,
    ContextRewrite,
    DeferDependency,
    DeferredPart,
    Fetch,
    Flatten,
    Parallel,
    PlanNode,
    Rewrite,
    Sequence,
)
from router.planner.render import Rendering
from router.planner.selections import Conditions, Deferral
from router.planner.tree import VisitKind
from schema.query_graph import QueryGraph


@dataclass(slots=True)
class PlanWriter:
    """Turns groups into plan nodes; fetch ids count up over the whole plan."""

    graph: QueryGraph
    operation: NormalOperation
    _fetches_count: int = 0
    _fetch_ids: dict[int, int] = field(default_factory=dict)
    _variables: dict[str, VariableDefinitionNode] = field(init=False)

    def __post_init__(self) -> None:
        self._variables = {v.variable.name.value: v for v in self.operation.variables}

    def node(self, groups: FetchGroups, kind: OperationKind = OperationKind.QUERY) -> PlanNode | None:
        """The plan of these groups. `kind` is that of root requests at the top of the answer."""
        self._fetch_ids = {}
        members = sorted(group.id for group in groups if group.defer is None)
        return self._ordered(members, groups, kind)

    def deferred(self, groups: FetchGroups, deferrals: Items[Deferral]) -> tuple[DeferredPart, ...]:
        """The parts that follow the groups' `node`, one for each deferred fragment."""
        parts: list[DeferredPart] = []
        for number, deferral in enumerate(deferrals):
            members = sorted(group.id for group in groups if group.defer == number)
            node = self._ordered(members, groups, OperationKind.QUERY)
            before = {d for m in members for d in groups.groups[m].depends_on} - set(members)
            depends = sorted(self._fetch_ids[one] for one in before if one in self._fetch_ids)
            parts.append(
                DeferredPart(
                    deferral.path,
                    deferral.label,
                    tuple(DeferDependency(one) for one in depends),
                    node,
                    deferral.increment,
                )
            )
        return tuple(parts)

    def _ordered(self, members: list[int], groups: FetchGroups, kind: OperationKind) -> PlanNode | None:
        """Independent parts in parallel; in each, first what waits for nothing, then the rest."""
        parts = [self._part(part, groups, kind) for part in _components(members, groups)]
        return parallel(parts)

    def _part(self, members: list[int], groups: FetchGroups, kind: OperationKind) -> PlanNode | None:
        inside = set(members)
        first = [m for m in members if not groups.groups[m].depends_on & inside]
        later = [m for m in members if m not in set(first)]
        now = parallel([self.request(groups.groups[m], kind) for m in first])
        return sequence([now, self._ordered(later, groups, kind) if later else None])

    def request(self, group: FetchGroup, kind: OperationKind = OperationKind.QUERY) -> PlanNode:
        """One request, under its path and its conditions."""
        if not (group.conditions or group.occasions) and not group.tree.has_conditions:
            always = self.fetch(group, kind if not group.path else OperationKind.QUERY)
            return Flatten(group.path, always) if group.path else always
        hoisted = _common_conditions(group)
        occasions = group.occasions or asked_on(entry.conditions for entry in group.tree.fields.values())
        node: PlanNode = self.fetch(group, kind if not group.path else OperationKind.QUERY, hoisted)
        if group.path:
            node = Flatten(group.path, node)
        remaining = [tuple(c for c in one if c not in hoisted) for one in occasions]
        node = decision(remaining, node) or node
        for condition in reversed(hoisted):
            node = (
                ConditionNode(condition.variable, else_clause=node)
                if condition.negated
                else ConditionNode(condition.variable, if_clause=node)
            )
        return node

    def fetch(self, group: FetchGroup, kind: OperationKind, hoisted: Conditions = ()) -> Fetch:
        """The group's request as text."""
        rendering = Rendering(self.graph, group.graph, hoisted)
        selection = rendering.selection(group.tree)
        is_entity = group.kind is VisitKind.ENTITY
        declared = [_declaration(self._variables[name]) for name in rendering.variables]
        declared.extend(f"${value.variable}: {value.type}" for value in group.contexts.values())
        own_declarations, entity_selection = tuple(declared), selection if is_entity else ""
        if is_entity:
            sent = unused_name("representations", self._variables)
            declared.insert(0, f"${sent}: [_Any!]!")
            selection = "{_entities(representations: $" + sent + ")" + selection + "}"
        number = self._fetches_count
        self._fetches_count += 1
        self._fetch_ids[group.id] = number
        service = self.graph.supergraph.subgraphs[group.graph].name
        name = _operation_name(self.operation.name, service, number)
        head = f"{kind.value} {name or ''}" if name or declared or kind is not OperationKind.QUERY else ""
        if declared:
            head = head.rstrip() + "(" + ", ".join(declared) + ")"
        rewrites: list[Rewrite] = list(group.rewrites)
        return Fetch(
            id=number,
            service=service,
            kind=kind,
            operation=head.rstrip() + selection,
            operation_name=name,
            variable_usages=tuple(rendering.variables),
            requires=group.representation.selections() if is_entity else (),
            input_rewrites=tuple(rewrites),
            output_rewrites=tuple(rendering.renames),
            context_rewrites=tuple(
                ContextRewrite(path, value.variable)
                for value in group.contexts.values()
                for path in value.paths
            ),
            declarations=own_declarations,
            entity_selection=entity_selection,
        )


def parallel(nodes: Items[PlanNode | None]) -> PlanNode | None:
    """These together; flat, and nothing around a single one."""
    found: list[PlanNode] = []
    for node in nodes:
        if isinstance(node, Parallel):
            found.extend(node.nodes)
        elif node is not None:
            found.append(node)
    return found[0] if len(found) == 1 else Parallel(tuple(found)) if found else None


def sequence(nodes: Items[PlanNode | None]) -> PlanNode | None:
    """These one after the other; flat, and nothing around a single one."""
    found: list[PlanNode] = []
    for node in nodes:
        if isinstance(node, Sequence):
            found.extend(node.nodes)
        elif node is not None:
            found.append(node)
    return found[0] if len(found) == 1 else Sequence(tuple(found)) if found else None


def _components(members: list[int], groups: FetchGroups) -> list[list[int]]:
    """Groups that wait for one another, directly or not, counting only waits among `members`."""
    part_of = {member: member for member in members}

    def root(member: int) -> int:
        while part_of[member] != member:
            member = part_of[member]
        return member

    for member in members:
        for dependency in groups.groups[member].depends_on:
            if dependency in part_of:
                low, high = sorted((root(member), root(dependency)))
                part_of[high] = low
    parts: dict[int, list[int]] = {}
    for member in members:
        parts.setdefault(root(member), []).append(member)
    return list(parts.values())


def _common_conditions(group: FetchGroup) -> Conditions:
    """Conditions that exclude the whole request, or every selected field of it."""
    first, *others = (set(entry.conditions) for entry in group.tree.fields.values())
    common = first.intersection(*others) | set(group.conditions)
    return tuple(sorted(common, key=lambda c: (c.variable, c.negated)))


def _declaration(definition: VariableDefinitionNode) -> str:
    text = f"${definition.variable.name.value}: {print_ast(definition.type)}"
    return text + (f" = {print_ast(definition.default_value)}" if definition.default_value else "")


def _operation_name(name: str | None, service: str, number: int) -> str | None:
    if name is None:
        return None
    return f"{name}__{''.join(c if c.isalnum() else '_' for c in service)}__{number}"
