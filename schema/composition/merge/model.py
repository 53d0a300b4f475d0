"""The merged graph: what clients see, with the subgraphs that each part comes from (by index)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphql import DirectiveNode, ObjectValueNode, ValueNode

from schema.composition.subgraph import Kind
from schema.federation.type_refs import TypeRef
from schema.federation.urls import FeatureUrl, Version

MergedDirectives = tuple[DirectiveNode, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """A subgraph in the supergraph. `enum` is its value of `join__Graph`."""

    name: str
    url: str
    enum: str


@dataclass(frozen=True, slots=True)
class ContextArgument:
    """An argument that the router fills from a context above the field."""

    name: str
    type: str
    context: str
    selection: str


@dataclass(frozen=True, slots=True)
class JoinField:
    """How one subgraph takes part in a field. `graph` None: some interface object supplies the field."""

    graph: int | None
    requires: str | None = None
    provides: str | None = None
    type: str | None = None
    external: bool = False
    override: str | None = None
    used_overridden: bool = False
    override_label: str | None = None
    context_arguments: tuple[ContextArgument, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinType:
    """How one subgraph takes part in a type, once a key."""

    graph: int
    key: str | None = None
    is_extension: bool = False
    is_resolvable: bool = True
    is_interface_object: bool = False


@dataclass(frozen=True, slots=True)
class JoinDirective:
    """A subgraph's directive that the router reads as it stands."""

    graphs: tuple[int, ...]
    name: str
    args: ObjectValueNode


@dataclass(frozen=True, slots=True)
class MergedArgument:
    """An argument of a field or directive, or a field of an input object (then with joins)."""

    name: str
    type: TypeRef
    default: ValueNode | None = None
    description: str | None = None
    directives: MergedDirectives = ()
    joins: tuple[JoinField, ...] = ()


@dataclass(frozen=True, slots=True)
class MergedField:
    """An output field. `sources`: the subgraphs that declare it and keep it."""

    name: str
    type: TypeRef
    arguments: Mapping[str, MergedArgument] = field(default_factory=dict)
    description: str | None = None
    directives: MergedDirectives = ()
    joins: tuple[JoinField, ...] = ()
    join_directives: tuple[JoinDirective, ...] = ()
    sources: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class MergedValue:
    """One value of an enum."""

    name: str
    graphs: tuple[int, ...]
    description: str | None = None
    directives: MergedDirectives = ()


@dataclass(frozen=True, slots=True)
class MergedType:
    """A type; only the part of its kind is filled."""

    kind: Kind
    name: str
    joins: tuple[JoinType, ...]
    description: str | None = None
    directives: MergedDirectives = ()
    implements: tuple[tuple[int, str], ...] = ()
    fields: Mapping[str, MergedField] = field(default_factory=dict)
    inputs: Mapping[str, MergedArgument] = field(default_factory=dict)
    members: tuple[tuple[int, str], ...] = ()
    values: Mapping[str, MergedValue] = field(default_factory=dict)
    join_directives: tuple[JoinDirective, ...] = ()

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces that any subgraph says this type implements."""
        return tuple(dict.fromkeys(name for _, name in self.implements))

    @property
    def member_names(self) -> tuple[str, ...]:
        """The members that any subgraph says this union has."""
        return tuple(dict.fromkeys(name for _, name in self.members))

    @property
    def graphs(self) -> frozenset[int]:
        """The subgraphs that have this type."""
        return frozenset(join.graph for join in self.joins)


@dataclass(frozen=True, slots=True)
class MergedDirectiveDef:
    """A directive of the supergraph: executable, or carried over with its applications."""

    name: str
    arguments: Mapping[str, MergedArgument]
    locations: tuple[str, ...]
    is_repeatable: bool
    description: str | None = None


@dataclass(frozen=True, slots=True)
class MergedLink:
    """A feature that the supergraph links besides link and join."""

    url: FeatureUrl
    namespace: str | None = None
    purpose: str | None = None
    imports: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class MergedGraph:
    """All subgraphs in one, not yet checked as a whole."""

    graphs: tuple[Graph, ...]
    version: Version
    types: Mapping[str, MergedType]
    directive_defs: Mapping[str, MergedDirectiveDef]
    schema_directives: MergedDirectives
    schema_description: str | None
    links: tuple[MergedLink, ...]
