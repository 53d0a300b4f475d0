"""Looks for fields that only some of the subgraphs with a value type know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schema.composition.merge.context import MergeContext
from schema.composition.subgraph import ROOTS, Kind, TypeDef, has
from schema.problems import Severity


def hint_partial_fields(
    ctx: MergeContext, owner: str, kind: Kind, sources: Mapping[int, TypeDef], fields: Iterable[str]
) -> None:
    """Hint at fields of an interface or object without keys that some declaring subgraph lacks."""
    if len(sources) < 2 or _has_identity(owner, sources):
        return
    judged = {i: s for i, s in sources.items() if not s.is_interface_object and not _is_stub(ctx, i, s)}
    for name in fields:
        absent = [i for i, s in judged.items() if name not in s.fields]
        if not absent or (kind is Kind.INTERFACE and _is_added(ctx, owner, name)):
            continue
        having = [i for i, s in sources.items() if name in s.fields]
        ctx.hint(
            f"INCONSISTENT_{kind.name}_VALUE_TYPE_FIELD",
            f"`{owner}.{name}` is in {ctx.names(having)} and not in {ctx.names(absent)}",
            f"{owner}.{name}",
            (sources[i].fields[name].at for i in having),
            severity=Severity.DEBUG,
        )


def _has_identity(owner: str, sources: Mapping[int, TypeDef]) -> bool:
    keyed = (s for s in sources.values() if has(s.directives, "key"))
    return owner in ROOTS or any(not s.is_interface_object for s in keyed)


def _is_stub(ctx: MergeContext, index: int, source: TypeDef) -> bool:
    """Whether the subgraph only refers to the type."""
    return all(ctx.is_external(index, (source.name, name)) for name in source.fields)


def _is_added(ctx: MergeContext, interface: str, name: str) -> bool:
    """Whether an interface object brings the field: its home then need not know it."""
    graphs = ctx.interface_objects.get(interface, ())
    return any(name in ctx.subgraphs[i].graph.types[interface].fields for i in graphs)
