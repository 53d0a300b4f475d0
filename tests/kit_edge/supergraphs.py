"""Supergraphs for tests of the edge: one subgraph's plain SDL, joined."""

from __future__ import annotations

from graphql import (
    ArgumentNode,
    DirectiveNode,
    EnumValueNode,
    NameNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    parse,
    print_ast,
)

PRELUDE = """
schema
  @link(url: "https://specs.apollo.dev/link/v1.0")
  @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION)
  @link(url: "https://specs.apollo.dev/authenticated/v0.1", for: SECURITY)
  @link(url: "https://specs.apollo.dev/requiresScopes/v0.1", for: SECURITY)
  @link(url: "https://specs.apollo.dev/policy/v0.1", for: SECURITY)
  @link(url: "https://stadion.dev/specs/classified/v1.0", import: ["@classified"])
  %(links)s
{ %(roots)s }
directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
directive @join__type(
  graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false, resolvable: Boolean! = true
  isInterfaceObject: Boolean! = false
) repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
directive @join__field(
  graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String, external: Boolean
  override: String, usedOverridden: Boolean
) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
directive @join__implements(graph: join__Graph!, interface: String!) repeatable on OBJECT | INTERFACE
directive @join__unionMember(graph: join__Graph!, member: String!) repeatable on UNION
directive @join__enumValue(graph: join__Graph!) repeatable on ENUM_VALUE
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @authenticated on FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM
directive @requiresScopes(scopes: [[String!]!]!) on FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM
directive @policy(policies: [[String!]!]!) on FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM
directive @classified(as: String!, action: String) on FIELD_DEFINITION | OBJECT | INTERFACE
scalar link__Import
enum link__Purpose { SECURITY EXECUTION }
scalar join__FieldSet
enum join__Graph { ONLY @join__graph(name: "only", url: "%(url)s") }
"""


def supergraph_of(sdl: str, *, url: str = "http://127.0.0.1:1/graphql", links: str = "") -> str:
    """The supergraph SDL of one subgraph that has every type of `sdl`."""
    document = parse(sdl)
    types = [one for one in document.definitions if isinstance(one, TypeDefinitionNode)]
    names = {one.name.value for one in types}
    roots = " ".join(
        f"{kind.lower()}: {kind}" for kind in ("Query", "Mutation", "Subscription") if kind in names
    )
    assert not any(isinstance(one, SchemaDefinitionNode) for one in document.definitions)
    return "\n\n".join([PRELUDE % {"roots": roots, "url": url, "links": links}, *map(_joined, types)])


def _joined(type_: TypeDefinitionNode) -> str:
    added = [_directive("join__type", graph="ONLY")]
    added += [
        _directive("join__implements", graph="ONLY", interface=f'"{it.name.value}"')
        for it in getattr(type_, "interfaces", None) or ()
    ]
    if type_.kind == "union_type_definition":
        added += [
            _directive("join__unionMember", graph="ONLY", member=f'"{it.name.value}"') for it in type_.types
        ]
    text = print_ast(_with(type_, added))
    if type_.kind == "enum_type_definition":
        for value in type_.values:
            text = text.replace(
                f"\n  {value.name.value}", f"\n  {value.name.value} @join__enumValue(graph: ONLY)"
            )
    return text


def _with(node: TypeDefinitionNode, added: list[DirectiveNode]) -> TypeDefinitionNode:
    keys = {key: getattr(node, key) for key in node.keys}
    keys["directives"] = (*(node.directives or ()), *added)
    return type(node)(**keys)


def _directive(name: str, **arguments: str) -> DirectiveNode:
    return DirectiveNode(
        name=NameNode(value=name),
        arguments=tuple(
            ArgumentNode(name=NameNode(value=key), value=EnumValueNode(value=value))
            for key, value in arguments.items()
        ),
    )
