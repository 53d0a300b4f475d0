"""What can be wrong with subgraphs: every code with its meaning and stage, and the form of a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a report matters: errors stop composition, the others are hints."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in one subgraph's SDL; line and column count from 1, 0 means the whole subgraph."""

    subgraph: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.subgraph}:{self.line}:{self.column}" if self.line else self.subgraph


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: what is wrong, where (schema coordinate and places), and how to mend it."""

    code: str
    message: str
    coordinate: str | None = None
    locations: tuple[Location, ...] = ()
    mend: str | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def describe(self) -> str:
        """The finding as a person reads it: code and message, each place, and the mend."""
        lines = [f"{self.severity.value}[{self.code}] {self.message}"]
        lines += [f"  at {location}" for location in self.locations]
        if self.mend:
            lines.append(f"  mend: {self.mend}")
        return "\n".join(lines)


class CompositionFailed(Exception):
    """Raised where a caller asked for a supergraph and there are only problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, slots=True)
class Code:
    """A stable code: what it means and the stage that reports it."""

    code: str
    meaning: str
    stage: str


_PARSE = {
    "INVALID_GRAPHQL": "the SDL is no valid GraphQL schema",
    "INVALID_SUBGRAPH_NAME": "a subgraph's name is empty, reserved or used twice",
    "ROOT_QUERY_USED": "another type has the name of the query root",
    "ROOT_MUTATION_USED": "another type has the name of the mutation root",
    "ROOT_SUBSCRIPTION_USED": "another type has the name of the subscription root",
    "UNKNOWN_FEDERATION_LINK_VERSION": "the linked federation version is not known",
    "UNKNOWN_LINK_VERSION": "the linked version of the link specification is not known",
    "INVALID_LINK_DIRECTIVE_USAGE": "a link cannot be understood",
    "INVALID_LINK_IDENTIFIER": "a link's namespace is no usable name",
    "DIRECTIVE_DEFINITION_INVALID": "a federation directive is defined otherwise than specified",
    "TYPE_DEFINITION_INVALID": "a specification's type is defined otherwise than specified",
    "DISALLOWED_INACCESSIBLE": "something built in is hidden",
}
_UPGRADE = {
    "EXTENSION_WITH_NO_BASE": "a type is extended and nowhere defined",
    "TYPE_WITH_ONLY_UNUSED_EXTERNAL": "nothing is left of a Federation 1 type but unused external fields",
}
_VALIDATE = {
    "KEY_INVALID_FIELDS": "a key's selection does not fit its type",
    "KEY_INVALID_FIELDS_TYPE": "a key's fields are no string",
    "KEY_FIELDS_HAS_ARGS": "a key selects a field with arguments",
    "KEY_FIELDS_SELECT_INVALID_TYPE": "a key selects an interface or a union",
    "KEY_UNSUPPORTED_ON_INTERFACE": "an interface has a key before federation v2.3",
    "KEY_DIRECTIVE_IN_FIELDS_ARG": "a key's selection holds a directive",
    "PROVIDES_INVALID_FIELDS": "a provided selection does not fit its type",
    "PROVIDES_INVALID_FIELDS_TYPE": "provided fields are no string",
    "PROVIDES_FIELDS_HAS_ARGS": "a provided field has arguments",
    "PROVIDES_FIELDS_MISSING_EXTERNAL": "a provided field is not external",
    "PROVIDES_UNSUPPORTED_ON_INTERFACE": "an interface's field provides something",
    "PROVIDES_DIRECTIVE_IN_FIELDS_ARG": "a provided selection holds a directive",
    "PROVIDES_ON_NON_OBJECT_FIELD": "a field without fields of its own provides some",
    "REQUIRES_INVALID_FIELDS": "a required selection does not fit its type",
    "REQUIRES_INVALID_FIELDS_TYPE": "required fields are no string",
    "REQUIRES_FIELDS_MISSING_EXTERNAL": "a required field is not external",
    "REQUIRES_UNSUPPORTED_ON_INTERFACE": "an interface's field requires something",
    "REQUIRES_DIRECTIVE_IN_FIELDS_ARG": "a required selection holds a directive",
    "EXTERNAL_UNUSED": "an external field is used by nothing",
    "EXTERNAL_ON_INTERFACE": "an interface's field is external",
    "EXTERNAL_COLLISION_WITH_ANOTHER_DIRECTIVE": "an external field provides something",
    "MERGED_DIRECTIVE_APPLICATION_ON_EXTERNAL": "a directive that is merged stands on an external field",
    "INVALID_SHAREABLE_USAGE": "a field is marked shareable where that means nothing",
    "INTERFACE_KEY_NOT_ON_IMPLEMENTATION": "an implementation lacks its interface's key",
    "COST_APPLIED_TO_INTERFACE_FIELD": "an interface's field has a cost",
    "LIST_SIZE_APPLIED_TO_NON_LIST": "a list size stands on no list",
    "LIST_SIZE_INVALID_ASSUMED_SIZE": "an assumed list size is negative",
    "LIST_SIZE_INVALID_SIZED_FIELD": "a sized field is no list",
    "LIST_SIZE_INVALID_SLICING_ARGUMENT": "a slicing argument is no integer",
    "AUTH_REQUIREMENTS_APPLIED_ON_INTERFACE": "an interface demands authorization by itself",
    "INVALID_TAG_NAME": "a tag's name cannot be used",
    "CACHE_TAG_INVALID_FORMAT": "a cache tag's format cannot be read",
    "CACHE_TAG_APPLIED_TO_NON_ROOT_FIELD": "a cache tag stands on a field that is no query",
    "CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ROOT_FIELD": "a cache tag names an argument that the field lacks",
    "CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ENTITY": "a cache tag names a field that some key lacks",
    "CACHE_TAG_ENTITY_NOT_RESOLVABLE": "a cache tag stands on a type without a resolvable key",
    "CONTEXT_NAME_INVALID": "a context's name cannot be used",
    "CONTEXT_NOT_SET": "an argument reads a context that nothing sets",
    "CONTEXT_INVALID_SELECTION": "an argument's selection does not fit the context",
    "NO_CONTEXT_IN_SELECTION": "an argument's selection names no context",
    "CONTEXT_NO_RESOLVABLE_KEY": "a field with a contextual argument is on a type without a resolvable key",
}
_MERGE = {
    "TYPE_KIND_MISMATCH": "a type is of different kinds",
    "FIELD_TYPE_MISMATCH": "a field has types that cannot be one",
    "FIELD_ARGUMENT_TYPE_MISMATCH": "an argument has types that cannot be one",
    "FIELD_ARGUMENT_DEFAULT_MISMATCH": "an argument has different defaults",
    "INPUT_FIELD_DEFAULT_MISMATCH": "an input field has different defaults",
    "REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH": "an argument is required here and unknown there",
    "REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH": "an input field is required here and unknown there",
    "EMPTY_MERGED_INPUT_TYPE": "an input object has no field in common",
    "ENUM_VALUE_MISMATCH": "an enum used both ways has different values",
    "EMPTY_MERGED_ENUM_TYPE": "an input enum has no value in common",
    "EXTERNAL_MISSING_ON_BASE": "a field is external everywhere",
    "EXTERNAL_TYPE_MISMATCH": "an external copy has another type",
    "EXTERNAL_ARGUMENT_MISSING": "an external copy lacks an argument",
    "EXTERNAL_ARGUMENT_TYPE_MISMATCH": "an external copy's argument has another type",
    "EXTERNAL_ARGUMENT_DEFAULT_MISMATCH": "an external copy's argument has another default",
    "INVALID_FIELD_SHARING": "a field is resolved by several subgraphs and not shareable in all",
    "OVERRIDE_FROM_SELF_ERROR": "a field overrides itself",
    "OVERRIDE_SOURCE_HAS_OVERRIDE": "an overridden field overrides as well",
    "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE": "an override meets a directive that it cannot go with",
    "OVERRIDE_ON_INTERFACE": "an interface's field overrides",
    "OVERRIDE_LABEL_INVALID": "an override's label cannot be used",
    "INTERFACE_KEY_MISSING_IMPLEMENTATION_TYPE": "a keyed interface does not know all its implementations",
    "INTERFACE_OBJECT_USAGE_ERROR": "an interface object stands where it cannot",
    "DIRECTIVE_COMPOSITION_ERROR": "a directive cannot be composed as asked",
    "CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS": "an argument is contextual here, required there",
}
_POST_MERGE = {
    "NO_QUERIES": "there is nothing to query",
    "LINK_IMPORT_NAME_MISMATCH": "a directive is imported under different names",
    "UNSUPPORTED_LINKED_FEATURE": "a feature needed for security or execution would be lost",
    "INTERFACE_FIELD_NO_IMPLEM": "an implementation lacks a field of its interface",
    "INPUT_FIELD_MERGE_FAILED": "a field of a one-of input is required or has a default",
    "MISSING_TRANSITIVE_AUTH_REQUIREMENTS": "a field demands less than what it requires",
    "REFERENCED_INACCESSIBLE": "something visible uses a hidden type",
    "DEFAULT_VALUE_USES_INACCESSIBLE": "a visible default uses something hidden",
    "QUERY_ROOT_TYPE_INACCESSIBLE": "the query root is hidden",
    "REQUIRED_INACCESSIBLE": "something that must be given is hidden",
    "IMPLEMENTED_BY_INACCESSIBLE": "a visible interface field is implemented by a hidden one",
    "ONLY_INACCESSIBLE_CHILDREN": "everything in a visible type is hidden",
}
_SATISFIABILITY = {
    "SATISFIABILITY_ERROR": "an allowed operation cannot be answered",
    "SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES": "copies of a shared field have no type in common",
    "MAX_VALIDATION_SUBGRAPH_PATHS_EXCEEDED": "there are too many paths to check them all",
}
_STAGES = {
    "parse": _PARSE,
    "upgrade": _UPGRADE,
    "validate": _VALIDATE,
    "merge": _MERGE,
    "post-merge": _POST_MERGE,
    "satisfiability": _SATISFIABILITY,
}

CODES = {
    code: Code(code, meaning, stage) for stage, codes in _STAGES.items() for code, meaning in codes.items()
}


@dataclass(frozen=True, slots=True)
class Hint:
    """A stable code of something that composes and still deserves a look."""

    code: str
    meaning: str
    severity: Severity


_WARN = {
    "INCONSISTENT_DEFAULT_VALUE_PRESENCE": "only some subgraphs give a default, so there is none",
    "INCONSISTENT_INPUT_OBJECT_FIELD": "only some subgraphs know an input field, so clients cannot use it",
    "INCONSISTENT_ENUM_VALUE_FOR_INPUT_ENUM": "only some subgraphs know an input value, so it is left out",
    "INCONSISTENT_EXECUTABLE_DIRECTIVE_PRESENCE": "only some subgraphs know a directive of operations",
    "INCONSISTENT_EXECUTABLE_DIRECTIVE_REPEATABLE": "a directive of operations is not repeatable everywhere",
    "INCONSISTENT_EXECUTABLE_DIRECTIVE_LOCATIONS": "a directive of operations is allowed in different places",
    "NO_EXECUTABLE_DIRECTIVE_INTERSECTION": "no place of a directive of operations is allowed everywhere",
    "INCONSISTENT_DESCRIPTION": "descriptions differ; the most frequent one is kept",
    "INCONSISTENT_ARGUMENT_PRESENCE": "only some subgraphs know an argument, so clients cannot use it",
    "FROM_SUBGRAPH_DOES_NOT_EXIST": "an override names a subgraph that is not there",
    "INCONSISTENT_NON_REPEATABLE_DIRECTIVE_ARGUMENTS": "a directive differs; the most frequent one is kept",
    "DIRECTIVE_COMPOSITION_WARN": "a subgraph would lose what it writes with a composed directive",
    "INCONSISTENT_RUNTIME_TYPES_FOR_SHAREABLE_RETURN": "copies of a shared field know different types",
}
_INFO = {
    "INCONSISTENT_BUT_COMPATIBLE_FIELD_TYPE": "a field's types differ and are made one",
    "INCONSISTENT_BUT_COMPATIBLE_ARGUMENT_TYPE": "an argument's types differ and are made one",
    "INCONSISTENT_ENTITY": "a type has a key in some subgraphs only",
    "OVERRIDDEN_FIELD_CAN_BE_REMOVED": "an overridden field serves nothing any more",
    "OVERRIDE_DIRECTIVE_CAN_BE_REMOVED": "an override has nothing to override",
    "OVERRIDE_MIGRATION_IN_PROGRESS": "a field moves between subgraphs by a label",
    "MERGED_NON_REPEATABLE_DIRECTIVE_ARGUMENTS": "a directive's arguments differ and are made one",
    "DIRECTIVE_COMPOSITION_INFO": "a feature that is not composed is linked in different major versions",
    "IMPLICITLY_UPGRADED_FEDERATION_VERSION": "a link needs a later federation than the one linked",
    "CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS": "clients cannot give a contextual argument",
}
_DEBUG = {
    "INCONSISTENT_OBJECT_VALUE_TYPE_FIELD": "only some subgraphs with a keyless type know a field",
    "INCONSISTENT_INTERFACE_VALUE_TYPE_FIELD": "only some subgraphs with an interface know a field",
    "INCONSISTENT_UNION_MEMBER": "only some subgraphs know a union's member",
    "INCONSISTENT_ENUM_VALUE_FOR_OUTPUT_ENUM": "only some subgraphs know an output value",
    "INCONSISTENT_TYPE_SYSTEM_DIRECTIVE_REPEATABLE": "a composed directive is not repeatable everywhere",
    "INCONSISTENT_TYPE_SYSTEM_DIRECTIVE_LOCATIONS": "a composed directive is allowed in different places",
    "UNUSED_ENUM_TYPE": "nothing uses an enum",
}
_SEVERITIES = {Severity.WARN: _WARN, Severity.INFO: _INFO, Severity.DEBUG: _DEBUG}

HINTS = {
    code: Hint(code, meaning, severity)
    for severity, codes in _SEVERITIES.items()
    for code, meaning in codes.items()
}

# Codes of other composers that composition never gives here, and why.
NOT_GIVEN = {
    "QUERY_ROOT_MISSING": "`NO_QUERIES` says it",
    "UNSUPPORTED_FEATURE": "`UNSUPPORTED_LINKED_FEATURE` names the links that are not known",
    "INVALID_FEDERATION_SUPERGRAPH": "the reader of supergraphs refuses with it; composition writes them",
    "UNSUPPORTED_FEDERATION_VERSION": "`UNKNOWN_FEDERATION_LINK_VERSION` says it",
    "UNSUPPORTED_FEDERATION_DIRECTIVE": "`INVALID_LINK_DIRECTIVE_USAGE` and `INVALID_GRAPHQL` say it",
}
