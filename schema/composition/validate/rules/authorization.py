"""Requirements stand on what is resolved: since federation v2.9 not on interfaces, which inherit them."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Directives, Kind, Subgraph, find
from schema.composition.validate.report import problem
from schema.federation.urls import Version
from schema.problems import Problem

_DIRECTIVES = ("authenticated", "requiresScopes", "policy")
# Older subgraphs were allowed to write it; there the requirement is honoured as it stands.
_SINCE = Version(2, 9)


def authorization(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report requirements on interfaces, their fields and interface objects."""
    if graph.version < _SINCE:
        return
    for owner in graph.types.values():
        if owner.kind is Kind.INTERFACE or owner.is_interface_object:
            yield from _report(owner.name, owner.directives)
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
