"""Merges the output fields of one object or interface type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schema.composition.facts import selection_on
from schema.composition.merge.arguments import merge_arguments
from schema.composition.merge.context import MergeContext, merge_description
from schema.composition.merge.contexts import context_arguments
from schema.composition.merge.directives import join_directives, merge_directives
from schema.composition.merge.externals import check_externals
from schema.composition.merge.model import JoinField, MergedField
from schema.composition.merge.overrides import (
    NO_OVERRIDES,
    Overrides,
    report_misplaced,
    resolve_overrides,
)
from schema.composition.merge.references import all_equal, side_by_side, widest
from schema.composition.merge.sharing import check_sharing, supplying_interface_objects
from schema.composition.subgraph import FieldDef, Kind, TypeDef, first
from schema.federation.field_sets import fields_text, print_field_set
from schema.federation.type_refs import TypeRef, named


def merge_fields(
    ctx: MergeContext, owner: str, kind: Kind, sources: Mapping[int, TypeDef]
) -> dict[str, MergedField]:
    """All fields that any subgraph gives the type, in order of first appearance."""
    declared: dict[str, dict[int, FieldDef]] = {}
    for index, source in sources.items():
        for name, item in source.fields.items():
            declared.setdefault(name, {})[index] = item
    merged: dict[str, MergedField] = {}
    for name, present in declared.items():
        field = _merge_field(ctx, owner, kind, sources, present)
        if field is not None:
            merged[name] = field
    return merged


def _merge_field(
    ctx: MergeContext,
    owner: str,
    kind: Kind,
    types: Mapping[int, TypeDef],
    sources: Mapping[int, FieldDef],
) -> MergedField | None:
    name = next(iter(sources.values())).name
    coordinate = f"{owner}.{name}"
    owners = {i: f for i, f in sources.items() if not ctx.is_external(i, (owner, name))}
    suppliers = supplying_interface_objects(ctx, owner, name) if kind is Kind.OBJECT else {}
    if kind is Kind.OBJECT:
        overrides = resolve_overrides(ctx, owner, sources, suppliers)
    else:
        overrides = NO_OVERRIDES
        report_misplaced(ctx, owner, sources)
    if not owners and not suppliers:
        _missing_on_base(ctx, coordinate, sources)
        return None
    if kind is Kind.OBJECT:
        check_sharing(ctx, owner, sources, overrides, interface_objects=suppliers)
    merged = _merge_declarations(ctx, coordinate, owners or sources)
    externals = {i: f for i, f in sources.items() if i not in owners}
    if owners:
        check_externals(ctx, coordinate, externals, owners, merged)
    return replace(
        merged,
        joins=_joins(ctx, owner, types, sources, overrides),
        join_directives=join_directives({i: f.directives for i, f in sources.items()}),
        sources=frozenset(i for i in sources if i not in overrides.unused or i in overrides.labels),
    )


def _merge_declarations(ctx: MergeContext, coordinate: str, sources: Mapping[int, FieldDef]) -> MergedField:
    return MergedField(
        name=next(iter(sources.values())).name,
        type=_merge_type(ctx, coordinate, sources),
        arguments=merge_arguments(ctx, coordinate, sources),
        description=merge_description(ctx, coordinate, {i: f.description for i, f in sources.items()}),
        directives=merge_directives(ctx, coordinate, {i: f.directives for i, f in sources.items()}),
    )


def _merge_type(ctx: MergeContext, coordinate: str, sources: Mapping[int, FieldDef]) -> TypeRef:
    types = {i: f.type for i, f in sources.items()}
    merged = widest(ctx, types)
    if merged is None:
        ctx.problem(
            "FIELD_TYPE_MISMATCH",
            f"`{coordinate}` has types that cannot be one: {side_by_side(ctx, types)}",
            coordinate,
            (f.at for f in sources.values()),
            "give it the same type everywhere, or one that holds all the others",
        )
        merged = next(iter(types.values()))
    elif not all_equal(types):
        ctx.hint(
            "INCONSISTENT_BUT_COMPATIBLE_FIELD_TYPE",
            f"`{coordinate}` is {side_by_side(ctx, types)}; clients see `{merged}`",
            coordinate,
            (f.at for f in sources.values()),
        )
    ctx.output_uses.add(named(merged))
    return merged


def _missing_on_base(ctx: MergeContext, coordinate: str, sources: Mapping[int, FieldDef]) -> None:
    ctx.problem(
        "EXTERNAL_MISSING_ON_BASE",
        f"`{coordinate}` is external in {ctx.names(sources)}, and no subgraph resolves it",
        coordinate,
        (f.at for f in sources.values()),
        "remove `@external` where the field is at home, or define the field in another subgraph",
    )


def _joins(
    ctx: MergeContext,
    owner: str,
    types: Mapping[int, TypeDef],
    sources: Mapping[int, FieldDef],
    overrides: Overrides,
) -> tuple[JoinField, ...]:
    """The field's `@join__field`s; none when every subgraph with the type has it in the same plain way."""
    is_same_type = all_equal({i: f.type for i, f in sources.items()})
    joins = []
    for index, item in sources.items():
        if index in overrides.unused and index not in overrides.labels:
            continue
        joins.append(
            _join(ctx, owner, index, item, overrides, type_text=None if is_same_type else str(item.type))
        )
    plain = all(join == JoinField(join.graph) or _only_override(join) for join in joins)
    everywhere = {join.graph for join in joins} == _claimants(ctx, owner, types)
    return () if plain and everywhere else tuple(joins)


def _only_override(join: JoinField) -> bool:
    return join == JoinField(join.graph, override=join.override)


def _claimants(ctx: MergeContext, owner: str, types: Mapping[int, TypeDef]) -> set[int | None]:
    """The subgraphs that an absent `@join__field` would mean. Each serves a Query, declared or not."""
    return set(range(len(ctx.subgraphs))) if owner == "Query" else set(types)


def _join(
    ctx: MergeContext, owner: str, index: int, item: FieldDef, overrides: Overrides, *, type_text: str | None
) -> JoinField:
    return JoinField(
        graph=index,
        requires=_field_set(item, "requires"),
        provides=_field_set(item, "provides"),
        type=type_text,
        external=ctx.is_external(index, (owner, item.name)),
        override=overrides.origins.get(index),
        used_overridden=index in overrides.used,
        override_label=overrides.labels.get(index),
        context_arguments=context_arguments(ctx.subgraphs[index], item),
    )


def _field_set(item: FieldDef, directive: str) -> str | None:
    applied = first(item.directives, directive)
    if applied is None:
        return None
    text = fields_text(applied.arguments.get("fields"))
    selection = selection_on(text)
    return text if selection is None else print_field_set(selection)
