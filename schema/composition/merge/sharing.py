"""A field that several subgraphs resolve must be shareable in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from schema.composition.merge.context import MergeContext
from schema.composition.merge.overrides import Overrides
from schema.composition.subgraph import FieldDef, first


def check_sharing(
    ctx: MergeContext,
    owner: str,
    sources: Mapping[int, FieldDef],
    overrides: Overrides,
    *,
    interface_objects: Mapping[int, str],
) -> None:
    """Report a field that is resolved in more than one subgraph and not shareable in all of them.
    `interface_objects`: subgraphs that supply the field through that interface object."""
    name = next(iter(sources.values())).name
    resolving = [
        i
        for i in sources
        if i not in overrides.overridden and not ctx.subgraphs[i].facts.is_fully_external((owner, name))
    ]
    shared = dict.fromkeys(resolving, (owner, name)) | {
        i: (itf, name) for i, itf in interface_objects.items()
    }
    if len(shared) < 2:
        return
    unshared = [i for i, at in shared.items() if not _is_shareable(ctx, i, at)]
    if unshared:
        _report(ctx, f"{owner}.{name}", sources, shared, unshared)


def _is_shareable(ctx: MergeContext, index: int, at: tuple[str, str]) -> bool:
    return at in ctx.subgraphs[index].facts.shareable


def _report(
    ctx: MergeContext,
    coordinate: str,
    sources: Mapping[int, FieldDef],
    shared: Mapping[int, tuple[str, str]],
    unshared: list[int],
) -> None:
    places = [f.at for i, at in shared.items() if (f := ctx.subgraphs[i].graph.field(*at)) is not None]
    where = "all of them" if len(unshared) == len(shared) else ctx.names(unshared)
    ctx.problem(
        "INVALID_FIELD_SHARING",
        f"`{coordinate}` is resolved in {ctx.names(shared)}, and it is not shareable in {where}",
        coordinate,
        places,
        "if all of them give the same answer, write `@shareable` on it in"
        f" {ctx.names(unshared)}{_misspelt(ctx, sources)}",
    )


def _misspelt(ctx: MergeContext, sources: Mapping[int, FieldDef]) -> str:
    known = [ctx.name(i) for i in range(len(ctx.subgraphs))]
    for item in sources.values():
        applied = first(item.directives, "override")
        origin = applied.text("from") if applied else None
        if origin and origin not in known:
            close = get_close_matches(origin, known, n=1)
            wanted = f": did you mean `{close[0]}`?" if close else ""
            return f'; `@override(from: "{origin}")` names no subgraph{wanted}'
    return ""


def supplying_interface_objects(ctx: MergeContext, owner: str, name: str) -> dict[int, str]:
    """The subgraphs that do not know `owner` and still supply the field through an interface object."""
    types = ctx.sources(owner)
    found: dict[int, str] = {}
    for interface in sorted(ctx.supertypes.get(owner, ())):
        for index in ctx.interface_objects.get(interface, ()):
            subgraph = ctx.subgraphs[index]
            declares = name in subgraph.graph.types[interface].fields
            if index not in types and declares and not subgraph.facts.is_external((interface, name)):
                found[index] = interface
    return found
