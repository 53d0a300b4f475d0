"""A type has every field of the interfaces it implements, of a fitting type (GraphQL:
IsValidImplementation)."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import FieldDef, Kind, Subgraph, TypeDef
from schema.composition.validate.report import problem
from schema.federation.type_refs import ListOf, Named, NonNull, TypeRef
from schema.problems import Problem


def implementations(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report what keeps a type from being what it says it implements."""
    for owner in graph.types.values():
        for name in owner.interfaces:
            interface = graph.types.get(name)
            if interface is not None and interface.kind is Kind.INTERFACE:
                yield from _implementation(graph, owner, interface)


def _implementation(graph: Subgraph, owner: TypeDef, interface: TypeDef) -> Iterator[Problem]:
    missing = [name for name in interface.interfaces if name not in owner.interfaces and name != owner.name]
    for name in missing:
        yield problem(
            "INVALID_GRAPHQL",
            f"`{owner.name}` implements `{interface.name}`, so it must implement `{name}` too",
            owner.name,
            owner.at,
            mend=f"write `implements {interface.name} & {name}`",
        )
    for wanted in interface.fields.values():
        found = owner.fields.get(wanted.name)
        if found is None:
            yield problem(
                "INTERFACE_FIELD_NO_IMPLEM",
                f"`{owner.name}` implements `{interface.name}` and lacks its field `{wanted.name}`",
                f"{owner.name}.{wanted.name}",
                owner.at,
                wanted.at,
                mend=f"add `{wanted.name}: {wanted.type}` to `{owner.name}`",
            )
        else:
            yield from _field(graph, owner, interface, found, wanted)


def _field(
    graph: Subgraph, owner: TypeDef, interface: TypeDef, found: FieldDef, wanted: FieldDef
) -> Iterator[Problem]:
    coordinate = f"{owner.name}.{found.name}"
    if not _fits(graph, found.type, wanted.type):
        yield problem(
            "INVALID_GRAPHQL",
            f"`{coordinate}` is `{found.type}`, and `{interface.name}` wants `{wanted.type}`",
            coordinate,
            found.at,
            wanted.at,
        )
    for argument in wanted.arguments.values():
        given = found.arguments.get(argument.name)
        if given is None or given.type != argument.type:
            yield problem(
                "INVALID_GRAPHQL",
                f"`{coordinate}` must take `{argument.name}: {argument.type}`, as `{interface.name}` does",
                f"{coordinate}({argument.name}:)",
                found.at,
                argument.at,
            )
    for given in found.arguments.values():
        is_required = isinstance(given.type, NonNull) and given.default is None
        if given.name not in wanted.arguments and is_required:
            yield problem(
                "INVALID_GRAPHQL",
                f"`{coordinate}({given.name}:)` is required, and `{interface.name}` knows no such argument",
                f"{coordinate}({given.name}:)",
                given.at,
                wanted.at,
                mend="make it optional",
            )


def _fits(graph: Subgraph, narrow: TypeRef, wide: TypeRef) -> bool:
    if isinstance(wide, NonNull):
        return isinstance(narrow, NonNull) and _fits(graph, narrow.of, wide.of)
    if isinstance(narrow, NonNull):
        return _fits(graph, narrow.of, wide)
    if isinstance(wide, ListOf) or isinstance(narrow, ListOf):
        return isinstance(wide, ListOf) and isinstance(narrow, ListOf) and _fits(graph, narrow.of, wide.of)
    return _is_named_subtype(graph, narrow, wide)


def _is_named_subtype(graph: Subgraph, narrow: Named, wide: Named) -> bool:
    if narrow == wide:
        return True
    container, member = graph.types.get(wide.name), graph.types.get(narrow.name)
    if container is None or member is None:
        return False
    return narrow.name in container.members or wide.name in member.interfaces
