"""References to types (`[Item!]!`) as values that compare, print and nest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from graphql import ListTypeNode, NamedTypeNode, NonNullTypeNode, TypeNode


@dataclass(frozen=True, slots=True)
class Named:
    """A type by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of what it wraps."""

    of: TypeRef

    def __str__(self) -> str:
        return f"[{self.of}]"


@dataclass(frozen=True, slots=True)
class NonNull:
    """What it wraps, never null."""

    of: Named | ListOf

    def __str__(self) -> str:
        return f"{self.of}!"


TypeRef = Named | ListOf | NonNull


def type_ref(node: TypeNode) -> TypeRef:
    """The reference that a syntax node spells."""
    if isinstance(node, NonNullTypeNode):
        inner = type_ref(node.type)
        return inner if isinstance(inner, NonNull) else NonNull(inner)
    if isinstance(node, ListTypeNode):
        return ListOf(type_ref(node.type))
    return Named(cast("NamedTypeNode", node).name.value)


def nullable(ref: TypeRef) -> Named | ListOf:
    """The reference without its outermost `!`."""
    return ref.of if isinstance(ref, NonNull) else ref


def named(ref: TypeRef) -> str:
    """The name inside all lists and non-nulls."""
    while not isinstance(ref, Named):
        ref = ref.of
    return ref.name


def renamed(ref: TypeRef, names: dict[str, str]) -> TypeRef:
    """The same shape with the name replaced by what `names` says."""
    if isinstance(ref, Named):
        return Named(names.get(ref.name, ref.name))
    if isinstance(ref, ListOf):
        return ListOf(renamed(ref.of, names))
    return NonNull(nullable(renamed(ref.of, names)))


def has_list(ref: TypeRef) -> bool:
    """Whether a value of this type is a list."""
    return isinstance(nullable(ref), ListOf)
