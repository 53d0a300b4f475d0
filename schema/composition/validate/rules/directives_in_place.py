"""Directives are known, stand where they may, once unless repeatable, with the arguments they need."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Applied, Directives, Kind, Subgraph, TypeDef
from schema.composition.validate.report import problem
from schema.federation.directives import FEDERATION_DIRECTIVES
from schema.problems import Problem

_LOCATIONS = {
    Kind.OBJECT: "OBJECT",
    Kind.INTERFACE: "INTERFACE",
    Kind.UNION: "UNION",
    Kind.ENUM: "ENUM",
    Kind.INPUT: "INPUT_OBJECT",
    Kind.SCALAR: "SCALAR",
}
_BUILT_IN = {
    "deprecated": (
        {"FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INPUT_FIELD_DEFINITION", "ENUM_VALUE"},
        {"reason": False},
    ),
    "specifiedBy": ({"SCALAR"}, {"url": True}),
    "oneOf": ({"INPUT_OBJECT"}, {}),
    "skip": (set[str](), {"if": True}),
    "include": (set[str](), {"if": True}),
}
_LINK = frozenset({"link", "core"})


@dataclass(frozen=True, slots=True)
class _Shape:
    """What may be written. `arguments`: name → whether it must be given."""

    locations: frozenset[str]
    arguments: Mapping[str, bool]
    is_repeatable: bool


def directives_in_place(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report directives that are unknown or misplaced."""
    yield from _check(graph, "schema", "SCHEMA", graph.schema_directives)
    for owner in graph.types.values():
        yield from _check(graph, owner.name, _LOCATIONS[owner.kind], owner.directives)
        yield from _parts(graph, owner)


def _parts(graph: Subgraph, owner: TypeDef) -> Iterator[Problem]:
    for item in owner.fields.values():
        coordinate = f"{owner.name}.{item.name}"
        yield from _check(graph, coordinate, "FIELD_DEFINITION", item.directives)
        for argument in item.arguments.values():
            where = f"{coordinate}({argument.name}:)"
            yield from _check(graph, where, "ARGUMENT_DEFINITION", argument.directives)
    for argument in owner.inputs.values():
        yield from _check(
            graph, f"{owner.name}.{argument.name}", "INPUT_FIELD_DEFINITION", argument.directives
        )
    for value in owner.values.values():
        yield from _check(graph, f"{owner.name}.{value.name}", "ENUM_VALUE", value.directives)


def _check(graph: Subgraph, coordinate: str, location: str, directives: Directives) -> Iterator[Problem]:
    seen: set[tuple[bool, str]] = set()
    for applied in directives:
        shape = _shape(graph, applied)
        if shape is None:
            if not _is_link(graph, applied):
                yield _unknown(graph, coordinate, applied)
            continue
        if location not in shape.locations:
            yield _invalid(coordinate, applied, f"cannot be on {location}")
        if (applied.spec, applied.name) in seen and not shape.is_repeatable:
            yield _invalid(coordinate, applied, "can be used only once there")
        seen.add((applied.spec, applied.name))
        for name in applied.arguments:
            if name not in shape.arguments:
                yield _invalid(coordinate, applied, f"has no argument `{name}`")
        for name, is_required in shape.arguments.items():
            if is_required and name not in applied.arguments:
                yield _invalid(coordinate, applied, f"needs the argument `{name}`")


def _shape(graph: Subgraph, applied: Applied) -> _Shape | None:
    if applied.spec and applied.name in _BUILT_IN:
        locations, arguments = _BUILT_IN[applied.name]
        return _Shape(frozenset(locations), arguments, is_repeatable=False)
    if applied.spec:
        node = FEDERATION_DIRECTIVES[applied.name].node
        required = {
            a.name.value: a.type.kind == "non_null_type" and a.default_value is None
            for a in node.arguments or ()
        }
        return _Shape(
            frozenset(n.value for n in node.locations), required, _may_repeat(applied.name) or node.repeatable
        )
    definition = graph.directive_defs.get(applied.name)
    if definition is None:
        return None
    required = {
        a.name: str(a.type).endswith("!") and a.default is None for a in definition.arguments.values()
    }
    return _Shape(frozenset(definition.locations), required, definition.is_repeatable)


def _may_repeat(name: str) -> bool:
    """`@external` and `@shareable` on a type and its extensions add up."""
    return name in ("external", "shareable", "extends")


def _is_link(graph: Subgraph, applied: Applied) -> bool:
    if applied.name in _LINK:
        return True
    return any(
        link.url.name in _LINK and link.written(f"@{link.url.name}")[1:] == applied.name
        for link in graph.links
    )


def _unknown(graph: Subgraph, coordinate: str, applied: Applied) -> Problem:
    mend = None
    if applied.name in FEDERATION_DIRECTIVES:
        since = FEDERATION_DIRECTIVES[applied.name].since
        mend = (
            f"it came with federation {since}: add `@link` to the schema"
            if graph.is_fed1
            else f"import `@{applied.name}` in the `@link` to federation {since} or later"
        )
    else:
        close = get_close_matches(applied.name, [*graph.directive_defs, *FEDERATION_DIRECTIVES], n=1)
        mend = f"did you mean `@{close[0]}`?" if close else "define it in this subgraph"
    message = f"unknown directive `@{applied.name}` on `{coordinate}`"
    return problem("INVALID_GRAPHQL", message, coordinate, applied.at, mend=mend)


def _invalid(coordinate: str, applied: Applied, why: str) -> Problem:
    return problem(
        "INVALID_GRAPHQL", f"`@{applied.node.name.value}` on `{coordinate}` {why}", coordinate, applied.at
    )
