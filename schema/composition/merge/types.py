"""Merges one named type of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schema.composition.facts import selection_on
from schema.composition.merge.context import MergeContext, merge_description
from schema.composition.merge.directives import join_directives, merge_directives
from schema.composition.merge.enums import merge_values
from schema.composition.merge.fields import merge_fields
from schema.composition.merge.inputs import merge_inputs
from schema.composition.merge.model import JoinType, MergedType
from schema.composition.merge.value_types import hint_partial_fields
from schema.composition.subgraph import Kind, TypeDef, find
from schema.federation.field_sets import fields_text, print_field_set
from schema.problems import Severity


def merged_kind(ctx: MergeContext, name: str, sources: Mapping[int, TypeDef]) -> Kind | None:
    """The kind that all sources agree on; an interface object counts as the interface that it stands for."""
    kinds = {i: Kind.INTERFACE if s.is_interface_object else s.kind for i, s in sources.items()}
    if len(set(kinds.values())) == 1:
        return next(iter(kinds.values()))
    by_kind: dict[str, list[int]] = {}
    for index, source in sources.items():
        label = "an interface object" if source.is_interface_object else f"of kind {source.kind.value}"
        by_kind.setdefault(label, []).append(index)
    written = " and ".join(f"{kind} in {ctx.names(where)}" for kind, where in by_kind.items())
    ctx.problem(
        "TYPE_KIND_MISMATCH",
        f"`{name}` is {written}",
        name,
        (s.at for s in sources.values()),
        "make it the same kind everywhere, or give one of them another name",
    )
    return None


def merge_type(ctx: MergeContext, name: str, kind: Kind, sources: Mapping[int, TypeDef]) -> MergedType:
    """The type without enum values: those wait until all uses are known (`with_values`)."""
    shell = MergedType(
        kind=kind,
        name=name,
        joins=_joins(ctx, name, sources),
        description=merge_description(ctx, name, {i: s.description for i, s in sources.items()}),
        directives=merge_directives(ctx, name, {i: s.directives for i, s in sources.items()}),
        implements=tuple(sorted((i, itf) for i, s in sources.items() for itf in s.interfaces)),
        join_directives=join_directives({i: s.directives for i, s in sources.items()}),
    )
    if kind in (Kind.OBJECT, Kind.INTERFACE):
        _hint_entities(ctx, name, kind, sources)
        fields = merge_fields(ctx, name, kind, sources)
        hint_partial_fields(ctx, name, kind, sources, fields)
        return replace(shell, fields=fields)
    if kind is Kind.INPUT:
        return replace(shell, inputs=merge_inputs(ctx, name, sources))
    if kind is Kind.UNION:
        return replace(shell, members=_members(ctx, name, sources))
    return shell


def with_values(ctx: MergeContext, merged: MergedType, sources: Mapping[int, TypeDef]) -> MergedType:
    """The enum with its values."""
    return replace(merged, values=merge_values(ctx, merged.name, sources))


def _joins(ctx: MergeContext, name: str, sources: Mapping[int, TypeDef]) -> tuple[JoinType, ...]:
    joins: list[JoinType] = []
    indices = range(len(ctx.subgraphs)) if name == "Query" else sources
    for index in indices:
        source = sources.get(index)
        joins.extend([JoinType(index)] if source is None else _joins_of(index, source))
    return tuple(joins)


def _joins_of(index: int, source: TypeDef) -> list[JoinType]:
    is_object = source.is_interface_object
    found: dict[str, JoinType] = {}
    for key in find(source.directives, "key"):
        text = fields_text(key.arguments.get("fields"))
        selection = selection_on(text)
        printed = text or "" if selection is None else print_field_set(selection)
        is_resolvable = key.flag("resolvable", default=True)
        found.setdefault(printed, JoinType(index, printed, source.is_extension, is_resolvable, is_object))
    return list(found.values()) or [JoinType(index, is_interface_object=is_object)]


def _members(ctx: MergeContext, name: str, sources: Mapping[int, TypeDef]) -> tuple[tuple[int, str], ...]:
    members: list[tuple[int, str]] = []
    for member in dict.fromkeys(m for s in sources.values() for m in s.members):
        having = [i for i, s in sources.items() if member in s.members]
        members.extend((i, member) for i in having)
        if len(having) < len(sources):
            ctx.hint(
                "INCONSISTENT_UNION_MEMBER",
                f"`{name}` has the member `{member}` only in {ctx.names(having)}",
                name,
                (sources[i].at for i in having),
                severity=Severity.DEBUG,
            )
    return tuple(members)


def _hint_entities(ctx: MergeContext, name: str, kind: Kind, sources: Mapping[int, TypeDef]) -> None:
    keyed = [i for i, s in sources.items() if any(True for _ in find(s.directives, "key"))]
    if kind is Kind.OBJECT and keyed and len(keyed) < len(sources):
        ctx.hint(
            "INCONSISTENT_ENTITY",
            f"`{name}` has a `@key` in {ctx.names(keyed)} and none in"
            f" {ctx.names(i for i in sources if i not in keyed)}",
            name,
            (s.at for s in sources.values()),
        )
