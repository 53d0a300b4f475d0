"""Defaults and directive arguments are values of their types (GraphQL: Values of Correct Type).

As existing composers do, a directive's argument may be null, save where null would change what the
directive is for: `@tag`, `@override`, and what demands authorization.
"""

from collections.abc import Iterator, Mapping

from graphql import ValueNode, print_ast

from schema.composition.facts import FieldFacts
from schema.composition.fitting import fits
from schema.composition.subgraph import Applied, Argument, Directives, Subgraph
from schema.composition.validate.report import problem
from schema.federation.directives import FEDERATION_DIRECTIVES
from schema.federation.type_refs import Named, TypeRef, nullable, type_ref
from schema.problems import Problem

_BUILT_IN: Mapping[str, Mapping[str, TypeRef]] = {
    "deprecated": {"reason": Named("String")},
    "specifiedBy": {"url": Named("String")},
}
_NEVER_NULL = frozenset({"tag", "override", "requiresScopes", "policy"})
_SHOWN_CHARACTERS_MAX = 60


def literals(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report values that are not of the type of what they are given to."""
    yield from _applications(graph, "schema", graph.schema_directives)
    for owner in graph.types.values():
        yield from _applications(graph, owner.name, owner.directives)
        for item in owner.fields.values():
            coordinate = f"{owner.name}.{item.name}"
            yield from _applications(graph, coordinate, item.directives)
            for argument in item.arguments.values():
                yield from _input(graph, f"{coordinate}({argument.name}:)", argument)
        for argument in owner.inputs.values():
            yield from _input(graph, f"{owner.name}.{argument.name}", argument)
        for value in owner.values.values():
            yield from _applications(graph, f"{owner.name}.{value.name}", value.directives)
    for definition in graph.directive_defs.values():
        for argument in definition.arguments.values():
            yield from _input(graph, f"@{definition.name}({argument.name}:)", argument)


def _input(graph: Subgraph, coordinate: str, argument: Argument) -> Iterator[Problem]:
    yield from _applications(graph, coordinate, argument.directives)
    if argument.default is not None and not fits(graph.types, argument.default, argument.type):
        yield problem(
            "INVALID_GRAPHQL",
            f"the default {_shown(argument.default)} of `{coordinate}` is no value of `{argument.type}`",
            coordinate,
            argument.at,
            mend="give it a default of its type, or none",
        )


def _applications(graph: Subgraph, coordinate: str, directives: Directives) -> Iterator[Problem]:
    for applied in directives:
        if not applied.arguments:
            continue
        types = _argument_types(graph, applied)
        for name, value in applied.arguments.items():
            wanted = types.get(name)
            if wanted is not None and not fits(graph.types, value, wanted):
                yield problem(
                    "INVALID_GRAPHQL",
                    f"`{name}` of `@{applied.node.name.value}` on `{coordinate}` is {_shown(value)},"
                    f" which is no value of `{wanted}`",
                    coordinate,
                    applied.at,
                    mend=f"give it a value of `{wanted}`",
                )


def _argument_types(graph: Subgraph, applied: Applied) -> Mapping[str, TypeRef]:
    if not applied.spec:
        definition = graph.directive_defs.get(applied.name)
        return {} if definition is None else {a.name: nullable(a.type) for a in definition.arguments.values()}
    if applied.name in FEDERATION_DIRECTIVES:
        arguments = FEDERATION_DIRECTIVES[applied.name].node.arguments or ()
        types = {a.name.value: type_ref(a.type) for a in arguments}
        return types if applied.name in _NEVER_NULL else {name: nullable(t) for name, t in types.items()}
    return _BUILT_IN.get(applied.name, {})


def _shown(value: ValueNode) -> str:
    text = print_ast(value)
    return f"`{text[:_SHOWN_CHARACTERS_MAX]}…`" if len(text) > _SHOWN_CHARACTERS_MAX else f"`{text}`"
