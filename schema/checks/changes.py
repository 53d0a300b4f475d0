"""Compares two schemas as clients see them: breaking, dangerous and safe changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from graphql import BreakingChange, DangerousChange, GraphQLError, GraphQLSchema, build_schema, parse
from graphql.utilities import find_schema_changes

from schema.checks.demands import Applied, applied_directives, demand_changes
from schema.checks.model import Change, Impact
from schema.checks.traits import trait_changes
from schema.supergraph import read_supergraph

_ORDER = {impact: place for place, impact in enumerate(Impact)}


class SchemaUnreadable(Exception):
    """The text is neither a supergraph nor a schema."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """A schema as clients see it, with the directives on its elements that say more than types do."""

    api: GraphQLSchema
    applied: Applied


def read_version(sdl: str) -> SchemaVersion:
    """The version that a supergraph's SDL, or a plain schema, is of. Errors: SchemaUnreadable."""
    api = read_schema(sdl)
    return SchemaVersion(api, applied_directives(parse(sdl, no_location=True), api))


def compare_versions(old: SchemaVersion, new: SchemaVersion) -> tuple[Change, ...]:
    """All changes from `old` to `new`, of types and of what stands on them; the breaking ones first."""
    return _sorted([*compare(old.api, new.api), *demand_changes(old.applied, new.applied)])


def read_schema(sdl: str) -> GraphQLSchema:
    """The API schema of a supergraph's SDL, or the schema itself when it is no supergraph.

    Errors: SchemaUnreadable.
    """
    try:
        return read_supergraph(sdl).api_schema if "join__Graph" in sdl else build_schema(sdl)
    except (GraphQLError, TypeError, ValueError) as error:
        raise SchemaUnreadable(f"not a schema: {error}") from None


def compare(old: GraphQLSchema, new: GraphQLSchema) -> tuple[Change, ...]:
    """The changes of types from `old` to `new`, those that break clients first."""
    find = cast("Callable[[GraphQLSchema, GraphQLSchema], list[Any]]", find_schema_changes)
    changes = [Change(_impact(change), change.type.name, change.description) for change in find(old, new)]
    changes += trait_changes(old, new)
    return _sorted(changes)


def _sorted(changes: list[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda c: (_ORDER[c.impact], c.kind, c.message)))


def _impact(change: object) -> Impact:
    if isinstance(change, BreakingChange):
        return Impact.BREAKING
    return Impact.DANGEROUS if isinstance(change, DangerousChange) else Impact.SAFE
