"""SDL → `ParsedSubgraph`: syntax, links, root types, and what the router's own fields leave behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from graphql import DirectiveDefinitionNode, DocumentNode, GraphQLSyntaxError, parse
from graphql.language import ast

from schema.composition.parse.definitions import KINDS, Reader
from schema.composition.parse.links import (
    canonical_directives,
    federation_version,
    read_links,
    spec_type_names,
)
from schema.composition.parse.place import place
from schema.composition.parse.spec_definitions import check_spec_directives, check_spec_type
from schema.composition.subgraph import DirectiveDef, Subgraph, TypeDef
from schema.federation.directives import (
    BUILT_IN_DIRECTIVES,
    BUILT_IN_SCALARS,
    FEDERATION_SCALARS,
    SERVICE_FIELDS,
    SERVICE_TYPES,
)
from schema.problems import Location, Problem
from schema.sources import SubgraphSource

# Per subgraph. GitHub's whole public schema, among the largest known, has 1.5 MB and some 150,000 tokens.
SDL_BYTES_MAX = 8_000_000
SDL_TOKENS_MAX = 500_000


@dataclass(frozen=True, slots=True)
class ParsedSubgraph:
    """A subgraph whose SDL is syntactically sound and whose links are understood."""

    graph: Subgraph


def parse_subgraph(source: SubgraphSource, problems: list[Problem]) -> ParsedSubgraph | None:
    """The subgraph that the source spells; None when the SDL is no GraphQL (with a problem recorded)."""
    document = _document(source, problems)
    if document is None:
        return None
    schema_nodes: list[ast.SchemaDefinitionNode | ast.SchemaExtensionNode] = [
        n for n in document.definitions if isinstance(n, ast.SchemaDefinitionNode | ast.SchemaExtensionNode)
    ]
    links = read_links(source.name, [d for n in schema_nodes for d in n.directives or ()], problems)
    version = federation_version(links, problems)
    canonical = canonical_directives(links, version)
    problems.extend(check_spec_directives(source.name, document, canonical))
    declared = _declared_types(document)
    roots = _root_names(source.name, schema_nodes, declared, problems)
    reader = Reader(source.name, canonical, roots, problems)
    types = _types(reader, declared, spec_type_names(links), links_present=bool(links))
    base = next((n for n in schema_nodes if isinstance(n, ast.SchemaDefinitionNode)), None)
    return ParsedSubgraph(
        Subgraph(
            name=source.name,
            url=source.url,
            version=version,
            types=_without_service(types),
            directive_defs=_directive_defs(reader, document, canonical),
            schema_directives=reader.directives([d for n in schema_nodes for d in n.directives or ()]),
            schema_description=base.description.value if base and base.description else None,
            links=links,
        )
    )


def _document(source: SubgraphSource, problems: list[Problem]) -> DocumentNode | None:
    def refuse(message: str, at: Location, mend: str | None = None) -> None:
        problems.append(Problem("INVALID_GRAPHQL", message, None, (at,), mend))

    here = Location(source.name)
    if len(source.sdl) > SDL_BYTES_MAX or len(source.sdl.encode(errors="surrogatepass")) > SDL_BYTES_MAX:
        refuse(f"the SDL has more than {SDL_BYTES_MAX:,} bytes", here, "split the subgraph")
        return None
    try:
        document = parse(source.sdl, max_tokens=SDL_TOKENS_MAX)
    except GraphQLSyntaxError as error:
        if "Parsing aborted" in error.message:  # the parser's words for too many tokens
            refuse(f"the SDL has more than {SDL_TOKENS_MAX:,} tokens", here, "split the subgraph")
            return None
        where = error.locations[0] if error.locations else None
        refuse(error.message, Location(source.name, where.line, where.column) if where else here)
        return None
    except RecursionError:
        refuse("the SDL is nested too deeply to be read", here)
        return None
    for node in document.definitions:
        if not isinstance(node, ast.TypeSystemDefinitionNode | ast.TypeSystemExtensionNode):
            refuse("a schema cannot hold operations or fragments", place(source.name, node), "remove it")
    return document


def _declared_types(document: DocumentNode) -> dict[str, list[Any]]:
    declared: dict[str, list[Any]] = {}
    for node in document.definitions:
        if isinstance(node, ast.TypeDefinitionNode | ast.TypeExtensionNode):
            declared.setdefault(node.name.value, []).append(node)
    return declared


def _root_names(
    subgraph: str, schema_nodes: list[Any], declared: dict[str, list[Any]], problems: list[Problem]
) -> dict[str, str]:
    """Written root name → usual root name, for the roots that are called something else."""
    renames: dict[str, str] = {}
    for node in schema_nodes:
        for root in node.operation_types or ():
            usual = root.operation.value.capitalize()
            written = root.type.name.value
            if written == usual:
                continue
            if usual in declared:
                problems.append(
                    Problem(
                        f"ROOT_{usual.upper()}_USED",
                        f"the {usual.lower()} root is `{written}`, yet another type is called `{usual}`",
                        usual,
                        (place(subgraph, root), place(subgraph, declared[usual][0])),
                        f"rename the other type, or make `{usual}` the root",
                    )
                )
            else:
                renames[written] = usual
    return renames


def _types(
    reader: Reader, declared: dict[str, list[Any]], spec_types: frozenset[str], *, links_present: bool
) -> dict[str, TypeDef]:
    types: dict[str, TypeDef] = {}
    for written, nodes in declared.items():
        if written in spec_types or written in BUILT_IN_SCALARS:
            is_enum = written.endswith("Purpose")
            reader.problems.extend(check_spec_type(reader.subgraph, written, nodes, is_enum=is_enum))
            continue
        if written in SERVICE_TYPES:
            continue
        if not links_present and written in FEDERATION_SCALARS and KINDS[type(nodes[0])].value == "scalar":
            continue
        if _is_consistent(reader, written, nodes):
            name = reader.type_names.get(written, written)
            types[name] = reader.type_def(name, nodes)
    return types


def _is_consistent(reader: Reader, name: str, nodes: list[Any]) -> bool:
    kinds = {KINDS[type(node)] for node in nodes}
    if len(kinds) > 1:
        found = " and as ".join(sorted(kind.value for kind in kinds))
        reader.invalid(f"`{name}` is declared as {found}", name, *nodes)
        return False
    bases = [node for node in nodes if isinstance(node, ast.TypeDefinitionNode)]
    if len(bases) > 1:
        reader.invalid(
            f"there can be only one type named `{name}`", name, *bases, mend="write `extend` before one"
        )
        return False
    return True


def _without_service(types: dict[str, TypeDef]) -> dict[str, TypeDef]:
    query = types.get("Query")
    if query is None:
        return types
    fields = {name: f for name, f in query.fields.items() if name not in SERVICE_FIELDS}
    return {**types, "Query": replace(query, fields=fields)}


def _directive_defs(
    reader: Reader, document: DocumentNode, canonical: dict[str, str]
) -> dict[str, DirectiveDef]:
    found: dict[str, DirectiveDef] = {}
    for node in document.definitions:
        if not isinstance(node, DirectiveDefinitionNode):
            continue
        name = node.name.value
        if name in canonical or name in BUILT_IN_DIRECTIVES or name in ("link", "core"):
            continue
        if name in found:
            reader.invalid(f"there can be only one directive named `@{name}`", f"@{name}", node)
            continue
        found[name] = reader.directive_def(node)
    return found
