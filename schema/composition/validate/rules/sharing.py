"""`@shareable` stands on fields of objects, once a declaration, and never on a subscription."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Kind, Subgraph, find, has
from schema.composition.validate.report import problem
from schema.problems import Problem


def sharing(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report `@shareable` where it says nothing or cannot be true."""
    for owner in graph.types.values():
        for item in owner.fields.values():
            coordinate = f"{owner.name}.{item.name}"
            places = [applied.at for applied in find(item.directives, "shareable")]
            if not places:
                continue
            code = "INVALID_SHAREABLE_USAGE"
            if owner.kind is Kind.INTERFACE:
                why, mend = (
                    "an interface's field is resolved by nobody",
                    "write it on the implementing types' fields",
                )
            elif len(places) > 1:
                why, mend = "once is enough", "remove the others"
            elif owner.name == "Subscription":
                code = "INVALID_FIELD_SHARING"
                why, mend = (
                    "two subgraphs cannot share a stream",
                    "remove it, and the field from the other subgraphs",
                )
            else:
                continue
            yield problem(code, f"`@shareable` on `{coordinate}`: {why}", coordinate, *places, mend=mend)


def overrides(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report `@override` on an interface's field or on a field of an interface object."""
    for owner in graph.types.values():
        if owner.kind is not Kind.INTERFACE and not owner.is_interface_object:
            continue
        for item in owner.fields.values():
            if has(item.directives, "override"):
                is_interface = owner.kind is Kind.INTERFACE
                yield problem(
                    "OVERRIDE_ON_INTERFACE" if is_interface else "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE",
                    f"`@override` on `{owner.name}.{item.name}`: "
                    + (
                        "an interface's field is resolved by nobody"
                        if is_interface
                        else "its type is an `@interfaceObject`"
                    ),
                    f"{owner.name}.{item.name}",
                    item.at,
                    mend="write it on the fields of the implementing types",
                )
