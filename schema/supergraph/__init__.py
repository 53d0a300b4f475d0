"""The supergraph as a value: read its SDL once, then ask it who has which type, field and key."""

from schema.supergraph.model import (
    EnumValue,
    FieldDefinition,
    FieldJoin,
    InvalidSupergraph,
    Subgraph,
    Supergraph,
    TypeDefinition,
    TypeJoin,
    TypeKind,
    TypeRef,
)
from schema.supergraph.read import read_supergraph

__all__ = [
    "EnumValue",
    "FieldDefinition",
    "FieldJoin",
    "InvalidSupergraph",
    "Subgraph",
    "Supergraph",
    "TypeDefinition",
    "TypeJoin",
    "TypeKind",
    "TypeRef",
    "read_supergraph",
]
