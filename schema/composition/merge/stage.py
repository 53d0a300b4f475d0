"""Merges subgraphs by name: types first without enum values, then those, then what spans types."""

from __future__ import annotations

import re
from collections.abc import Sequence

from schema.composition.merge.context import (
    MergeContext,
    declared_types,
    interface_objects_of,
    merge_description,
    supertypes_of,
)
from schema.composition.merge.defaults import spell_defaults
from schema.composition.merge.definition_hints import hint_definitions, hint_links
from schema.composition.merge.directive_defs import (
    composed_directives,
    merge_directive_defs,
    merged_links,
    repeatable_directives,
)
from schema.composition.merge.directives import merge_directives
from schema.composition.merge.interface_objects import copy_to_implementations
from schema.composition.merge.model import Graph, MergedGraph, MergedType
from schema.composition.merge.requirements import propagate_demands
from schema.composition.merge.types import merge_type, merged_kind, with_values
from schema.composition.merge.versions import needed_version
from schema.composition.subgraph import Kind
from schema.composition.validate import ValidSubgraph
from schema.problems import Problem


def merge(subgraphs: Sequence[ValidSubgraph], problems: list[Problem], hints: list[Problem]) -> MergedGraph:
    """The merged graph of the subgraphs, which come sorted by name."""
    composed = composed_directives(subgraphs, problems, hints)
    ctx = MergeContext(
        tuple(subgraphs),
        declared_types(subgraphs),
        {s.graph.name: i for i, s in enumerate(subgraphs)},
        supertypes_of(subgraphs),
        interface_objects_of(subgraphs),
        composed.names,
        repeatable_directives(subgraphs, composed),
        problems,
        hints,
    )
    hint_definitions(ctx)
    hint_links(subgraphs, frozenset(d.link.url.identity for d in composed.definers.values()), hints)
    types = _merge_types(ctx)
    directive_defs = merge_directive_defs(ctx, composed)
    _fill_enums(ctx, types)
    spell_defaults(types)
    copy_to_implementations(ctx, types)
    propagate_demands(ctx, types)
    return MergedGraph(
        graphs=graphs_of(subgraphs),
        version=max(needed_version(s.graph, hints) for s in subgraphs),
        types=types,
        directive_defs=directive_defs,
        schema_directives=merge_directives(
            ctx, "schema", {i: s.graph.schema_directives for i, s in enumerate(subgraphs)}
        ),
        schema_description=merge_description(
            ctx, "schema", {i: s.graph.schema_description for i, s in enumerate(subgraphs)}
        ),
        links=merged_links(subgraphs, composed),
    )


def graphs_of(subgraphs: Sequence[ValidSubgraph]) -> tuple[Graph, ...]:
    """Each subgraph with its value of `join__Graph`; names that fall together are numbered."""
    enums = [_enum_name(s.graph.name) for s in subgraphs]
    graphs = []
    for position, subgraph in enumerate(subgraphs):
        enum = enums[position]
        if enums.count(enum) > 1:
            enum = f"{enum}_{enums[: position + 1].count(enum)}"
        graphs.append(Graph(subgraph.graph.name, subgraph.graph.url, enum))
    return tuple(graphs)


def _enum_name(name: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)
    text = f"_{text}" if text[:1].isdigit() else text
    text = f"{text}_" if re.search(r"_\d+$", text) else text
    return text.upper()


def _merge_types(ctx: MergeContext) -> dict[str, MergedType]:
    names = sorted({*ctx.declared, "Query"})
    types: dict[str, MergedType] = {}
    for name in names:
        sources = ctx.sources(name)
        kind = merged_kind(ctx, name, sources) if sources else Kind.OBJECT
        if kind is not None:
            types[name] = merge_type(ctx, name, kind, sources)
    return types


def _fill_enums(ctx: MergeContext, types: dict[str, MergedType]) -> None:
    """Merge the values of enums, once all uses in fields, arguments and directives are known."""
    for name, merged in types.items():
        if merged.kind is Kind.ENUM:
            types[name] = with_values(ctx, merged, ctx.sources(name))
