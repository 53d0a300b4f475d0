"""A group's selection tree → the text of its request, and the renames that undo aliases in its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from router.planner.groups import Printed, SelectionTree, TreeField
from router.planner.plan import KeyRenamer, RewritePath
from router.planner.selections import Conditions
from schema.query_graph import QueryGraph

ENTITY = "_Entity"


@dataclass(slots=True)
class Rendering:
    """One request being printed: collects the variables it uses and the renames it needs."""

    graph: QueryGraph
    subgraph: str
    hoisted: Conditions = ()
    variables: dict[str, None] = field(default_factory=dict)
    renames: list[KeyRenamer] = field(default_factory=list)

    def selection(self, tree: SelectionTree, path: RewritePath = ()) -> str:
        """The tree as a selection set, braces included."""
        if not tree.is_shared or self.hoisted:
            return self._selection(tree, path)
        known = tree.printed.get(self.subgraph)
        if known is None:
            alone = Rendering(self.graph, self.subgraph)
            text = alone._selection(tree, ())
            known = Printed(text, tuple(alone.variables), tuple(alone.renames))
            tree.printed[self.subgraph] = known
        self.variables.update(dict.fromkeys(known.variables))
        for rename in known.renames:
            placed = KeyRenamer((*path, *rename.path), rename.new_key)
            if placed not in self.renames:
                self.renames.append(placed)
        return known.text

    def _selection(self, tree: SelectionTree, path: RewritePath) -> str:
        aliases = self._aliases(tree, path)
        if aliases and tree.type_name == ENTITY:
            tree = tree.copy()
            for condition in {slot[0]: None for slot in tree.fields}:
                tree.add_typename(condition)
        by_condition: dict[str, dict[str, TreeField]] = {}
        for slot, entry in tree.fields.items():
            text = self._field(entry, aliases.get(slot), self._below(path, slot[0], entry, aliases.get(slot)))
            by_condition.setdefault(slot[0], {})[text] = entry
        self._share(tree, by_condition)
        parts = list(by_condition.pop("", {}))
        parts.extend(
            f"...on {condition}{{{' '.join(texts)}}}" for condition, texts in by_condition.items() if texts
        )
        return "{" + " ".join(parts or ["__typename"]) + "}"

    def _below(self, path: RewritePath, condition: str, entry: TreeField, alias: str | None) -> RewritePath:
        step = (f"... on {condition}",) if condition and alias is not None else ()
        return (*path, *step, entry.key)

    def _field(self, entry: TreeField, alias: str | None, path: RewritePath) -> str:
        key = alias or entry.key
        text = entry.name if key == entry.name else f"{key}: {entry.name}"
        text += entry.arguments
        self.variables.update(dict.fromkeys(entry.variables))
        conditions = [c for c in entry.conditions if c not in self.hoisted]
        self.variables.update(dict.fromkeys(c.variable for c in conditions))
        inner = self.selection(entry.below, path) if entry.below is not None else ""
        own: dict[bool, str] = {}
        outer: list[str] = []
        for condition in conditions:
            printed = f"@{'skip' if condition.negated else 'include'}(if: ${condition.variable})"
            if condition.negated in own:
                outer.append(printed)
            else:
                own[condition.negated] = printed
        text = " ".join([text, *own.values()]) + entry.directives + inner
        for printed in outer:
            text = f"... {printed}{{{text}}}"
        return text

    def _share(self, tree: SelectionTree, by_condition: dict[str, dict[str, TreeField]]) -> None:
        """What every concrete type selects in the same words is selected once, on the interface."""
        if tree.type_name == ENTITY or not self.graph.is_abstract_in(tree.type_name, self.subgraph):
            return
        types = self.graph.local_types(tree.type_name, self.subgraph)
        if not types or not all(name in by_condition for name in types):
            return
        for text, entry in list(by_condition[min(types)].items()):
            if self._declared(tree.type_name, entry) and all(text in by_condition[name] for name in types):
                by_condition.setdefault("", {})[text] = entry
                for name in types:
                    del by_condition[name][text]

    def _declared(self, type_name: str, entry: TreeField) -> bool:
        """Whether the subgraph's interface has the field, and the same may be selected below it."""
        if entry.name == "__typename":
            return True
        definition = self.graph.supergraph.types[type_name].fields.get(entry.name)
        join = definition.joins.get(self.subgraph) if definition is not None else None
        return join is not None and entry.type is not None and join.type.name == entry.type.name

    # -- conflicting shapes --------------------------------------------------------------------------------

    def _aliases(self, tree: SelectionTree, path: RewritePath) -> dict[tuple[str, str, Conditions], str]:
        """Aliases for fields whose answers could not stand under one response key in this request."""
        if tree.type_name != ENTITY and not self.graph.is_abstract_in(tree.type_name, self.subgraph):
            return {}
        kept: dict[str, list[TreeField]] = {}
        aliases: dict[tuple[str, str, Conditions], str] = {}
        for slot, entry in tree.fields.items():
            condition, key, _ = slot
            same = kept.setdefault(key, [])
            if all(compatible(entry, other) for other in same):
                same.append(entry)
                continue
            alias = f"{key}__{condition}"
            if slot not in aliases:
                aliases[slot] = alias
                rename = KeyRenamer((*path, f"... on {condition}", alias), key)
                if rename not in self.renames:
                    self.renames.append(rename)
        return aliases


def compatible(left: TreeField, right: TreeField) -> bool:
    """Whether a subgraph accepts both under one response key on types that never meet.

    Source: GraphQL specification, "Field Selection Merging", SameResponseShape.
    """
    if left is right or left.type is None or right.type is None:
        return left.type is right.type or left is right
    if left.below is None or right.below is None:
        return left.below is right.below and left.type.text == right.type.text
    if left.type.wrapping != right.type.wrapping:
        return False
    theirs = _by_key(right.below.fields.values())
    return all(
        compatible(ours, other)
        for key, fields in _by_key(left.below.fields.values()).items()
        for ours in fields
        for other in theirs.get(key, ())
    )


def _by_key(fields: Iterable[TreeField]) -> dict[str, list[TreeField]]:
    found: dict[str, list[TreeField]] = {}
    for entry in fields:
        found.setdefault(entry.key, []).append(entry)
    return found
