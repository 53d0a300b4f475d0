"""Rewrites the field sets of `@requires` and `@provides` while a Federation 1 subgraph is upgraded."""

from __future__ import annotations

from dataclasses import replace

from graphql import FieldNode, InlineFragmentNode, SelectionNode, SelectionSetNode, StringValueNode

from schema.composition.facts import Coordinate, selection_on
from schema.composition.subgraph import Applied, Directives, FieldDef, Subgraph
from schema.federation.field_sets import fields_text, print_field_set
from schema.federation.type_refs import named


def with_text_fields(directives: Directives) -> Directives:
    """Lists and bare names in `fields` become one string."""
    return tuple(
        _normalised(d) if d.spec and d.name in ("key", "requires", "provides") else d for d in directives
    )


def _normalised(applied: Applied) -> Applied:
    value = applied.arguments.get("fields")
    text = fields_text(value)
    if text is None or isinstance(value, StringValueNode):
        return applied
    return with_fields(applied, text)


def with_fields(applied: Applied, text: str) -> Applied:
    """The same directive with other fields."""
    return replace(applied, arguments={**applied.arguments, "fields": StringValueNode(value=text)})


def only_external(graph: Subgraph, external: frozenset[Coordinate], owner: str, item: FieldDef) -> Directives:
    """The field's directives with inert selections gone: what is not external needs no @requires or
    @provides.
    """
    kept = []
    for applied in item.directives:
        if not (applied.spec and applied.name in ("requires", "provides")):
            kept.append(applied)
            continue
        base = named(item.type) if applied.name == "provides" else owner
        selection = selection_on(fields_text(applied.arguments.get("fields")))
        pruned = None if selection is None else _prune(graph, external, base, selection, under_external=False)
        if selection is None:
            kept.append(applied)
        elif pruned is not None:
            kept.append(with_fields(applied, print_field_set(pruned)))
    return tuple(kept)


def _prune(
    graph: Subgraph,
    external: frozenset[Coordinate],
    owner: str,
    selection: SelectionSetNode,
    *,
    under_external: bool,
) -> SelectionSetNode | None:
    kept: list[SelectionNode] = []
    for item in selection.selections:
        if isinstance(item, InlineFragmentNode):
            inner = item.type_condition.name.value if item.type_condition else owner
            pruned = _prune(graph, external, inner, item.selection_set, under_external=under_external)
            if pruned is not None:
                kept.append(InlineFragmentNode(type_condition=item.type_condition, selection_set=pruned))
        elif isinstance(item, FieldNode):
            node = _prune_field(graph, external, owner, item, under_external=under_external)
            if node is not None:
                kept.append(node)
    return SelectionSetNode(selections=tuple(kept)) if kept else None


def _prune_field(
    graph: Subgraph, external: frozenset[Coordinate], owner: str, item: FieldNode, *, under_external: bool
) -> FieldNode | None:
    found = graph.field(owner, item.name.value)
    if found is None:
        return item
    is_external = under_external or _is_external(graph, external, owner, found.name)
    if item.selection_set is None:
        return item if is_external else None
    pruned = _prune(graph, external, named(found.type), item.selection_set, under_external=is_external)
    return (
        None if pruned is None else FieldNode(name=item.name, arguments=item.arguments, selection_set=pruned)
    )


def _is_external(graph: Subgraph, external: frozenset[Coordinate], owner: str, name: str) -> bool:
    runtime = graph.runtime_types(owner) | {owner}
    return any((possible, name) in external for possible in runtime)
