"""Puts the supergraph's SDL together: schema, directive definitions, types, each sorted by name."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import DirectiveNode, print_ast

from schema.composition.merge.features import (
    CACHE_TAG_LINK,
    FEATURES,
    FROM_CONTEXT_DEFINITION,
    Feature,
)
from schema.composition.merge.model import Graph, MergedDirectiveDef, MergedGraph, MergedLink, MergedType
from schema.composition.print.join_spec import SpecDefinitions, join_version, spec_definitions
from schema.composition.print.joins import quoted
from schema.composition.print.types import described, print_arguments, print_type
from schema.composition.subgraph import ROOTS
from schema.federation.urls import APOLLO, FeatureUrl, Version


def print_supergraph(merged: MergedGraph) -> str:
    """The supergraph as SDL that any Federation 2 router reads."""
    join = join_version(merged.version)
    spec = spec_definitions(join)
    features = [FEATURES[name] for name in FEATURES if name in _directives_used(merged)]
    join_link = MergedLink(FeatureUrl(f"{APOLLO}/join", join), purpose="EXECUTION")
    links = [*_feature_links(features), *_cache_tag_links(merged), *merged.links]
    parts = [
        _schema(merged, [MergedLink(FeatureUrl(f"{APOLLO}/link", Version(1, 0))), join_link, *links]),
        *_directive_definitions(merged, spec, features),
        *_types(merged, spec, features),
    ]
    return "\n\n".join(parts) + "\n"


def _schema(merged: MergedGraph, links: list[MergedLink]) -> str:
    roots = [f"  {root.lower()}: {root}" for root in ROOTS if root in merged.types]
    lines = [*described(merged.schema_description, ""), "schema"]
    lines += [f"  {_link(link)}" for link in links]
    lines += [f"  {print_ast(directive)}" for directive in merged.schema_directives]
    return "\n".join([*lines, "{", *roots, "}"])


def _link(link: MergedLink) -> str:
    parts = [f"url: {quoted(str(link.url))}"]
    if link.namespace is not None:
        parts.append(f"as: {quoted(link.namespace)}")
    if link.imports:
        parts.append(f"import: [{', '.join(_import(*pair) for pair in link.imports)}]")
    if link.purpose is not None:
        parts.append(f"for: {link.purpose}")
    return f"@link({', '.join(parts)})"


def _import(name: str, alias: str) -> str:
    return quoted(name) if name == alias else f"{{name: {quoted(name)}, as: {quoted(alias)}}}"


def _feature_links(features: list[Feature]) -> Iterator[MergedLink]:
    urls = dict.fromkeys(feature.url for feature in features)
    for url in urls:
        mine = [feature for feature in features if feature.url == url]
        imports = tuple((f"@{f.directive}", f"@{f.directive}") for f in mine if f.directive != url.name)
        yield MergedLink(url, None, mine[0].purpose, imports)


def _cache_tag_links(merged: MergedGraph) -> Iterator[MergedLink]:
    tagged = any(
        t.join_directives or any(f.join_directives for f in t.fields.values()) for t in merged.types.values()
    )
    if tagged:
        url, purpose = CACHE_TAG_LINK
        yield MergedLink(url, None, purpose)


def _directive_definitions(
    merged: MergedGraph, spec: SpecDefinitions, features: list[Feature]
) -> Iterator[str]:
    definitions = dict(spec.directives)
    definitions |= {feature.directive: feature.definition for feature in features}
    if any(feature.directive == "context" for feature in features):
        definitions["context__fromContext"] = FROM_CONTEXT_DEFINITION
    definitions |= {d.name: _directive_definition(d) for d in merged.directive_defs.values()}
    return (definitions[name] for name in sorted(definitions))


def _directive_definition(definition: MergedDirectiveDef) -> str:
    repeatable = " repeatable" if definition.is_repeatable else ""
    arguments = print_arguments(definition.arguments.values())
    text = f"directive @{definition.name}{arguments}{repeatable} on {' | '.join(definition.locations)}"
    return "\n".join([*described(definition.description, ""), text])


def _types(merged: MergedGraph, spec: SpecDefinitions, features: list[Feature]) -> Iterator[str]:
    printed = dict(spec.types)
    printed["join__Graph"] = _graph_enum(merged.graphs)
    printed |= {scalar: f"scalar {scalar}" for feature in features for scalar in feature.scalars}
    printed |= {t.name: print_type(t, merged.graphs) for t in merged.types.values()}
    return (printed[name] for name in sorted(printed))


def _graph_enum(graphs: tuple[Graph, ...]) -> str:
    values = [f"  {g.enum} @join__graph(name: {quoted(g.name)}, url: {quoted(g.url)})" for g in graphs]
    return "\n".join(["enum join__Graph {", *values, "}"])


def _directives_used(merged: MergedGraph) -> frozenset[str]:
    return frozenset(directive.name.value for directive in _all_directives(merged))


def _all_directives(merged: MergedGraph) -> Iterator[DirectiveNode]:
    yield from merged.schema_directives
    for owner in merged.types.values():
        yield from _type_directives(owner)


def _type_directives(owner: MergedType) -> Iterator[DirectiveNode]:
    yield from owner.directives
    for item in owner.fields.values():
        yield from item.directives
        for argument in item.arguments.values():
            yield from argument.directives
    for argument in owner.inputs.values():
        yield from argument.directives
    for value in owner.values.values():
        yield from value.directives
