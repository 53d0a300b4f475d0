"""A subgraph as composition sees it: types, fields and directives under their canonical names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from graphql import BooleanValueNode, DirectiveNode, StringValueNode, ValueNode

from schema.federation.type_refs import NonNull, TypeRef
from schema.federation.urls import FeatureUrl, Version
from schema.problems import Location


class Kind(Enum):
    """The six kinds of named types."""

    OBJECT = "object"
    INTERFACE = "interface"
    UNION = "union"
    ENUM = "enum"
    INPUT = "input"
    SCALAR = "scalar"


ROOTS = ("Query", "Mutation", "Subscription")


@dataclass(frozen=True, slots=True)
class Applied:
    """A directive where it stands. `spec` tells the specification's `@key` from somebody's own `@key`."""

    name: str
    spec: bool
    arguments: Mapping[str, ValueNode]
    node: DirectiveNode
    at: Location

    def text(self, argument: str) -> str | None:
        """A string argument's value; None when absent or not a string."""
        value = self.arguments.get(argument)
        return value.value if isinstance(value, StringValueNode) else None

    def flag(self, argument: str, *, default: bool) -> bool:
        """A Boolean argument's value, `default` when absent."""
        value = self.arguments.get(argument)
        return value.value if isinstance(value, BooleanValueNode) else default


Directives = tuple[Applied, ...]


def find(directives: Directives, name: str) -> Iterator[Applied]:
    """The applications of the specification's directive `name`, in order."""
    return (applied for applied in directives if applied.spec and applied.name == name)


def has(directives: Directives, name: str) -> bool:
    """Whether the specification's directive `name` is applied."""
    return any(True for _ in find(directives, name))


def first(directives: Directives, name: str) -> Applied | None:
    """The first application of the specification's directive `name`."""
    return next(find(directives, name), None)


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument or an input field."""

    name: str
    type: TypeRef
    default: ValueNode | None
    description: str | None
    directives: Directives
    at: Location


def is_required(argument: Argument) -> bool:
    """Whether a caller must give the argument."""
    return isinstance(argument.type, NonNull) and argument.default is None


@dataclass(frozen=True, slots=True)
class FieldDef:
    """An output field. `inherited` names what the declaration around it says for it (shareable, external)."""

    name: str
    type: TypeRef
    arguments: Mapping[str, Argument]
    description: str | None
    directives: Directives
    at: Location
    inherited: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EnumValue:
    """One value of an enum."""

    name: str
    description: str | None
    directives: Directives
    at: Location


@dataclass(frozen=True, slots=True)
class TypeDef:
    """A named type; only the part of its kind is filled. `inputs` are the fields of an input object."""

    kind: Kind
    name: str
    description: str | None
    directives: Directives
    at: Location
    is_extension: bool = False
    interfaces: tuple[str, ...] = ()
    fields: Mapping[str, FieldDef] = field(default_factory=dict)
    inputs: Mapping[str, Argument] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    values: Mapping[str, EnumValue] = field(default_factory=dict)

    @property
    def is_interface_object(self) -> bool:
        """Whether the type stands for an interface that lives in other subgraphs."""
        return has(self.directives, "interfaceObject")


@dataclass(frozen=True, slots=True)
class DirectiveDef:
    """A subgraph's own directive definition."""

    name: str
    arguments: Mapping[str, Argument]
    locations: tuple[str, ...]
    is_repeatable: bool
    description: str | None
    at: Location


@dataclass(frozen=True, slots=True)
class Import:
    """One imported element; directives carry their `@` in both names."""

    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Link:
    """A `@link` on the schema."""

    url: FeatureUrl
    namespace: str | None
    purpose: str | None
    imports: tuple[Import, ...]
    at: Location

    def written(self, element: str) -> str:
        """The name under which this schema writes the feature's `element` (directives with `@`)."""
        for imported in self.imports:
            if imported.name == element:
                return imported.alias
        namespace = self.namespace or self.url.name or ""
        if element == f"@{self.url.name}":
            return f"@{namespace}"
        return f"@{namespace}__{element[1:]}" if element.startswith("@") else f"{namespace}__{element}"


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A parsed subgraph with its root types under their usual names."""

    name: str
    url: str
    version: Version
    types: Mapping[str, TypeDef]
    directive_defs: Mapping[str, DirectiveDef]
    schema_directives: Directives
    schema_description: str | None
    links: tuple[Link, ...]

    @property
    def is_fed1(self) -> bool:
        """Whether the SDL links no Federation 2 specification."""
        return self.version.major == 1

    def field(self, type_name: str, field_name: str) -> FieldDef | None:
        """An output field, if this subgraph declares it."""
        owner = self.types.get(type_name)
        return None if owner is None else owner.fields.get(field_name)

    def runtime_types(self, name: str) -> frozenset[str]:
        """The object types that a value of type `name` can have here."""
        found = self.types.get(name)
        if found is None:
            return frozenset()
        if found.kind is Kind.UNION:
            return frozenset(found.members)
        if found.kind is Kind.INTERFACE:
            return frozenset(
                t.name for t in self.types.values() if t.kind is Kind.OBJECT and name in t.interfaces
            )
        return frozenset({name})
