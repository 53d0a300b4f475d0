"""One type definition of a supergraph with its joins: fields, keys, members and values by subgraph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from graphql import (
    DirectiveNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    GraphQLSyntaxError,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    NamedTypeNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    TypeDefinitionNode,
    TypeNode,
    UnionTypeDefinitionNode,
    parse_type,
    print_ast,
)

from schema.supergraph.applied import (
    Arguments,
    argument_flag,
    argument_objects,
    argument_text,
    arguments_of,
    named,
)
from schema.supergraph.field_sets import FieldSet, InvalidFieldSet, parse_field_set
from schema.supergraph.model import (
    ContextArgument,
    EnumValue,
    FieldDefinition,
    FieldJoin,
    InvalidSupergraph,
    TypeDefinition,
    TypeJoin,
    TypeKind,
    TypeRef,
)

_Fielded: TypeAlias = ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode | InputObjectTypeDefinitionNode

_KINDS: Final[dict[type[TypeDefinitionNode], TypeKind]] = {
    ScalarTypeDefinitionNode: TypeKind.SCALAR,
    ObjectTypeDefinitionNode: TypeKind.OBJECT,
    InterfaceTypeDefinitionNode: TypeKind.INTERFACE,
    UnionTypeDefinitionNode: TypeKind.UNION,
    EnumTypeDefinitionNode: TypeKind.ENUM,
    InputObjectTypeDefinitionNode: TypeKind.INPUT_OBJECT,
}


def read_type(node: TypeDefinitionNode, graphs: tuple[str, ...]) -> TypeDefinition:
    """The type with its joins; `graphs` are all subgraphs, for types that name none (join v0.1)."""
    joins, owner = _type_joins(node, graphs)
    name = node.name.value
    type_graphs = tuple(dict.fromkeys(join.graph for join in joins))
    fields: dict[str, FieldDefinition] = {}
    interfaces: tuple[str, ...] = ()
    if isinstance(node, _Fielded):
        for field_node in node.fields or ():
            fields[field_node.name.value] = _read_field(field_node, joins, type_graphs, owner)
    if isinstance(node, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
        interfaces = tuple(interface.name.value for interface in node.interfaces or ())
    return TypeDefinition(
        name=name,
        kind=_KINDS[type(node)],
        joins=joins,
        fields=fields,
        interfaces=interfaces,
        implements=_per_graph(node, "join__implements", "interface", interfaces, type_graphs),
        members=_members(node, type_graphs),
        enum_values=_enum_values(node, type_graphs),
        directives=_outside_join(node.directives),
        inaccessible=any(named(node.directives, "inaccessible")),
    )


def _type_joins(node: TypeDefinitionNode, graphs: tuple[str, ...]) -> tuple[tuple[TypeJoin, ...], str | None]:
    owner = argument_text(arguments_of(next(named(node.directives, "join__owner"), None)), "graph")
    joins = []
    for directive in named(node.directives, "join__type"):
        arguments = arguments_of(directive)
        graph = argument_text(arguments, "graph")
        if graph not in graphs:
            raise InvalidSupergraph(f"type `{node.name.value}` is joined to unknown subgraph `{graph}`")
        key = argument_text(arguments, "key")
        joins.append(
            TypeJoin(
                graph=graph,
                key=_field_set(key, node.name.value) if key else None,
                extension=argument_flag(arguments, "extension", default=False),
                resolvable=argument_flag(arguments, "resolvable", default=True),
                interface_object=argument_flag(arguments, "isInterfaceObject", default=False),
            )
        )
    if owner is not None and owner not in {join.graph for join in joins}:
        joins.append(TypeJoin(graph=owner))
    return tuple(joins) or tuple(TypeJoin(graph=graph) for graph in graphs), owner


def _read_field(
    node: FieldDefinitionNode | InputValueDefinitionNode,
    joins: tuple[TypeJoin, ...],
    graphs: tuple[str, ...],
    owner: str | None,
) -> FieldDefinition:
    type_ref = _type_ref(node.type)
    applied = [arguments_of(directive) for directive in named(node.directives, "join__field")]
    graphless = [arguments for arguments in applied if argument_text(arguments, "graph") is None]
    keyed = _key_graphs(node.name.value, joins)
    field_joins: dict[str, FieldJoin] = {}
    for arguments in applied:
        graph = argument_text(arguments, "graph")
        if graph is not None:
            field_joins[graph] = _field_join(graph, arguments, type_ref, node.name.value, joins)
    if not applied:
        field_joins = {graph: FieldJoin(graph, type_ref) for graph in ((owner,) if owner else graphs)}
    if owner is not None:  # join v0.1 says nothing of key fields: every subgraph with the key has them
        for graph in keyed:
            field_joins.setdefault(graph, FieldJoin(graph, type_ref))
    return FieldDefinition(
        name=node.name.value,
        type=type_ref,
        arguments=tuple(node.arguments or ()) if isinstance(node, FieldDefinitionNode) else (),
        joins=field_joins,
        directives=_outside_join(node.directives),
        from_interface_object=bool(graphless) and not field_joins,
        inaccessible=any(named(node.directives, "inaccessible")),
    )


def _field_join(
    graph: str, arguments: Arguments, merged: TypeRef, name: str, joins: tuple[TypeJoin, ...]
) -> FieldJoin:
    type_text = argument_text(arguments, "type")
    requires, provides = argument_text(arguments, "requires"), argument_text(arguments, "provides")
    external = argument_flag(arguments, "external", default=False)
    if external and any(join.graph == graph and join.extension and _in_key(name, join) for join in joins):
        external = False  # the key of an extension: marked external, resolved there all the same
    return FieldJoin(
        graph=graph,
        type=_written_type(type_text, name) if type_text else merged,
        external=external,
        requires=_field_set(requires, name) if requires else (),
        provides=_field_set(provides, name) if provides else (),
        override=argument_text(arguments, "override"),
        override_label=argument_text(arguments, "overrideLabel"),
        used_overridden=argument_flag(arguments, "usedOverridden", default=False),
        context_arguments=tuple(
            ContextArgument(
                name=argument_text(entry, "name") or "",
                type=argument_text(entry, "type") or "",
                context=argument_text(entry, "context") or "",
                selection=argument_text(entry, "selection") or "",
            )
            for entry in argument_objects(arguments, "contextArguments")
        ),
    )


def _in_key(name: str, join: TypeJoin) -> bool:
    return any(getattr(item, "name", None) == name for item in join.key or ())


def _key_graphs(name: str, joins: tuple[TypeJoin, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(join.graph for join in joins if _in_key(name, join)))


def _members(node: TypeDefinitionNode, graphs: tuple[str, ...]) -> dict[str, frozenset[str]]:
    if not isinstance(node, UnionTypeDefinitionNode):
        return {}
    members = tuple(member.name.value for member in node.types or ())
    return _per_graph(node, "join__unionMember", "member", members, graphs)


def _per_graph(
    node: TypeDefinitionNode, directive: str, argument: str, default: tuple[str, ...], graphs: tuple[str, ...]
) -> dict[str, frozenset[str]]:
    """Names by subgraph; where no join says so (join before v0.3), every subgraph has all of them."""
    found: dict[str, set[str]] = {}
    applied = list(named(node.directives, directive))
    for application in applied:
        arguments = arguments_of(application)
        graph, name = argument_text(arguments, "graph"), argument_text(arguments, argument)
        if graph is not None and name is not None:
            found.setdefault(graph, set()).add(name)
    if not applied and default:
        found = {graph: set(default) for graph in graphs}
    return {graph: frozenset(names) for graph, names in found.items()}


def _enum_values(node: TypeDefinitionNode, graphs: tuple[str, ...]) -> dict[str, EnumValue]:
    if not isinstance(node, EnumTypeDefinitionNode):
        return {}
    return {value.name.value: _enum_value(value, graphs) for value in node.values or ()}


def _enum_value(node: EnumValueDefinitionNode, graphs: tuple[str, ...]) -> EnumValue:
    joined = [argument_text(arguments_of(d), "graph") for d in named(node.directives, "join__enumValue")]
    return EnumValue(
        name=node.name.value,
        graphs=frozenset(graph for graph in joined if graph) or frozenset(graphs),
        directives=_outside_join(node.directives),
        inaccessible=any(named(node.directives, "inaccessible")),
    )


def _type_ref(node: TypeNode) -> TypeRef:
    inner: TypeNode = node
    while not isinstance(inner, NamedTypeNode):
        inner = inner.type  # type: ignore[attr-defined]  # list and non-null nodes alone have it
    return TypeRef(text=print_ast(node), name=inner.name.value)


def _written_type(text: str, name: str) -> TypeRef:
    try:
        return _type_ref(parse_type(text, no_location=True))
    except GraphQLSyntaxError as error:
        raise InvalidSupergraph(f"on `{name}`: `{text}` is no type") from error


def _field_set(text: str, owner: str) -> FieldSet:
    try:
        return parse_field_set(text)
    except InvalidFieldSet as error:
        raise InvalidSupergraph(f"on `{owner}`: {error}") from error


def _outside_join(directives: Iterable[DirectiveNode] | None) -> tuple[DirectiveNode, ...]:
    return tuple(d for d in directives or () if not d.name.value.startswith("join__"))
