"""The specification directives that stay visible in the supergraph, each with its link and definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphql import ValueNode

from schema.composition.merge.combine import conjunction, every, largest, union
from schema.federation.urls import APOLLO, FeatureUrl, Version

Combine = Callable[[list[ValueNode]], ValueNode | None]

_PROTECTED = "FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM"
_ANYWHERE = (
    "FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE"
    " | INPUT_OBJECT | INPUT_FIELD_DEFINITION"
)


@dataclass(frozen=True, slots=True)
class Feature:
    """A directive of the supergraph. `combine` says how arguments of several subgraphs become one."""

    directive: str
    url: FeatureUrl
    purpose: str | None
    definition: str
    scalars: tuple[str, ...] = ()
    is_repeatable: bool = False
    combine: Mapping[str, Combine] = field(default_factory=dict)


def _url(name: str, minor: int) -> FeatureUrl:
    return FeatureUrl(f"{APOLLO}/{name}", Version(0, minor))


_COST = _url("cost", 1)

_ALL = (
    Feature(
        "tag",
        _url("tag", 3),
        None,
        f"directive @tag(name: String!) repeatable on {_ANYWHERE} | SCHEMA",
        is_repeatable=True,
    ),
    Feature("inaccessible", _url("inaccessible", 2), "SECURITY", f"directive @inaccessible on {_ANYWHERE}"),
    Feature(
        "authenticated", _url("authenticated", 1), "SECURITY", f"directive @authenticated on {_PROTECTED}"
    ),
    Feature(
        "requiresScopes",
        _url("requiresScopes", 1),
        "SECURITY",
        f"directive @requiresScopes(scopes: [[requiresScopes__Scope!]!]!) on {_PROTECTED}",
        scalars=("requiresScopes__Scope",),
        combine={"scopes": conjunction},
    ),
    Feature(
        "policy",
        _url("policy", 1),
        "SECURITY",
        f"directive @policy(policies: [[policy__Policy!]!]!) on {_PROTECTED}",
        scalars=("policy__Policy",),
        combine={"policies": conjunction},
    ),
    Feature(
        "cost",
        _COST,
        None,
        "directive @cost(weight: Int!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION"
        " | INPUT_FIELD_DEFINITION | OBJECT | SCALAR",
        combine={"weight": largest},
    ),
    Feature(
        "listSize",
        _COST,
        None,
        "directive @listSize(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!],"
        " requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION",
        combine={
            "assumedSize": largest,
            "slicingArguments": union,
            "sizedFields": union,
            "requireOneSlicingArgument": every,
        },
    ),
    Feature(
        "context",
        _url("context", 1),
        "SECURITY",
        "directive @context(name: String!) repeatable on INTERFACE | OBJECT | UNION",
        scalars=("context__ContextFieldValue",),
        is_repeatable=True,
    ),
)

FEATURES = {feature.directive: feature for feature in _ALL}
# Linked for the router to see that it must know the directive, which itself is carried by @join__directive.
CACHE_TAG_LINK = (_url("cacheTag", 1), "EXECUTION")
CACHE_TAG_DIRECTIVE = "federation__cacheTag"
FROM_CONTEXT_DEFINITION = (
    "directive @context__fromContext(field: context__ContextFieldValue) on ARGUMENT_DEFINITION"
)
# What demands authorization, each with its argument.
DEMANDS = {"authenticated": None, "requiresScopes": "scopes", "policy": "policies"}
