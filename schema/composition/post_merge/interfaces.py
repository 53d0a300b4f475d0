"""Interfaces hold in the whole graph: every implementation has every field, entity interfaces know all of
theirs."""

from collections.abc import Iterator

from schema.composition.merge.model import MergedType
from schema.composition.post_merge.places import Merged
from schema.composition.subgraph import Kind
from schema.problems import Problem


def interface_fields(merged: Merged) -> Iterator[Problem]:
    """Report implementations without a field that some subgraph gives the interface."""
    for owner in merged.graph.types.values():
        for name in owner.interfaces:
            interface = merged.graph.types.get(name)
            for field in interface.fields.values() if interface else ():
                if field.name not in owner.fields:
                    declaring = ", ".join(f"`{merged.name(i)}`" for i in sorted(field.sources))
                    yield merged.report(
                        "INTERFACE_FIELD_NO_IMPLEM",
                        f"`{name}.{field.name}` is declared in {declaring}, and the"
                        f" implementation `{owner.name}`"
                        " has no such field in any subgraph",
                        owner.name,
                        mend=f"add `{field.name}: {field.type}` to `{owner.name}`,"
                        f" or remove it from `{name}`",
                    )


def interface_keys(merged: Merged) -> Iterator[Problem]:
    """Report subgraphs that key an interface and do not know all its implementations."""
    for interface in _of_kind(merged, Kind.INTERFACE):
        everywhere = {t.name for t in _of_kind(merged, Kind.OBJECT) if interface.name in t.interfaces}
        for join in interface.joins:
            if join.key is None or join.is_interface_object or not join.is_resolvable:
                continue
            known = merged.subgraphs[join.graph].graph.runtime_types(interface.name)
            for missing in sorted(everywhere - known):
                where = merged.name(join.graph)
                yield merged.report(
                    "INTERFACE_KEY_MISSING_IMPLEMENTATION_TYPE",
                    f"`{interface.name}` has the key `{join.key}` in `{where}`, which does not know its"
                    f" implementation `{missing}`",
                    interface.name,
                    mend=f"declare `{missing}` with that key in `{where}`",
                )


def interface_objects(merged: Merged) -> Iterator[Problem]:
    """Report interface objects without the real interface, or beside its implementations."""
    for interface in _of_kind(merged, Kind.INTERFACE):
        objects = {join.graph for join in interface.joins if join.is_interface_object}
        if not objects:
            continue
        if objects == interface.graphs:
            yield merged.report(
                "INTERFACE_OBJECT_USAGE_ERROR",
                f"`{interface.name}` is an `@interfaceObject` everywhere: no subgraph has the interface",
                interface.name,
                mend=f"define `interface {interface.name}` with that key in one subgraph",
            )
        for owner in _of_kind(merged, Kind.OBJECT):
            beside = sorted(objects & owner.graphs) if interface.name in owner.interfaces else []
            for index in beside:
                yield merged.report(
                    "INTERFACE_OBJECT_USAGE_ERROR",
                    f"`{merged.name(index)}` has `{interface.name}` as an `@interfaceObject` and its"
                    f" implementation `{owner.name}` as well",
                    owner.name,
                    mend="keep one of the two there",
                )


def _of_kind(merged: Merged, kind: Kind) -> list[MergedType]:
    return [owner for owner in merged.graph.types.values() if owner.kind is kind]
