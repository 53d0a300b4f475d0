"""The choice → fetch groups: a DAG of requests, each a subgraph, a place in the answer and a selection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from router.planner.contexts import ContextValue
from router.planner.plan import KeyRenamer, PathKey, PathStep, ValueSetter
from router.planner.representation import Representation
from router.planner.selections import Conditions, Field
from router.planner.tree import VisitKind
from schema.supergraph import TypeRef

Path: TypeAlias = tuple[PathStep, ...]


class Printed(NamedTuple):
    """A tree as text, the variables in it, and the renames that its answer needs, on paths from the tree."""

    text: str
    variables: tuple[str, ...]
    renames: tuple[KeyRenamer, ...]


@dataclass(eq=False, slots=True)
class TreeField:
    """A field of a request, under the response key that the answer will have it by."""

    key: str
    name: str
    arguments: str
    variables: tuple[str, ...]
    conditions: Conditions
    type: TypeRef | None
    below: SelectionTree | None = None
    directives: str = ""

    def copy(self) -> TreeField:
        """A field that can be changed without changing this one; what is below stays as it is."""
        return TreeField(
            self.key,
            self.name,
            self.arguments,
            self.variables,
            self.conditions,
            self.type,
            self.below,
            self.directives,
        )

    def tell(self, directives: str, variables: tuple[str, ...]) -> None:
        """Hand these directives on too, and the variables in them."""
        if directives and directives not in self.directives:
            self.directives += directives
            self.variables = tuple(dict.fromkeys((*self.variables, *variables)))


@dataclass(eq=False, slots=True)
class SelectionTree:
    """What a request selects on one type; `fields` is keyed by (type condition or "", key, conditions).

    A shared tree is part of several plans and never changed; `printed` is its text, by subgraph.
    """

    type_name: str
    fields: dict[tuple[str, str, Conditions], TreeField] = field(default_factory=dict)
    is_shared: bool = False
    printed: dict[str, Printed] = field(default_factory=dict)

    @property
    def has_conditions(self) -> bool:
        """Whether any of its own fields is selected under conditions."""
        return any(entry.conditions for entry in self.fields.values())

    def own(self) -> SelectionTree:
        """The tree, to be changed: a copy of a shared one."""
        return self.copy() if self.is_shared else self

    def copy(self) -> SelectionTree:
        """A tree that can be changed without changing this one."""
        return SelectionTree(self.type_name, {slot: entry.copy() for slot, entry in self.fields.items()})

    def share(self) -> None:
        """From now on it is not changed any more, nor is what is below."""
        if not self.is_shared:
            self.is_shared = True
            for entry in self.fields.values():
                if entry.below is not None:
                    entry.below.share()

    def add(
        self,
        condition: str,
        selected: Field,
        type_: TypeRef | None,
        *,
        conditions: Conditions,
        arguments: str,
    ) -> TreeField:
        """The entry for this field under these conditions, new or known."""
        slot = (condition, selected.key, conditions)
        known = self.fields.get(slot)
        if known is None:
            below = None
            if selected.selections is not None and type_ is not None:
                below = SelectionTree(type_.name)
            known = self.fields[slot] = TreeField(
                selected.key,
                selected.name,
                arguments,
                selected.variables,
                conditions,
                type_,
                below,
                selected.directives,
            )
        elif selected.directives:
            known.tell(selected.directives, selected.variables)
        return known

    def add_typename(self, condition: str = "") -> None:
        """Ask for the runtime type under its own name."""
        slot = (condition, "__typename", ())
        if slot not in self.fields:
            self.fields[slot] = TreeField("__typename", "__typename", "", (), (), None)

    def merge(self, other: SelectionTree) -> None:
        """Take over everything that `other` selects."""
        for slot, theirs in other.fields.items():
            ours = self.fields.get(slot)
            if ours is None:
                self.fields[slot] = theirs.copy() if other.is_shared else theirs
                continue
            if ours.below is not None and theirs.below is not None:
                ours.below = ours.below.own()
                ours.below.merge(theirs.below)
            ours.tell(theirs.directives, theirs.variables)

    def same_as(self, other: SelectionTree) -> bool:
        """Whether both select the same."""
        if self.type_name != other.type_name or self.fields.keys() != other.fields.keys():
            return False
        for slot, ours in self.fields.items():
            theirs = other.fields[slot]
            if (ours.name, ours.arguments, ours.directives) != (
                theirs.name,
                theirs.arguments,
                theirs.directives,
            ):
                return False
            if ours.below is not None and (theirs.below is None or not ours.below.same_as(theirs.below)):
                return False
        return True

    @property
    def weight(self) -> int:
        """How much is selected."""
        return sum(1 + (f.below.weight if f.below is not None else 0) for f in self.fields.values())


@dataclass(eq=False, slots=True)
class FetchGroup:
    """One request to be: who, where in the answer, from which representations, after which others.

    `path` is where the answer is merged. `conditions` exclude the whole request. Where requests under
    different conditions became this one, `occasions` are their conditions: it is made where all of one hold.
    For entity groups `tree` has the entity types as conditions. `defer` is the deferred fragment that it
    belongs to.
    """

    id: int
    graph: str
    kind: VisitKind
    path: tuple[PathStep, ...]
    tree: SelectionTree
    representation: Representation = field(default_factory=Representation)
    rewrites: list[ValueSetter] = field(default_factory=list)
    depends_on: set[int] = field(default_factory=set)
    conditions: Conditions = ()
    occasions: frozenset[Conditions] = frozenset()
    contexts: dict[str, ContextValue] = field(default_factory=dict)
    defer: int | None = None

    def __str__(self) -> str:
        after = f" after {sorted(self.depends_on)}" if self.depends_on else ""
        return f"[{self.id}] {self.kind.value} {self.graph} at {print_path(self.path)}{after}"


@dataclass(slots=True)
class FetchGroups:
    """All groups of an operation, by id. `successors` of a group wait for it."""

    groups: dict[int, FetchGroup] = field(default_factory=dict)
    _next_id: int = 0

    def open(self, graph: str, kind: VisitKind, path: tuple[PathStep, ...], type_name: str) -> FetchGroup:
        """A new group."""
        group = FetchGroup(self._next_id, graph, kind, path, SelectionTree(type_name))
        self.groups[group.id] = group
        self._next_id += 1
        return group

    def graft(
        self, known: Collection[FetchGroup], below: FetchGroup, place: Callable[[Path], Path]
    ) -> dict[int, int]:
        """Add groups that were grouped by themselves, in an object that `below` is the request of; `place`
        gives their paths. Returns their ids here by their ids there, where 0 is that request."""
        first = self._next_id - 1
        ids = {0: below.id}
        for one in known:
            ids[one.id] = first + one.id
        for one in known:
            group = self.open(one.graph, one.kind, place(one.path), one.tree.type_name)
            group.tree, group.representation = one.tree, one.representation
            group.rewrites = list(one.rewrites)
            group.depends_on = {ids[it] for it in one.depends_on}
            group.conditions, group.occasions = one.conditions, one.occasions
        return ids

    def adopt(self, group: FetchGroup, renamed: dict[int, int]) -> None:
        """Take over a group of another set; `renamed` maps that set's ids to this one's and grows."""
        renamed[group.id] = self._next_id
        group.id = self._next_id
        group.depends_on = {renamed[dependency] for dependency in group.depends_on}
        self.groups[group.id] = group
        self._next_id += 1

    def __iter__(self) -> Iterator[FetchGroup]:
        return iter(list(self.groups.values()))

    def __len__(self) -> int:
        return len(self.groups)

    def waits_for(self, group_id: int, other_id: int) -> bool:
        """Whether the group waits for the other, directly or through others."""
        waiting, seen = [group_id], {group_id}
        while waiting:
            for dependency in self.groups[waiting.pop()].depends_on:
                if dependency == other_id:
                    return True
                if dependency not in seen:
                    seen.add(dependency)
                    waiting.append(dependency)
        return False

    def replace(self, gone_id: int, by_id: int) -> None:
        """Everything that waited for `gone_id` waits for `by_id` from now on."""
        for group in self.groups.values():
            if gone_id in group.depends_on:
                group.depends_on.discard(gone_id)
                if group.id != by_id:
                    group.depends_on.add(by_id)
        del self.groups[gone_id]

    def __str__(self) -> str:
        return "\n".join(str(group) for group in self)


def connect_contexts(groups: FetchGroups) -> None:
    """Let requests with values from above wait for the requests that fetch these values."""
    for group in groups:
        keys = [step.key for step in group.path if isinstance(step, PathKey)]
        for value in group.contexts.values():
            for path in value.paths:
                below = [element for element in path if element != ".." and not element.startswith("...")]
                generations = path.count("..")
                wanted = keys[: len(keys) - generations] + below
                for other in groups:
                    if other.id == group.id or groups.waits_for(other.id, group.id):
                        continue
                    if _fetches(other, wanted):
                        group.depends_on.add(other.id)


def _fetches(group: FetchGroup, keys: list[str]) -> bool:
    """Whether the group fetches the value at these response keys."""
    own = [step.key for step in group.path if isinstance(step, PathKey)]
    if keys[: len(own)] != own:
        return False
    trees = [group.tree]
    for key in keys[len(own) :]:
        entries = [entry for tree in trees for entry in tree.fields.values() if entry.key == key]
        if not entries:
            return False
        trees = [entry.below for entry in entries if entry.below is not None]
    return True


def print_path(path: Iterable[PathStep]) -> str:
    """A path as text: keys and `@` for lists, with `|[A,B]` where only some types are followed."""
    steps = []
    for step in path:
        name = getattr(step, "key", "@")
        types = "|[" + ",".join(sorted(step.types)) + "]" if step.types else ""
        steps.append(name + types)
    return ".".join(steps)
