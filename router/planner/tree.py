"""The choice: for each field of an operation, which subgraph resolves it and how that subgraph is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from router.planner.selections import Conditions, Field, Fragment, Item, Selections
from schema.query_graph import EntityKey
from schema.supergraph import FieldJoin
from schema.supergraph.field_sets import FieldSet, print_field_set


class VisitKind(StrEnum):
    """How a visit comes about: within the parent's request, by a key, or by a root field."""

    LOCAL = "local"
    ENTITY = "entity"
    ROOT = "root"


@dataclass(eq=False, slots=True)
class Resolved:
    """A field that a visit resolves, with the plan below it. `join` is None for `__typename`."""

    field: Field
    join: FieldJoin | None
    child: ChildPlan | None = None
    nested: bool = False


@dataclass(eq=False, slots=True)
class Visit:
    """One subgraph asked about the objects of one node.

    `type_name` is the type that the subgraph knows the object by. `depends_on` are visits of the same
    node, `needs` the resolved fields that its representations carry. `nested_items` are selected on an
    abstract type, so they have a plan of their own at the same place. `conditions` are those under which
    its key and its requirements were obtained.
    """

    index: int
    kind: VisitKind
    graph: str
    type_name: str
    key: EntityKey | None = None
    requires: tuple[FieldSet, ...] = ()
    provided: FieldSet = ()
    depends_on: set[int] = field(default_factory=set)
    needs: list[tuple[int, Resolved]] = field(default_factory=list)
    resolved: list[Resolved] = field(default_factory=list)
    nested_items: list[Item] = field(default_factory=list)
    nested_plan: AbstractPlan | None = None
    conditions: Conditions = ()
    defer: int | None = None

    def copy(self) -> Visit:
        """A visit that can be changed without changing this one."""
        return Visit(
            self.index,
            self.kind,
            self.graph,
            self.type_name,
            self.key,
            self.requires,
            self.provided,
            set(self.depends_on),
            list(self.needs),
            list(self.resolved),
            list(self.nested_items),
            self.nested_plan,
            self.conditions,
            self.defer,
        )


@dataclass(eq=False, slots=True)
class NodePlan:
    """How one selection on an object (or interface object) is answered. The first visit is the parent's.

    `rest` is what no way from here reaches; the parent may reach it by another way. `weight` is how
    much is selected.
    """

    type_name: str
    graph: str
    visits: tuple[Visit, ...]
    rest: Selections | None
    cost: float
    weight: int

    @property
    def fetches_count(self) -> int:
        """Requests beyond the parent's own."""
        own = sum(1 for visit in self.visits if visit.kind is not VisitKind.LOCAL)
        return own + sum(child.fetches_count for child in _children(self.visits))

    @property
    def answers_nothing(self) -> bool:
        """Whether no field at all is resolved."""
        return not any(visit.resolved or visit.nested_plan is not None for visit in self.visits)


@dataclass(eq=False, slots=True)
class AbstractPlan:
    """How one selection on an interface or union is answered: shared fields, and a plan a concrete type."""

    type_name: str
    graph: str
    shared: tuple[Resolved, ...]
    branches: tuple[tuple[str, NodePlan], ...]
    local_types: frozenset[str]
    rest: Selections | None
    cost: float
    weight: int

    @property
    def fetches_count(self) -> int:
        """Requests beyond the parent's own."""
        shared = sum(r.child.fetches_count for r in self.shared if r.child is not None)
        return shared + sum(plan.fetches_count for _, plan in self.branches)

    @property
    def answers_nothing(self) -> bool:
        """Whether no field at all is resolved."""
        return not self.shared and all(branch.answers_nothing for _, branch in self.branches)


ChildPlan: TypeAlias = NodePlan | AbstractPlan


def _children(visits: tuple[Visit, ...]) -> Iterator[ChildPlan]:
    for visit in visits:
        yield from (resolved.child for resolved in visit.resolved if resolved.child is not None)
        if visit.nested_plan is not None:
            yield visit.nested_plan


def print_choice(plan: ChildPlan, indent: int = 0) -> str:
    """The choice as indented text: which subgraph answers what, by which key."""
    pad = "  " * indent
    lines: list[str] = []
    if isinstance(plan, AbstractPlan):
        lines.extend(_print_resolved(resolved, plan.graph, indent) for resolved in plan.shared)
        for type_name, branch in plan.branches:
            lines.append(f"{pad}... on {type_name}")
            lines.append(print_choice(branch, indent + 1))
        return "\n".join(line for line in lines if line)
    for visit in plan.visits:
        if visit.kind is not VisitKind.LOCAL:
            by = f" by key `{print_field_set(visit.key.fields)}`" if visit.key else ""
            needs = "".join(f" requiring `{print_field_set(one)}`" for one in visit.requires)
            lines.append(f"{pad}-> {visit.type_name}({visit.graph}){by}{needs}")
        lines.extend(
            _print_resolved(resolved, visit.graph, indent + (visit.kind is not VisitKind.LOCAL))
            for resolved in visit.resolved
        )
        if visit.nested_plan is not None:
            lines.append(print_choice(visit.nested_plan, indent + 1))
    return "\n".join(line for line in lines if line)


def _print_resolved(resolved: Resolved, graph: str, indent: int) -> str:
    alias = "" if resolved.field.key == resolved.field.name else f"{resolved.field.key}: "
    note = f"  [{resolved.field.purpose}]" if resolved.field.purpose else ""
    line = "  " * indent + f"{alias}{resolved.field.name}{resolved.field.arguments} @{graph}{note}"
    if resolved.child is None:
        return line
    below = print_choice(resolved.child, indent + 1)
    return f"{line}\n{below}" if below else line


__all__ = [
    "AbstractPlan",
    "ChildPlan",
    "Fragment",
    "NodePlan",
    "Resolved",
    "Visit",
    "VisitKind",
    "print_choice",
]
