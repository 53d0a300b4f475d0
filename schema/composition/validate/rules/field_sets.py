"""`@key`, `@requires` and `@provides` select fields that exist, in the way each of them may."""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode, StringValueNode

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Applied, FieldDef, Kind, Subgraph, TypeDef, find, has, is_required
from schema.composition.validate.report import problem
from schema.federation.field_sets import FieldSetSyntax, parse_field_set
from schema.federation.type_refs import named
from schema.federation.urls import Version
from schema.problems import Problem

_COMPOSITE = (Kind.OBJECT, Kind.INTERFACE, Kind.UNION)


@dataclass(frozen=True, slots=True)
class _Scope:
    """One field set being checked. `prefix` is KEY, REQUIRES or PROVIDES."""

    graph: Subgraph
    facts: FieldFacts
    applied: Applied
    coordinate: str
    prefix: str

    def broken(self, message: str, *, code: str = "INVALID_FIELDS", mend: str | None = None) -> Problem:
        text = self.applied.text("fields")
        return problem(
            f"{self.prefix}_{code}",
            f"`@{self.applied.name}(fields: {text!r})` on `{self.coordinate}`: {message}".replace("'", '"'),
            self.coordinate,
            self.applied.at,
            mend=mend,
        )


def field_sets(graph: Subgraph, facts: FieldFacts) -> Iterator[Problem]:
    """Report each field set that cannot be what it is used for."""
    for owner in graph.types.values():
        yield from _keys(graph, facts, owner)
        for item in owner.fields.values():
            yield from _on_field(graph, facts, owner, item)


def _keys(graph: Subgraph, facts: FieldFacts, owner: TypeDef) -> Iterator[Problem]:
    for applied in find(owner.directives, "key"):
        scope = _Scope(graph, facts, applied, owner.name, "KEY")
        if owner.kind is Kind.INTERFACE and Version(2, 0) <= graph.version < Version(2, 3):
            yield scope.broken(
                "interfaces have no keys before federation v2.3",
                code="UNSUPPORTED_ON_INTERFACE",
                mend="link federation v2.3 or later",
            )
        else:
            yield from _check(scope, owner.name)


def _on_field(graph: Subgraph, facts: FieldFacts, owner: TypeDef, item: FieldDef) -> Iterator[Problem]:
    coordinate = f"{owner.name}.{item.name}"
    for applied in (*find(item.directives, "requires"), *find(item.directives, "provides")):
        scope = _Scope(graph, facts, applied, coordinate, applied.name.upper())
        if owner.kind is Kind.INTERFACE:
            yield scope.broken(
                "it cannot be on a field of an interface",
                code="UNSUPPORTED_ON_INTERFACE",
                mend="write it on the fields of the implementing types",
            )
        elif applied.name == "requires":
            yield from _check(scope, owner.name)
        else:
            yield from _provides(scope, item)


def _provides(scope: _Scope, item: FieldDef) -> Iterator[Problem]:
    returned = scope.graph.types.get(named(item.type))
    if returned is None or returned.kind not in _COMPOSITE:
        yield problem(
            "PROVIDES_ON_NON_OBJECT_FIELD",
            f"`{scope.coordinate}` is `{item.type}`, which has no fields to provide",
            scope.coordinate,
            scope.applied.at,
            mend="remove `@provides`",
        )
    else:
        yield from _check(scope, returned.name)


def _check(scope: _Scope, owner: str) -> Iterator[Problem]:
    value = scope.applied.arguments.get("fields")
    if not isinstance(value, StringValueNode):
        yield scope.broken(
            "`fields` must be a string", code="INVALID_FIELDS_TYPE", mend='write `fields: "id"`'
        )
        return
    try:
        selection = parse_field_set(value.value)
    except FieldSetSyntax as error:
        yield scope.broken(f"it is no selection: {error}", mend='name fields, as in `"id owner { id }"`')
        return
    yield from _selection(scope, owner, selection, is_external=False)


def _selection(
    scope: _Scope, owner: str, selection: SelectionSetNode, *, is_external: bool
) -> Iterator[Problem]:
    for item in selection.selections:
        if item.directives:
            yield scope.broken("directives cannot be used in it", code="DIRECTIVE_IN_FIELDS_ARG")
        if isinstance(item, InlineFragmentNode):
            yield from _fragment(scope, owner, item, is_external=is_external)
        elif isinstance(item, FieldNode):
            yield from _field(scope, owner, item, is_external=is_external)
        else:
            yield scope.broken("named fragments cannot be used in it")


def _fragment(scope: _Scope, owner: str, item: InlineFragmentNode, *, is_external: bool) -> Iterator[Problem]:
    name = item.type_condition.name.value if item.type_condition else owner
    if name not in scope.graph.types:
        yield scope.broken(f"`{name}` is no type of this subgraph")
    elif not (scope.graph.runtime_types(name) & scope.graph.runtime_types(owner)):
        yield scope.broken(f"a `{owner}` can never be a `{name}`")
    else:
        yield from _selection(scope, name, item.selection_set, is_external=is_external)


def _field(scope: _Scope, owner: str, item: FieldNode, *, is_external: bool) -> Iterator[Problem]:
    name = item.name.value
    if name == "__typename":
        return
    found = scope.graph.field(owner, name)
    if found is None:
        yield scope.broken(
            f"`{owner}` has no field `{name}` in this subgraph", mend=f"declare `{owner}.{name}` here"
        )
        return
    if item.alias is not None:
        yield scope.broken("aliases cannot be used in it")
    yield from _arguments(scope, owner, found, item)
    is_parent_external, is_external = is_external, is_external or _is_external(scope, owner, name)
    returned = scope.graph.types.get(named(found.type))
    is_composite = returned is not None and returned.kind in _COMPOSITE
    if scope.prefix == "KEY" and returned is not None and returned.kind in (Kind.UNION, Kind.INTERFACE):
        yield scope.broken(
            f"`{owner}.{name}` is of kind {returned.kind.value}, which a key cannot hold",
            code="FIELDS_SELECT_INVALID_TYPE",
            mend="choose fields of objects, scalars and enums",
        )
    elif item.selection_set is not None and not is_composite:
        yield scope.broken(f"`{owner}.{name}` is `{found.type}` and has no fields of its own")
    elif item.selection_set is None and is_composite:
        yield scope.broken(
            f"`{owner}.{name}` is `{found.type}`: say which of its fields", mend=f"write `{name} {{ … }}`"
        )
    elif item.selection_set is not None:
        yield from _selection(scope, named(found.type), item.selection_set, is_external=is_external)
    elif scope.prefix != "KEY" and not is_parent_external and (owner, name) not in scope.facts.external:
        yield _missing_external(scope, owner, name)


def _arguments(scope: _Scope, owner: str, found: FieldDef, item: FieldNode) -> Iterator[Problem]:
    given = {argument.name.value for argument in item.arguments or ()}
    wanting = [a.name for a in found.arguments.values() if is_required(a) and a.name not in given]
    if wanting:
        yield scope.broken(
            f"`{owner}.{found.name}` wants the argument `{wanting[0]}`",
            mend=f"give it, as in `{found.name}({wanting[0]}: …)`"
            if scope.prefix == "REQUIRES"
            else "choose fields without arguments",
        )
    elif found.arguments and scope.prefix != "REQUIRES":
        yield scope.broken(
            f"`{owner}.{found.name}` takes arguments, which it cannot give",
            code="FIELDS_HAS_ARGS",
            mend="choose fields without arguments",
        )
    for argument in item.arguments or ():
        if argument.name.value not in found.arguments:
            yield scope.broken(f"`{owner}.{found.name}` has no argument `{argument.name.value}`")


def _is_external(scope: _Scope, owner: str, name: str) -> bool:
    """An interface's field is as external as that of its implementations."""
    runtime = scope.graph.runtime_types(owner) | {owner}
    return any((possible, name) in scope.facts.external for possible in runtime)


def _missing_external(scope: _Scope, owner: str, name: str) -> Problem:
    if scope.graph.types[owner].kind is Kind.INTERFACE:
        return scope.broken(
            f"`{owner}.{name}` is a field of an interface, which is never external itself",
            code="FIELDS_MISSING_EXTERNAL",
            mend=f"name it in a fragment for each type where it is external: `... on Type {{ {name} }}`",
        )
    is_key = has(scope.graph.types[owner].fields[name].directives, "external")
    why = "is a key of an extension, which counts as its own" if is_key else "is not external"
    return scope.broken(
        f"`{owner}.{name}` {why}, so this subgraph has it anyway",
        code="FIELDS_MISSING_EXTERNAL",
        mend="leave it out" if is_key else f"mark `{owner}.{name}` with `@external`, or leave it out",
    )
