"""What follows from a subgraph's directives: which fields are external, provided, shareable, in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from schema.composition.context_references import context_reference
from schema.composition.subgraph import FieldDef, Kind, Subgraph, TypeDef, find, has
from schema.federation.field_sets import FieldSetSyntax, fields_text, parse_field_set
from schema.federation.type_refs import named

Coordinate = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """A field that a field set selects, with the node that selects it."""

    owner: str
    field: FieldDef
    node: FieldNode

    @property
    def coordinate(self) -> Coordinate:
        """Type and field name."""
        return self.owner, self.field.name


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """Coordinates of one subgraph, by what is true of them."""

    external: frozenset[Coordinate]
    provided: frozenset[Coordinate]
    shareable: frozenset[Coordinate]
    used: frozenset[Coordinate]
    key_fields: frozenset[Coordinate]

    def is_external(self, at: Coordinate) -> bool:
        """Whether the subgraph only refers to the field."""
        return at in self.external

    def is_fully_external(self, at: Coordinate) -> bool:
        """External, and no @provides lets the subgraph resolve it on any path."""
        return at in self.external and at not in self.provided


def selection_on(text: str | None) -> SelectionSetNode | None:
    """The selection of a field set; None when it is none (validation reports that)."""
    try:
        return None if text is None else parse_field_set(text)
    except FieldSetSyntax:
        return None


def targets(
    graph: Subgraph, owner: str, selection: SelectionSetNode | None, *, implementations: bool = False
) -> Iterator[Target]:
    """Every field that the selection picks, nested ones included; with `implementations`, an interface's
    field also stands for the same field of each implementing type."""
    if selection is None:
        return
    for item in selection.selections:
        if isinstance(item, InlineFragmentNode):
            inner = item.type_condition.name.value if item.type_condition else owner
            yield from targets(graph, inner, item.selection_set, implementations=implementations)
        elif isinstance(item, FieldNode):
            yield from _field_targets(graph, owner, item, implementations=implementations)


def _field_targets(
    graph: Subgraph, owner: str, item: FieldNode, *, implementations: bool
) -> Iterator[Target]:
    found = graph.field(owner, item.name.value)
    if found is None:
        return
    yield Target(owner, found, item)
    if implementations and graph.types[owner].kind is Kind.INTERFACE:
        for name in sorted(graph.runtime_types(owner)):
            implementation = graph.field(name, item.name.value)
            if implementation is not None:
                yield Target(name, implementation, item)
    yield from targets(graph, named(found.type), item.selection_set, implementations=implementations)


def field_facts(graph: Subgraph) -> FieldFacts:
    """The facts of one subgraph."""
    keys = frozenset(t.coordinate for t in _key_targets(graph))
    provided = frozenset(t.coordinate for t in _field_set_targets(graph, "provides"))
    required = frozenset(t.coordinate for t in _field_set_targets(graph, "requires"))
    external = _external(graph)
    return FieldFacts(
        external=external,
        provided=provided,
        shareable=_shareable(graph, keys, provided & external),
        used=keys.union(
            provided, required, _satisfying_interfaces(graph), (t.coordinate for t in _context_targets(graph))
        ),
        key_fields=keys,
    )


def _key_targets(graph: Subgraph) -> Iterator[Target]:
    for owner in graph.types.values():
        for key in find(owner.directives, "key"):
            selection = selection_on(fields_text(key.arguments.get("fields")))
            yield from targets(graph, owner.name, selection, implementations=True)


def _field_set_targets(graph: Subgraph, directive: str) -> Iterator[Target]:
    for owner in graph.types.values():
        for item in owner.fields.values():
            for applied in find(item.directives, directive):
                base = named(item.type) if directive == "provides" else owner.name
                selection = selection_on(fields_text(applied.arguments.get("fields")))
                yield from targets(graph, base, selection, implementations=True)


def _context_targets(graph: Subgraph) -> Iterator[Target]:
    """What the arguments that come from contexts read on the types that set those."""
    for owner in graph.types.values():
        for applied in (d for f in owner.fields.values() for a in f.arguments.values() for d in a.directives):
            if applied.spec and applied.name == "fromContext":
                name, selection = context_reference(applied.text("field")) or ("", "")
                for setter in setters(graph, name):
                    yield from targets(graph, setter, selection_on(selection), implementations=True)


def setters(graph: Subgraph, context: str) -> list[str]:
    """The types that set the context."""
    return [
        owner.name
        for owner in graph.types.values()
        if any(applied.text("name") == context for applied in find(owner.directives, "context"))
    ]


def _external(graph: Subgraph) -> frozenset[Coordinate]:
    fake = set(_fake_externals(graph))
    return frozenset(
        (owner.name, item.name)
        for owner in graph.types.values()
        for item in owner.fields.values()
        if (has(item.directives, "external") and (owner.name, item.name) not in fake)
        or "external" in item.inherited
    )


def _fake_externals(graph: Subgraph) -> Iterator[Coordinate]:
    """Key fields of an extension: marked external by habit, resolvable in fact."""
    for owner in graph.types.values():
        if owner.is_extension:
            for key in find(owner.directives, "key"):
                selection = selection_on(fields_text(key.arguments.get("fields")))
                yield from (t.coordinate for t in targets(graph, owner.name, selection))


def _shareable(
    graph: Subgraph, keys: frozenset[Coordinate], provided: frozenset[Coordinate]
) -> frozenset[Coordinate]:
    return frozenset(
        (owner.name, item.name)
        for owner in graph.types.values()
        for item in owner.fields.values()
        if _says_shareable(owner, item)
        or (owner.name, item.name) in keys
        or (owner.name, item.name) in provided
    )


def _says_shareable(owner: TypeDef, item: FieldDef) -> bool:
    return owner.kind is not Kind.OBJECT or "shareable" in item.inherited or has(item.directives, "shareable")


def _satisfying_interfaces(graph: Subgraph) -> Iterator[Coordinate]:
    for owner in graph.types.values():
        for interface in owner.interfaces:
            declared = graph.types.get(interface)
            if declared is not None:
                yield from ((owner.name, name) for name in declared.fields if name in owner.fields)
