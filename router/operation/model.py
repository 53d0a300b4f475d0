"""What each stage of an operation produces; a later type cannot be had without the earlier stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from graphql import DocumentNode, OperationDefinitionNode, ValueNode, VariableDefinitionNode

from router.operation.known_sets import Fragments


class OperationKind(StrEnum):
    """The three root kinds of the GraphQL specification, spelled as in operation text."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class ParsedOperation:
    """A document that parses within the limits. `document_hash` is the SHA-256 of the text, hex.

    `fragments` is set where equal parts of other texts are the same nodes.
    """

    text: str
    document_hash: str
    document: DocumentNode
    fragments: Fragments | None = None


@dataclass(frozen=True, slots=True)
class ValidOperation:
    """A parsed document that is valid on the API schema, and the operation chosen from it."""

    parsed: ParsedOperation
    operation: OperationDefinitionNode
    kind: OperationKind


@dataclass(frozen=True, slots=True)
class Condition:
    """`@include(if: $variable)`, or `@skip` when `negated`. Literal conditions are decided before."""

    variable: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as written: a literal or a variable, never coerced here."""

    name: str
    value: ValueNode


@dataclass(frozen=True, slots=True)
class Stream:
    """`@stream`: list items that follow the first `initial_count`, a number or a variable's name.

    `increment` numbers the operation's `@defer` fragments and `@stream` fields, in one row.
    """

    increment: int
    label: str | None
    initial_count: int | str


@dataclass(frozen=True, slots=True)
class AppliedDirective:
    """A directive of the client's that the router itself does not know; subgraphs are told of it."""

    name: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class NormalField:
    """A field with its fragments expanded and its duplicates merged.

    `parent_type` is the API-schema type that the field is selected on. `selections` is empty for leaves.
    """

    response_key: str
    name: str
    parent_type: str
    arguments: tuple[Argument, ...] = ()
    conditions: tuple[Condition, ...] = ()
    selections: tuple[NormalSelection, ...] = ()
    stream: Stream | None = None
    directives: tuple[AppliedDirective, ...] = ()


@dataclass(frozen=True, slots=True)
class NormalFragment:
    """An inline fragment that is still needed: it narrows the type, or it has conditions, or it defers.

    `increment` is the number of one that defers, as `Stream.increment`.
    """

    type_condition: str
    conditions: tuple[Condition, ...] = ()
    selections: tuple[NormalSelection, ...] = ()
    defer_label: str | None = None
    deferred: bool = False
    increment: int = 0


NormalSelection: TypeAlias = NormalField | NormalFragment


@dataclass(frozen=True, slots=True)
class NormalOperation:
    """A valid operation in normal form: the planner's and the projector's only input.

    `signature` is canonical text: equal signatures have equal plans. Introspection fields
    (`__schema`, `__type`, `__typename`) stay in; the planner passes over the first two.
    """

    kind: OperationKind
    root_type: str
    name: str | None
    selections: tuple[NormalSelection, ...]
    variables: tuple[VariableDefinitionNode, ...]
    signature: str


@dataclass(frozen=True, slots=True)
class Denial:
    """A field taken out before planning. `path` is the response path without list indices.

    `told`: the answer has an entry in `errors` for it.
    """

    path: tuple[str, ...]
    coordinate: str
    code: str
    extensions: Mapping[str, object]
    told: bool = True


@dataclass(frozen=True, slots=True)
class AllowedOperation:
    """What this caller may ask: `normal` without the denied fields, and one denial per path taken out.

    `original` keeps the client's whole selection, in whose shape the answer is projected.
    """

    normal: NormalOperation
    original: NormalOperation
    denials: tuple[Denial, ...] = ()
