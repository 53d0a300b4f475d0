"""The Supergraph model: every type with who defines it, who resolves its fields, and by which keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from graphql import DirectiveNode, DocumentNode, GraphQLSchema, InputValueDefinitionNode

from schema.supergraph.field_sets import FieldSet


class InvalidSupergraph(ValueError):
    """The text is not a supergraph that can be served; the message says why and where."""

    code = "INVALID_FEDERATION_SUPERGRAPH"


class TypeKind(StrEnum):
    """The kinds of the GraphQL type system, spelled as in introspection."""

    SCALAR = "SCALAR"
    OBJECT = "OBJECT"
    INTERFACE = "INTERFACE"
    UNION = "UNION"
    ENUM = "ENUM"
    INPUT_OBJECT = "INPUT_OBJECT"


@dataclass(frozen=True, slots=True)
class Subgraph:
    """One subgraph: its value in `join__Graph`, the name it was composed under, its URL."""

    graph: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class TypeRef:
    """A field's or argument's type as text (`[Item!]!`), with the named type inside it."""

    text: str
    name: str

    @property
    def list_depth(self) -> int:
        """How many lists are around the named type."""
        return self.text.count("[")

    @property
    def wrapping(self) -> str:
        """The text with the name blanked: equal for types of the same nullability and list shape."""
        return self.text.replace(self.name, "_", 1)


@dataclass(frozen=True, slots=True)
class TypeJoin:
    """One `@join__type`: the type as one subgraph has it, under one key or none."""

    graph: str
    key: FieldSet | None = None
    extension: bool = False
    resolvable: bool = True
    interface_object: bool = False


@dataclass(frozen=True, slots=True)
class ContextArgument:
    """An argument whose value comes from an object above: `selection` in context `context`."""

    name: str
    type: str
    context: str
    selection: str


@dataclass(frozen=True, slots=True)
class FieldJoin:
    """A field as one subgraph has it.

    `external`: named there, not resolved there (unless a path provides it). `used_overridden`: another
    subgraph took the field over. `override_label`: which of both sides serves depends on the label.
    """

    graph: str
    type: TypeRef
    external: bool = False
    requires: FieldSet = ()
    provides: FieldSet = ()
    override: str | None = None
    override_label: str | None = None
    used_overridden: bool = False
    context_arguments: tuple[ContextArgument, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A merged field. `joins` has one entry for each subgraph that names the field.

    `from_interface_object` marks a field that an implementation has only because an interface
    object's subgraph supplies it. `directives` are the applied ones outside the join specification.
    """

    name: str
    type: TypeRef
    arguments: tuple[InputValueDefinitionNode, ...] = ()
    joins: Mapping[str, FieldJoin] = field(default_factory=dict)
    directives: tuple[DirectiveNode, ...] = ()
    from_interface_object: bool = False
    inaccessible: bool = False


@dataclass(frozen=True, slots=True)
class EnumValue:
    """An enum value and the subgraphs that know it."""

    name: str
    graphs: frozenset[str]
    directives: tuple[DirectiveNode, ...] = ()
    inaccessible: bool = False


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A merged type. Maps are keyed by subgraph (`join__Graph` value) unless said otherwise.

    `interfaces` are those of the supergraph, `implements` those of each subgraph. `fields` and
    `enum_values` are keyed by name. `directives` are the applied ones outside the join specification.
    """

    name: str
    kind: TypeKind
    joins: tuple[TypeJoin, ...] = ()
    fields: Mapping[str, FieldDefinition] = field(default_factory=dict)
    interfaces: tuple[str, ...] = ()
    implements: Mapping[str, frozenset[str]] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    enum_values: Mapping[str, EnumValue] = field(default_factory=dict)
    directives: tuple[DirectiveNode, ...] = ()
    inaccessible: bool = False

    @property
    def graphs(self) -> tuple[str, ...]:
        """The subgraphs that have the type, each once, in the order of the supergraph."""
        return tuple(dict.fromkeys(join.graph for join in self.joins))

    @property
    def is_abstract(self) -> bool:
        """Whether an object of this type has another, concrete type at run time."""
        return self.kind in {TypeKind.INTERFACE, TypeKind.UNION}

    @property
    def is_composite(self) -> bool:
        """Whether fields can be selected on it."""
        return self.kind is TypeKind.OBJECT or self.is_abstract

    def interface_object_in(self, graph: str) -> bool:
        """Whether `graph` has this interface as an object type."""
        return any(join.interface_object for join in self.joins if join.graph == graph)


@dataclass(frozen=True)
class Supergraph:
    """A whole supergraph, immutable. `subgraphs` is keyed by `join__Graph` value.

    `root_types` maps `query`, `mutation`, `subscription` to type names. `possible_types` maps every
    composite type to the object types that its objects can have anywhere.
    """

    sdl: str
    document: DocumentNode
    subgraphs: Mapping[str, Subgraph]
    types: Mapping[str, TypeDefinition]
    root_types: Mapping[str, str]
    possible_types: Mapping[str, frozenset[str]]
    contexts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Context name → the types that set it."""

    @cached_property
    def api_schema(self) -> GraphQLSchema:
        """What clients see: no link and join elements, nothing inaccessible."""
        from schema.supergraph.api import api_schema_of

        return api_schema_of(self.document)

    @cached_property
    def directives_by_coordinate(self) -> Mapping[str, tuple[DirectiveNode, ...]]:
        """`Type` and `Type.field` → the applied directives outside the join specification."""
        applied: dict[str, tuple[DirectiveNode, ...]] = {}
        for type_ in self.types.values():
            applied[type_.name] = type_.directives
            applied.update((f"{type_.name}.{name}", f.directives) for name, f in type_.fields.items())
        return applied

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other
