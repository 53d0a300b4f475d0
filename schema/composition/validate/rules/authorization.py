"""Requirements stand on what is resolved, never on interfaces: those inherit them from what implements them.

Whatever the version: a requirement on an interface alone would not hold for a client that asks for the
implementing type itself.
"""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Directives, Kind, Subgraph, find
from schema.composition.validate.report import problem
from schema.problems import Problem

_DIRECTIVES = ("authenticated", "requiresScopes", "policy")


def authorization(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report requirements on interfaces, their fields and interface objects. The fields of an interface
    object are resolved, and may have some.
    """
    for owner in graph.types.values():
        if owner.kind is Kind.INTERFACE or owner.is_interface_object:
            yield from _report(owner.name, owner.directives)
        if owner.kind is Kind.INTERFACE:
            for item in owner.fields.values():
                yield from _report(f"{owner.name}.{item.name}", item.directives)


def _report(coordinate: str, directives: Directives) -> Iterator[Problem]:
    for name in _DIRECTIVES:
        for applied in find(directives, name):
            yield problem(
                "AUTH_REQUIREMENTS_APPLIED_ON_INTERFACE",
                f"`@{name}` on `{coordinate}`: an interface takes its requirements from its implementations",
                coordinate,
                applied.at,
                mend="write it on the implementing types or their fields",
            )
