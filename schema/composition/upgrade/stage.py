"""All subgraphs together → `UpgradedSubgraph`s: what a Federation 1 schema left unsaid depends on the
others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from schema.composition.facts import Coordinate, field_facts, selection_on, targets
from schema.composition.parse import ParsedSubgraph
from schema.composition.subgraph import ROOTS, FieldDef, Kind, Subgraph, TypeDef, find, has
from schema.composition.upgrade.edit import applied, edit_fields, edit_types, without
from schema.composition.upgrade.field_set_edit import only_external, with_text_fields
from schema.federation.field_sets import fields_text
from schema.federation.type_refs import named
from schema.problems import Problem

_COMPOSITE = (Kind.OBJECT, Kind.INTERFACE, Kind.UNION)


@dataclass(frozen=True, slots=True)
class UpgradedSubgraph:
    """A subgraph that means what Federation 2 says it means."""

    graph: Subgraph
    was_fed1: bool = False


def upgrade(parsed: Sequence[ParsedSubgraph], problems: list[Problem]) -> list[UpgradedSubgraph]:
    """Every subgraph in Federation 2's terms; those that are so already pass unchanged."""
    graphs = [p.graph for p in parsed]
    resolving = _resolving(graphs) if any(graph.is_fed1 for graph in graphs) else {}
    upgraded = []
    for graph in graphs:
        others = [other for other in graphs if other is not graph]
        if graph.is_fed1:
            _require_bases(graph, others, problems)
            upgraded.append(UpgradedSubgraph(_upgrade(graph, others, resolving, problems), was_fed1=True))
        else:
            upgraded.append(UpgradedSubgraph(graph))
    return upgraded


def _require_bases(graph: Subgraph, others: Sequence[Subgraph], problems: list[Problem]) -> None:
    for owner in graph.types.values():
        if not owner.is_extension or owner.name in ROOTS:
            continue
        if not any(owner.name in o.types and not o.types[owner.name].is_extension for o in others):
            problems.append(
                Problem(
                    "EXTENSION_WITH_NO_BASE",
                    f"`{owner.name}` is extended in `{graph.name}`, and no subgraph defines it",
                    owner.name,
                    (owner.at,),
                    "remove `extend` where the type is at home",
                )
            )


def _upgrade(
    graph: Subgraph,
    others: Sequence[Subgraph],
    resolving: Mapping[Coordinate, set[str]],
    problems: list[Problem],
) -> Subgraph:
    graph = _normalise_field_sets(graph)
    graph = _without_misplaced_externals(graph)
    graph = _without_extension_externals(graph, others)
    graph = _without_inert_field_sets(graph)
    graph = edit_types(graph, lambda owner: replace(owner, is_extension=has(owner.directives, "extends")))
    graph = _without_interface_directives(graph)
    graph = _without_unused_externals(graph, problems)
    return _without_external_tags(_with_shareable(graph, others, resolving), others)


def _normalise_field_sets(graph: Subgraph) -> Subgraph:
    graph = edit_types(graph, lambda owner: replace(owner, directives=with_text_fields(owner.directives)))
    return edit_fields(graph, lambda _, item: replace(item, directives=with_text_fields(item.directives)))


def _without_misplaced_externals(graph: Subgraph) -> Subgraph:
    """`@external` on a whole type, or on an interface's field, meant nothing in Federation 1."""

    def on_field(owner: TypeDef, item: FieldDef) -> FieldDef:
        item = replace(item, inherited=item.inherited - {"external"})
        return (
            replace(item, directives=without(item.directives, "external"))
            if owner.kind is Kind.INTERFACE
            else item
        )

    return edit_types(
        edit_fields(graph, on_field),
        lambda owner: replace(owner, directives=without(owner.directives, "external")),
    )


def _without_extension_externals(graph: Subgraph, others: Sequence[Subgraph]) -> Subgraph:
    owned = {
        at
        for owner in graph.types.values()
        if owner.is_extension
        for at in _extension_keys(graph, owner, others)
    }

    def edit(owner: TypeDef, item: FieldDef) -> FieldDef:
        if (owner.name, item.name) in owned:
            return replace(item, directives=without(item.directives, "external"))
        return item

    return edit_fields(graph, edit)


def _extension_keys(graph: Subgraph, owner: TypeDef, others: Sequence[Subgraph]) -> list[Coordinate]:
    texts = _keys(owner)
    if not texts:
        elsewhere = (
            text for other in others if owner.name in other.types for text in _keys(other.types[owner.name])
        )
        texts = [text for text in [next(elsewhere, None)] if text is not None]
    return [t.coordinate for text in texts for t in targets(graph, owner.name, selection_on(text))]


def _keys(owner: TypeDef) -> list[str]:
    texts = (fields_text(key.arguments.get("fields")) for key in find(owner.directives, "key"))
    return [text for text in texts if text is not None]


def _without_inert_field_sets(graph: Subgraph) -> Subgraph:
    external = field_facts(graph).external

    def edit(owner: TypeDef, item: FieldDef) -> FieldDef:
        return replace(item, directives=only_external(graph, external, owner.name, item))

    return edit_fields(graph, edit)


def _without_interface_directives(graph: Subgraph) -> Subgraph:
    def edit(owner: TypeDef, item: FieldDef) -> FieldDef:
        if owner.kind is Kind.INTERFACE:
            return replace(item, directives=without(item.directives, "requires", "provides"))
        returned = graph.types.get(named(item.type))
        if returned is None or returned.kind not in _COMPOSITE:
            return replace(item, directives=without(item.directives, "provides"))
        return item

    graph = edit_fields(graph, edit)
    return edit_types(
        graph,
        lambda owner: (
            replace(owner, directives=without(owner.directives, "key"))
            if owner.kind is Kind.INTERFACE
            else owner
        ),
    )


def _without_unused_externals(graph: Subgraph, problems: list[Problem]) -> Subgraph:
    facts = field_facts(graph)

    def edit(owner: TypeDef, item: FieldDef) -> FieldDef | None:
        at = (owner.name, item.name)
        return None if at in facts.external and at not in facts.used else item

    emptied = edit_fields(graph, edit)
    empty = {t.name for t in emptied.types.values() if graph.types[t.name].fields and not t.fields}
    problems.extend(
        Problem(
            "TYPE_WITH_ONLY_UNUSED_EXTERNAL",
            f"`{name}` in `{graph.name}` has only external fields, and nothing uses them",
            name,
            (graph.types[name].at,),
            f"remove `{name}` there, or `@external` from the fields that it resolves",
        )
        for name in sorted(empty & _referenced(emptied))
    )
    return edit_types(emptied, lambda owner: None if owner.name in empty else owner)


def _referenced(graph: Subgraph) -> set[str]:
    found = {named(item.type) for owner in graph.types.values() for item in owner.fields.values()}
    return found.union(*(owner.members for owner in graph.types.values()))


def _resolving(graphs: Sequence[Subgraph]) -> dict[Coordinate, set[str]]:
    """For each field the subgraphs that resolve it on some path."""
    found: dict[Coordinate, set[str]] = {}
    for graph in graphs:
        facts = field_facts(graph)
        for owner in graph.types.values():
            for name in owner.fields:
                if not facts.is_fully_external((owner.name, name)):
                    found.setdefault((owner.name, name), set()).add(graph.name)
    return found


def _with_shareable(
    graph: Subgraph, others: Sequence[Subgraph], resolving: Mapping[Coordinate, set[str]]
) -> Subgraph:
    facts = field_facts(graph)
    elsewhere = {name for other in others for name in other.types}

    def resolved_elsewhere(owner: str, name: str) -> bool:
        return bool(resolving.get((owner, name), set()) - {graph.name})

    def edit(owner: TypeDef, item: FieldDef) -> FieldDef:
        if (
            owner.kind is not Kind.OBJECT
            or owner.name == "Subscription"
            or (owner.name, item.name) in facts.shareable
        ):
            return item
        if has(owner.directives, "key") or owner.name in ROOTS:
            is_shared = (owner.name, item.name) not in facts.external and resolved_elsewhere(
                owner.name, item.name
            )
        else:
            is_shared = owner.name in elsewhere
        return (
            replace(item, directives=(*item.directives, applied("shareable", item.at))) if is_shared else item
        )

    return edit_fields(graph, edit)


def _without_external_tags(graph: Subgraph, others: Sequence[Subgraph]) -> Subgraph:
    external = field_facts(graph).external

    def edit(owner: TypeDef, item: FieldDef) -> FieldDef:
        if (owner.name, item.name) not in external:
            return item
        return replace(item, directives=without(item.directives, "tag"))

    return edit_fields(graph, edit) if others else graph
