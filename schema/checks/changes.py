"""Compares two schemas as clients see them: breaking, dangerous and safe changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from graphql import BreakingChange, DangerousChange, GraphQLError, GraphQLSchema, build_schema
from graphql.utilities import find_schema_changes

from schema.checks.model import Change, Impact
from schema.checks.traits import trait_changes
from schema.supergraph import read_supergraph

_ORDER = {impact: place for place, impact in enumerate(Impact)}


class SchemaUnreadable(Exception):
    """The text is neither a supergraph nor a schema."""


def read_schema(sdl: str) -> GraphQLSchema:
    """The API schema of a supergraph's SDL, or the schema itself when it is no supergraph.

    Errors: SchemaUnreadable.
    """
    try:
        return read_supergraph(sdl).api_schema if "join__Graph" in sdl else build_schema(sdl)
    except (GraphQLError, TypeError, ValueError) as error:
        raise SchemaUnreadable(f"not a schema: {error}") from None


def compare(old: GraphQLSchema, new: GraphQLSchema) -> tuple[Change, ...]:
    """All changes from `old` to `new`, those that break clients first."""
    find = cast("Callable[[GraphQLSchema, GraphQLSchema], list[Any]]", find_schema_changes)
    changes = [Change(_impact(change), change.type.name, change.description) for change in find(old, new)]
    changes += trait_changes(old, new)
    return tuple(sorted(changes, key=lambda c: (_ORDER[c.impact], c.kind, c.message)))


def _impact(change: object) -> Impact:
    if isinstance(change, BreakingChange):
        return Impact.BREAKING
    return Impact.DANGEROUS if isinstance(change, DangerousChange) else Impact.SAFE
