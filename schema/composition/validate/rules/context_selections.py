"""What an argument takes from a context: one value, of the argument's type, from each type that sets it.

A selection is one field, down to its leaf, or one inline fragment for each object type that can be there.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql import FieldNode, InlineFragmentNode, SelectionNode, SelectionSetNode

from schema.composition.subgraph import Kind, Subgraph
from schema.federation.field_sets import FieldSetSyntax, parse_field_set
from schema.federation.type_refs import ListOf, Named, NonNull, TypeRef, named, nullable

_COMPOSITE = (Kind.OBJECT, Kind.INTERFACE, Kind.UNION)


class _Unusable(Exception):
    """Says why a selection does not take one value."""


def selection_faults(graph: Subgraph, text: str, setters: list[str], wanted: TypeRef) -> Iterator[str]:
    """Each reason why the selection cannot fill an argument of type `wanted` from each of the setters."""
    try:
        branches = _branches(parse_field_set(text))
    except (FieldSetSyntax, _Unusable) as fault:
        yield str(fault)
        return
    used: set[str | None] = set()
    for setter in setters:
        fitting = _fitting(graph, setter, branches)
        used.update(fitting)
        if not fitting:
            yield f"no branch of it fits `{setter}`, which sets the context"
        for condition, selection in fitting.items():
            yield from _value(graph, condition or setter, selection, wanted, is_branch=condition is not None)
    for condition in branches:
        if condition is not None and setters and condition not in used:
            yield f"its branch for `{condition}` fits no type that sets the context"


def _branches(selection: SelectionSetNode) -> dict[str | None, SelectionSetNode]:
    """The selection for each type condition; under None where there is a field instead of branches."""
    _check_plain(selection)
    if len(selection.selections) == 1 and isinstance(selection.selections[0], FieldNode):
        return {None: selection}
    found: dict[str | None, SelectionSetNode] = {}
    for item in selection.selections:
        if not isinstance(item, InlineFragmentNode):
            raise _Unusable("it takes several fields, and an argument is one value")
        if item.type_condition is None:
            raise _Unusable("a branch of it has no type condition")
        name = item.type_condition.name.value
        if name in found:
            raise _Unusable(f"it has two branches for `{name}`")
        found[name] = item.selection_set
    return found


def _check_plain(selection: SelectionSetNode) -> None:
    for item in selection.selections:
        if item.directives:
            raise _Unusable("directives cannot be used in it")
        if not isinstance(item, FieldNode | InlineFragmentNode):
            raise _Unusable("named fragments cannot be used in it")
        if isinstance(item, FieldNode) and item.alias is not None:
            raise _Unusable("aliases cannot be used in it")
        if item.selection_set is not None:
            _check_plain(item.selection_set)


def _fitting(
    graph: Subgraph, setter: str, branches: dict[str | None, SelectionSetNode]
) -> dict[str | None, SelectionSetNode]:
    possible = graph.runtime_types(setter) | {setter}
    return {
        name: selection
        for name, selection in branches.items()
        if name is None or (name in possible and graph.types[name].kind is Kind.OBJECT)
    }


def _value(
    graph: Subgraph, owner: str, selection: SelectionSetNode, wanted: TypeRef, *, is_branch: bool
) -> Iterator[str]:
    try:
        found = _resolved(graph, owner, selection)
    except _Unusable as fault:
        yield str(fault)
        return
    # Another subgraph may know members that no branch is for: there the value is null.
    given = nullable(found) if is_branch else found
    if not _fits(given, wanted):
        yield f"what it takes from `{owner}` is `{given}`, and the argument is `{wanted}`"


def _resolved(graph: Subgraph, owner: str, selection: SelectionSetNode) -> TypeRef:
    """The type of the one value that the selection takes."""
    types = {_resolved_field(graph, owner, item) for item in selection.selections}
    if len(types) != 1:
        raise _Unusable("it takes several fields, and an argument is one value")
    return types.pop()


def _resolved_field(graph: Subgraph, owner: str, item: SelectionNode) -> TypeRef:
    if not isinstance(item, FieldNode):
        raise _Unusable("it has branches below its first level")
    name = item.name.value
    if graph.types[owner].is_interface_object:
        raise _Unusable(f"`{owner}` is an interface object, whose concrete type nobody knows there")
    if name == "__typename":
        return NonNull(Named("String"))
    found = graph.field(owner, name)
    if found is None:
        raise _Unusable(f"`{owner}` has no field `{name}`")
    unknown = [a.name.value for a in item.arguments or () if a.name.value not in found.arguments]
    if unknown:
        raise _Unusable(f"`{owner}.{name}` has no argument `{unknown[0]}`")
    target = graph.types.get(named(found.type))
    is_composite = target is not None and target.kind in _COMPOSITE
    if is_composite != (item.selection_set is not None):
        need = "say which of its fields" if is_composite else "it has no fields of its own"
        raise _Unusable(f"`{owner}.{name}` is `{found.type}`: {need}")
    if item.selection_set is None:
        return found.type
    return _below(found.type, _resolved(graph, named(found.type), item.selection_set))


def _below(ref: TypeRef, inner: TypeRef) -> TypeRef:
    """The type of `inner` below a value of type `ref`: lists stay, what may be null makes it nullable."""
    if isinstance(ref, Named):
        return nullable(inner)
    if isinstance(ref, ListOf):
        return ListOf(_below(ref.of, inner))
    return inner if isinstance(ref.of, Named) else NonNull(ListOf(_below(ref.of.of, inner)))


def _fits(given: TypeRef, wanted: TypeRef) -> bool:
    if isinstance(wanted, NonNull):
        return isinstance(given, NonNull) and _fits(given.of, wanted.of)
    if isinstance(given, NonNull):
        return _fits(given.of, wanted)
    if isinstance(wanted, ListOf):
        return isinstance(given, ListOf) and _fits(given.of, wanted.of)
    return given == wanted
