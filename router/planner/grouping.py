"""The choice → fetch groups, parents first: walks the chosen visits and opens one group a request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from router.errors import PlanTooComplex
from router.planner.groups import FetchGroup, FetchGroups, Path, SelectionTree, TreeField
from router.planner.limits import PlannerLimits
from router.planner.plan import PathKey, PathList, ValueSetter
from router.planner.selections import Conditions, Field, Fragment, SelectionPool, joined
from router.planner.tree import AbstractPlan, ChildPlan, NodePlan, Resolved, Visit, VisitKind
from schema.query_graph import QueryGraph
from schema.supergraph import FieldJoin

HERE: Final = PathKey("")
"""Where the object is that a plan was grouped for by itself."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """What a child plan adds, wherever it stands: selections to the object's own request, and requests.

    The requests' paths begin with HERE; the id 0 stands for the object's own request.
    """

    tree: SelectionTree
    groups: tuple[FetchGroup, ...]
    touched: frozenset[int]


def grouped(tree: SelectionTree, groups: FetchGroups, touched: set[int]) -> Grouped:
    """The groups of one child plan, never to be changed again."""
    tree.share()
    own = tuple(group for group in groups if group.id)
    for group in own:
        group.tree.share()
        group.representation.is_shared = True
    return Grouped(tree, own, frozenset(touched))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where selections go: a group, the tree inside its request, the type condition there.

    `under` are the conditions of the fields above, in this request and in those before.
    """

    group: FetchGroup
    tree: SelectionTree
    condition: str = ""
    under: Conditions = ()


@dataclass(slots=True)
class Grouping:
    """One walk from the choice to its fetch groups."""

    graph: QueryGraph
    pool: SelectionPool
    limits: PlannerLimits
    groups: FetchGroups
    known: dict[tuple[int, bool], tuple[ChildPlan, Grouped]] | None = None

    def group_root(self, plan: NodePlan, root_type: str) -> None:
        """Open the groups of an operation's root.  Errors: PlanTooComplex past `fetches_max`."""
        self._node(plan, None, (), (), root_type)

    def _node(
        self, plan: NodePlan, parent: _Place | None, path: Path, below: Path, type_name: str
    ) -> set[int]:
        """Groups of one object's visits at `path`; what is below them hangs on path `below`."""
        places = {0: parent} if parent is not None else {}
        for visit in plan.visits:
            if visit.kind is not VisitKind.LOCAL:
                opened = self._open(visit, path, type_name, parent.under if parent else ())
                inherited = parent.group.defer if parent is not None else None
                opened.group.defer = inherited if visit.defer is None else visit.defer
                places[visit.index] = opened
        touched: dict[int, set[int]] = {}
        everything: set[int] = set()
        for visit in plan.visits:
            place = places.get(visit.index)
            if place is None:
                continue
            nested: set[int] = set()
            for resolved in visit.resolved:
                touched[id(resolved)] = self._resolved(resolved, place, below)
                everything |= touched[id(resolved)]
            if visit.nested_plan is not None:
                tree = self._nested_tree(place, visit)
                nested = self._child(visit.nested_plan, place, tree, path)
                everything |= nested
            everything.add(place.group.id)
        for visit in plan.visits:
            if visit.kind is not VisitKind.LOCAL:
                self._connect(visit, plan, places, touched)
        return everything

    def _open(self, visit: Visit, path: Path, root_type: str, under: Conditions) -> _Place:
        if len(self.groups) >= self.limits.fetches_max:
            raise PlanTooComplex(f"the operation needs more than {self.limits.fetches_max} requests")
        if visit.kind is VisitKind.ROOT:
            group = self.groups.open(visit.graph, visit.kind, path, root_type)
            group.conditions = under
            return _Place(group, group.tree, under=under)
        group = self.groups.open(visit.graph, visit.kind, path, "_Entity")
        group.conditions = joined(under, visit.conditions) or under
        return _Place(group, group.tree, visit.type_name, under)

    def _connect(
        self, visit: Visit, plan: NodePlan, places: dict[int, _Place], touched: dict[int, set[int]]
    ) -> None:
        """Let the visit's group wait for all that fills its representations, and say what they are."""
        group = places[visit.index].group
        group.depends_on |= {
            places[index].group.id for index in visit.depends_on if index in places and index != visit.index
        }
        for index, resolved in visit.needs:
            if resolved.nested:
                group.depends_on |= self._nested_groups(places[index].group)
            group.depends_on |= touched.get(id(resolved), set())
        group.depends_on.discard(group.id)
        if visit.kind is not VisitKind.ENTITY or visit.key is None:
            return
        supergraph = self.graph.supergraph
        parent = places.get(0)
        if parent is not None:
            parent.tree.add_typename(parent.condition)
        for field_set in (visit.key.fields, *visit.requires):
            group.representation.add(plan.type_name, field_set, self.pool, supergraph)
        is_object = self.graph.is_interface_object(visit.type_name, visit.graph)
        if is_object and supergraph.types[visit.type_name].is_abstract:
            # The subgraph knows the object by the interface's name alone.
            group.rewrites.append(ValueSetter((f"... on {plan.type_name}", "__typename"), visit.type_name))

    def _nested_groups(self, group: FetchGroup) -> set[int]:
        return {other.id for other in self.groups if self.groups.waits_for(other.id, group.id)}

    def _nested_tree(self, place: _Place, visit: Visit) -> SelectionTree:
        """The tree of an abstract entity type inside an entity request."""
        assert place.group.tree is place.tree  # noqa: S101  # INVARIANT: nested plans start at a group
        return place.tree

    def _resolved(self, resolved: Resolved, place: _Place, path: Path) -> set[int]:
        field, join = resolved.field, resolved.join
        together = joined(place.under, field.conditions)
        touched = {place.group.id}
        if together is None:  # a condition above excludes it
            return touched
        at_top = place.tree is place.group.tree
        type_ = join.type if join is not None else None
        entry = place.tree.add(
            place.condition,
            field,
            type_,
            conditions=together if at_top else field.conditions,
            arguments=self._arguments(field, place.group),
        )
        if resolved.child is None or entry.below is None or join is None:
            return touched
        is_narrowed = self._is_narrowed(field, join)
        below = (*path, PathKey(field.key), *(PathList(),) * join.type.list_depth)
        if self.known is not None and not together:
            known = self._known(self.known, resolved.child, join.type.name, is_narrowed=is_narrowed)
            return touched | self._graft(known, place.group, entry, below)
        entry.below = entry.below.own()
        if is_narrowed:
            entry.below.add_typename()
        inner = _Place(place.group, entry.below, under=together)
        return touched | self._child(resolved.child, inner, entry.below, below)

    def _known(
        self,
        memory: dict[tuple[int, bool], tuple[ChildPlan, Grouped]],
        plan: ChildPlan,
        type_name: str,
        *,
        is_narrowed: bool,
    ) -> Grouped:
        """The groups of a child plan by themselves; made once, because plans are remembered too."""
        found = memory.get((id(plan), is_narrowed))
        if found is None:
            groups = FetchGroups()
            parent, tree = groups.open(plan.graph, VisitKind.LOCAL, (), type_name), SelectionTree(type_name)
            if is_narrowed:
                tree.add_typename()
            alone = Grouping(self.graph, self.pool, self.limits, groups, memory)
            touched = alone._child(plan, _Place(parent, tree), tree, (HERE,))
            found = memory[id(plan), is_narrowed] = plan, grouped(tree, groups, touched)
        return found[1]

    def _graft(self, known: Grouped, group: FetchGroup, entry: TreeField, path: Path) -> set[int]:
        """Put the groups of a child plan where the child is."""
        if len(self.groups) + len(known.groups) > self.limits.fetches_max:
            raise PlanTooComplex(f"the operation needs more than {self.limits.fetches_max} requests")
        if entry.below is None or not entry.below.fields:
            entry.below = known.tree
        else:
            entry.below = entry.below.own()
            entry.below.merge(known.tree)
        *above, last = path

        def placed(inner: Path) -> Path:
            here = inner[0].types
            return (*above, last if here is None else replace(last, types=here), *inner[1:])

        ids = self.groups.graft(known.groups, group, placed)
        return {ids[one] for one in known.touched}

    def _arguments(self, field: Field, group: FetchGroup) -> str:
        """The client's arguments, and those that this subgraph takes from objects above."""
        values = [value for value in field.context if value.graph == group.graph]
        if not values:
            return field.arguments
        group.contexts.update((value.variable, value) for value in values)
        own = field.arguments[1:-1]
        given = ", ".join(f"{value.argument}: ${value.variable}" for value in values)
        return f"({own}, {given})" if own else f"({given})"

    def _is_narrowed(self, field: Field, join: FieldJoin) -> bool:
        """Whether clients see an abstract type here although the subgraph returns an object type."""
        types = self.graph.supergraph.types
        if types[join.type.name].is_abstract:
            return False
        definition = types[field.asked_on].fields.get(field.name)
        abstract = definition is not None and types[definition.type.name].is_abstract
        items = field.selections.items if field.selections is not None else ()
        return abstract or any(isinstance(item, Fragment) for item in items)

    def _child(self, plan: ChildPlan, place: _Place, tree: SelectionTree, path: Path) -> set[int]:
        if isinstance(plan, NodePlan):
            inner = _Place(place.group, tree, place.condition, place.under)
            return self._node(plan, inner, path, path, plan.type_name)
        return self._abstract(plan, place, tree, path)

    def _abstract(self, plan: AbstractPlan, place: _Place, tree: SelectionTree, path: Path) -> set[int]:
        nested = place.condition if place.group.tree is tree else ""
        tree.add_typename(nested)
        touched: set[int] = {place.group.id}
        for resolved in plan.shared:
            touched |= self._resolved(resolved, _Place(place.group, tree, nested, place.under), path)
        for name, branch in plan.branches:
            below = path if plan.local_types == {name} else _only(path, name)
            touched |= self._node(branch, _Place(place.group, tree, name, place.under), path, below, name)
        return touched


def _only(path: Path, type_name: str) -> Path:
    """The path followed only where its last value has this type."""
    if not path:
        return path
    return (*path[:-1], replace(path[-1], types=frozenset({type_name})))
