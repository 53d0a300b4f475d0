"""Every directive that a subgraph may take from the Federation specification, since when and where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import cast

from graphql import DirectiveDefinitionNode, parse

from schema.federation.urls import APOLLO, Version

_TAGGED = (
    "FIELD_DEFINITION | INTERFACE | OBJECT | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE"
    " | INPUT_OBJECT | INPUT_FIELD_DEFINITION"
)
_PROTECTED = "FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM"


@dataclass(frozen=True, slots=True)
class DirectiveSpec:
    """One directive of the specification as a subgraph sees it."""

    name: str
    since: Version
    definition: str
    in_fed1: bool = False

    @property
    def node(self) -> DirectiveDefinitionNode:
        """The definition as syntax, parsed once."""
        return _definition(self.definition)


def _spec(minor: int, definition: str, *, in_fed1: bool = False) -> DirectiveSpec:
    name = definition.split("@", 1)[1].split("(", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    return DirectiveSpec(name, Version(2, minor), definition, in_fed1)


_ALL = (
    _spec(
        0,
        "directive @key(fields: FieldSet!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE",
        in_fed1=True,
    ),
    _spec(0, "directive @requires(fields: FieldSet!) on FIELD_DEFINITION", in_fed1=True),
    _spec(0, "directive @provides(fields: FieldSet!) on FIELD_DEFINITION", in_fed1=True),
    _spec(0, "directive @external(reason: String) on OBJECT | FIELD_DEFINITION", in_fed1=True),
    _spec(0, "directive @extends on OBJECT | INTERFACE", in_fed1=True),
    _spec(0, "directive @shareable repeatable on OBJECT | FIELD_DEFINITION"),
    _spec(0, "directive @override(from: String!, label: String) on FIELD_DEFINITION"),
    _spec(0, f"directive @inaccessible on {_TAGGED}"),
    _spec(0, f"directive @tag(name: String!) repeatable on {_TAGGED} | SCHEMA", in_fed1=True),
    _spec(1, "directive @composeDirective(name: String) repeatable on SCHEMA"),
    _spec(3, "directive @interfaceObject on OBJECT"),
    _spec(5, f"directive @authenticated on {_PROTECTED}"),
    _spec(5, f"directive @requiresScopes(scopes: [[Scope!]!]!) on {_PROTECTED}"),
    _spec(6, f"directive @policy(policies: [[Policy!]!]!) on {_PROTECTED}"),
    _spec(8, "directive @context(name: String!) repeatable on INTERFACE | OBJECT | UNION"),
    _spec(8, "directive @fromContext(field: ContextFieldValue) on ARGUMENT_DEFINITION"),
    _spec(
        9,
        "directive @cost(weight: Int!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION"
        " | INPUT_FIELD_DEFINITION | OBJECT | SCALAR",
    ),
    _spec(
        9,
        "directive @listSize(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!],"
        " requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION",
    ),
    _spec(12, "directive @cacheTag(format: String!) repeatable on OBJECT | FIELD_DEFINITION"),
)

FEDERATION_DIRECTIVES = {spec.name: spec for spec in _ALL}

# Scalars of the specification; the names are those after the namespace (`federation__FieldSet`).
FEDERATION_SCALARS = {
    "FieldSet": Version(2, 0),
    "Scope": Version(2, 5),
    "Policy": Version(2, 6),
    "ContextFieldValue": Version(2, 8),
}

# Directives that also have a specification of their own, by that specification's identity.
OWN_SPECS = {
    f"{APOLLO}/tag": ("tag",),
    f"{APOLLO}/inaccessible": ("inaccessible",),
    f"{APOLLO}/authenticated": ("authenticated",),
    f"{APOLLO}/requiresScopes": ("requiresScopes",),
    f"{APOLLO}/policy": ("policy",),
    f"{APOLLO}/context": ("context", "fromContext"),
    f"{APOLLO}/cost": ("cost", "listSize"),
    f"{APOLLO}/cacheTag": ("cacheTag",),
}

BUILT_IN_SCALARS = frozenset({"Int", "Float", "String", "Boolean", "ID"})
BUILT_IN_DIRECTIVES = frozenset({"skip", "include", "deprecated", "specifiedBy", "oneOf"})
# Built-in directives that say something about a type and so go with it into the supergraph.
CARRIED_BUILT_INS = frozenset({"deprecated", "specifiedBy", "oneOf"})
# What a subgraph serves for the router alone.
SERVICE_TYPES = frozenset({"_Any", "_Entity", "_Service", "_FieldSet"})
SERVICE_FIELDS = frozenset({"_service", "_entities"})


@cache
def _definition(text: str) -> DirectiveDefinitionNode:
    return cast("DirectiveDefinitionNode", parse(text, no_location=True).definitions[0])
