"""Interface objects and entity interfaces: keys where they are needed, on every implementation."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts, selection_on
from schema.composition.subgraph import Kind, Subgraph, TypeDef, find, has
from schema.composition.validate.report import problem
from schema.federation.field_sets import fields_text, print_field_set
from schema.problems import Problem


def interface_objects(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report interface objects without a key, and implementations without the interface's key."""
    for owner in graph.types.values():
        if owner.is_interface_object and not has(owner.directives, "key"):
            yield problem(
                "INTERFACE_OBJECT_USAGE_ERROR",
                f"`{owner.name}` is an `@interfaceObject` without a `@key`, so no router can reach it",
                owner.name,
                owner.at,
                mend="give it the key of the interface that it stands for",
            )
        if owner.kind is Kind.INTERFACE:
            yield from _keys(graph, owner)


def _keys(graph: Subgraph, interface: TypeDef) -> Iterator[Problem]:
    wanted = key_texts(interface)
    if not wanted:
        return
    for name in sorted(graph.runtime_types(interface.name)):
        implementation = graph.types[name]
        have = key_texts(implementation)
        for key, is_resolvable in wanted.items():
            if key not in have:
                why = "lacks it"
            elif is_resolvable and not have[key]:
                why = "has it with `resolvable: false`"
            else:
                continue
            yield problem(
                "INTERFACE_KEY_NOT_ON_IMPLEMENTATION",
                f"`{interface.name}` has the key `{key}`, and its implementation `{name}` {why}",
                name,
                implementation.at,
                interface.at,
                mend=f'write `@key(fields: "{key}")` on `{name}`',
            )


def key_texts(owner: TypeDef) -> dict[str, bool]:
    """Each key as it prints, with whether it is resolvable."""
    found: dict[str, bool] = {}
    for key in find(owner.directives, "key"):
        selection = selection_on(fields_text(key.arguments.get("fields")))
        if selection is not None:
            printed = print_field_set(selection)
            found[printed] = found.get(printed, False) or key.flag("resolvable", default=True)
    return found
