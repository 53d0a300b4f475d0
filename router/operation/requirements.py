"""Requirements: what each field of a supergraph asks of its caller, by schema coordinate.

Built once for a supergraph from `@classified`, `@authenticated`, `@requiresScopes` and `@policy`; a field
answers for itself, its parent type, its return type, the fields that it `@requires` and, on an interface,
for every implementation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from graphql import DirectiveNode, SchemaDefinitionNode, SchemaExtensionNode, value_from_ast_untyped

from authz.classes import DataClass
from schema.supergraph.applied import Arguments, argument_names, argument_text, arguments_of, named
from schema.supergraph.field_sets import FieldSet, FieldSetFragment, parse_field_set
from schema.supergraph.model import FieldDefinition, Supergraph, TypeDefinition, TypeKind


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A valid token, whoever's."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """All scopes of one of the alternatives."""

    alternatives: frozenset[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of one of the alternatives, by name."""

    alternatives: frozenset[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Classified:
    """The right to do `action` with this class of data, for at least some row."""

    data_class: DataClass
    action: str = "read"


Requirement: TypeAlias = Authenticated | Scopes | Policies | Classified

MEANINGS = frozenset({"authenticated", "requiresScopes", "policy", "classified"})


class UnknownDataClass(ValueError):
    """A supergraph classifies a field with a class that this router has no rule for."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """Coordinate `(type, field)` → what the field asks for. A field without an entry asks for nothing."""

    by_field: Mapping[tuple[str, str], tuple[Requirement, ...]]

    def of(self, type_name: str, field_name: str) -> tuple[Requirement, ...]:
        """All requirements of one field; every one of them has to be met."""
        return self.by_field.get((type_name, field_name), ())

    def all(self) -> frozenset[Requirement]:
        """Every requirement of the graph, each once."""
        return frozenset(one for found in self.by_field.values() for one in found)


def requirements_of(supergraph: Supergraph) -> Requirements:
    """The requirements of every field of the supergraph.

    Errors: UnknownDataClass for `@classified(as:)` with a class outside `authz.classes.DataClass`.
    """
    read = _Reader(supergraph)
    own = {
        (type_.name, field.name): _distinct(read.of_field(type_, field))
        for type_ in supergraph.types.values()
        if type_.is_composite
        for field in type_.fields.values()
    }
    whole = {key: _distinct((*found, *_of_required(supergraph, own, key))) for key, found in own.items()}
    return Requirements({key: found for key, found in _with_implementations(supergraph, whole) if found})


def _of_required(
    supergraph: Supergraph, own: Mapping[tuple[str, str], tuple[Requirement, ...]], key: tuple[str, str]
) -> Iterator[Requirement]:
    """What Federation's directives ask for on fields that this one is computed from, however far away.

    Composition refuses a graph in which a field asks for less than those: it may be of another composer.
    """
    seen, to_follow = {key}, list(_required(supergraph, key))
    while to_follow:
        found = to_follow.pop()
        if found not in seen:
            seen.add(found)
            yield from (one for one in own.get(found, ()) if not isinstance(one, Classified))
            to_follow.extend(_required(supergraph, found))


def _required(supergraph: Supergraph, key: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The fields that the field's `@requires` or `@fromContext` names, in any subgraph."""
    type_name, field_name = key
    type_ = supergraph.types.get(type_name)
    field = type_.fields.get(field_name) if type_ else None
    for join in field.joins.values() if field else ():
        yield from _named_in(supergraph, type_name, join.requires)
        for argument in join.context_arguments:
            for setter in supergraph.contexts.get(argument.context, ()):
                yield from _named_in(supergraph, setter, parse_field_set(argument.selection))


def _named_in(supergraph: Supergraph, type_name: str, selected: FieldSet) -> Iterator[tuple[str, str]]:
    type_ = supergraph.types.get(type_name)
    for one in selected:
        if isinstance(one, FieldSetFragment):
            yield from _named_in(supergraph, one.type_condition or type_name, one.selections)
            continue
        yield type_name, one.name
        # an interface's field is read from its objects
        for object_ in supergraph.possible_types.get(type_name, ()):
            yield object_, one.name
        if type_ is not None and (field := type_.fields.get(one.name)):
            yield from _named_in(supergraph, field.type.name, one.selections)


def _with_implementations(
    supergraph: Supergraph, own: Mapping[tuple[str, str], tuple[Requirement, ...]]
) -> Iterator[tuple[tuple[str, str], tuple[Requirement, ...]]]:
    """A field of an interface may be answered by any of its objects: it asks for what they all ask."""
    for (type_name, field_name), found in own.items():
        if supergraph.types[type_name].kind is TypeKind.INTERFACE:
            objects = sorted(supergraph.possible_types[type_name])
            found = _distinct(
                (*found, *(one for object_ in objects for one in own.get((object_, field_name), ())))
            )
        yield (type_name, field_name), found


class _Reader:
    """Reads applied directives by the names that the supergraph knows them under; each type's own once."""

    def __init__(self, supergraph: Supergraph) -> None:
        self._meanings = meanings_of(supergraph)
        self._types = {name: tuple(self._read(one.directives)) for name, one in supergraph.types.items()}

    def of_field(self, type_: TypeDefinition, field: FieldDefinition) -> Iterator[Requirement]:
        yield from self._read(field.directives)
        yield from self._types[type_.name]
        yield from self._types.get(field.type.name, ())

    def _read(self, directives: Iterable[DirectiveNode]) -> Iterator[Requirement]:
        for directive in directives:
            meaning = self._meanings.get(directive.name.value)
            if meaning is not None:
                yield from _requirement(meaning, directive)


def meanings_of(supergraph: Supergraph) -> dict[str, str]:
    """Directive name in this supergraph → what it means. INVARIANT: a rename never lifts a requirement."""
    meanings = {name: name for name in MEANINGS}
    for node in supergraph.document.definitions:
        if isinstance(node, SchemaDefinitionNode | SchemaExtensionNode):
            for link in named(node.directives, "link"):
                meanings.update(_renamed(arguments_of(link)))
    return meanings


def _renamed(link: Arguments) -> Iterator[tuple[str, str]]:
    spec = (argument_text(link, "url") or "").rstrip("/").rpartition("/")[0].rpartition("/")[2]
    if spec in MEANINGS and (alias := argument_text(link, "as")):
        yield alias, spec
    for name, alias in argument_names(link, "import"):
        if alias and (meaning := name.removeprefix("@")) in MEANINGS:
            yield alias.removeprefix("@"), meaning


def _distinct(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    return tuple(dict.fromkeys(requirements))


def _requirement(meaning: str, directive: DirectiveNode) -> Iterator[Requirement]:
    arguments = {one.name.value: value_from_ast_untyped(one.value) for one in directive.arguments or ()}
    match meaning:
        case "authenticated":
            yield Authenticated()
        case "requiresScopes":
            yield from (Scopes(found) for found in _alternatives(arguments.get("scopes")))
        case "policy":
            yield from (Policies(found) for found in _alternatives(arguments.get("policies")))
        case "classified":
            yield _classified(arguments)


def _alternatives(written: object) -> Iterator[frozenset[frozenset[str]]]:
    """The disjunction as a set of sets; nothing where it is empty or one alternative asks for nothing."""
    rows = written if isinstance(written, list) else []
    alternatives = frozenset(frozenset(row) if isinstance(row, list) else frozenset({row}) for row in rows)
    if alternatives and frozenset() not in alternatives:
        yield alternatives


def _classified(arguments: Mapping[str, object]) -> Classified:
    named = arguments.get("as")
    try:
        data_class = DataClass(str(named))
    except ValueError:
        known = ", ".join(DataClass)
        raise UnknownDataClass(f"unknown data class `{named}`; known are {known}") from None
    action = arguments.get("action")
    return Classified(data_class, action if isinstance(action, str) else "read")
