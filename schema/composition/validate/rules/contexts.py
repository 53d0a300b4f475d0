"""`@context` and `@fromContext`: names, selections and places that the router can work with."""

import re
from collections.abc import Iterator

from schema.composition.context_references import context_reference
from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Argument, FieldDef, Kind, Subgraph, TypeDef, find, first
from schema.composition.validate.report import problem
from schema.composition.validate.rules.context_selections import selection_faults
from schema.composition.validate.rules.interface_objects import key_texts
from schema.problems import Problem

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9]*$")


def contexts(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report contexts that cannot be set and arguments that cannot be filled."""
    known: dict[str, list[str]] = {}
    for owner in graph.types.values():
        for applied in find(owner.directives, "context"):
            name = applied.text("name") or ""
            known.setdefault(name, []).append(owner.name)
            if not _NAME.match(name):
                yield problem(
                    "CONTEXT_NAME_INVALID",
                    f"`{name}` cannot name a context on `{owner.name}`",
                    owner.name,
                    applied.at,
                    mend="use letters and digits only, a letter first",
                )
    for owner in graph.types.values():
        for item in owner.fields.values():
            for argument in item.arguments.values():
                yield from _argument(graph, owner, item, argument, known)


def _argument(
    graph: Subgraph, owner: TypeDef, item: FieldDef, argument: Argument, known: dict[str, list[str]]
) -> Iterator[Problem]:
    applied = first(argument.directives, "fromContext")
    if applied is None:
        return
    where = f"{owner.name}.{item.name}({argument.name}:)"

    def report(code: str, message: str, mend: str) -> Problem:
        return problem(code, f"`{where}`: {message}", where, applied.at, mend=mend)

    reference = context_reference(applied.text("field"))
    if reference is None:
        yield report("NO_CONTEXT_IN_SELECTION", "it names no context", 'write `field: "$name { field }"`')
        return
    name, selection = reference
    if name not in known:
        yield report(
            "CONTEXT_NOT_SET",
            f"no type sets the context `{name}`",
            f'write `@context(name: "{name}")` above it',
        )
    if argument.default is not None:
        yield report(
            "CONTEXT_INVALID_SELECTION", "an argument from a context has no default", "remove the default"
        )
    if owner.kind is not Kind.OBJECT or any(_declares(graph, itf, item.name) for itf in owner.interfaces):
        yield report(
            "CONTEXT_INVALID_SELECTION", "an interface has this field", "take the field out of the interface"
        )
    if not any(key_texts(owner).values()):
        yield report(
            "CONTEXT_NO_RESOLVABLE_KEY",
            f"`{owner.name}` has no resolvable key",
            f"give `{owner.name}` a `@key`",
        )
    for why in selection_faults(graph, selection, known.get(name, []), argument.type):
        yield report("CONTEXT_INVALID_SELECTION", why, f'write `field: "${name} {{ field }}"`')


def _declares(graph: Subgraph, interface: str, name: str) -> bool:
    return graph.field(interface, name) is not None
