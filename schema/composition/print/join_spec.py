"""The definitions of the link and join specifications that a supergraph of a given age needs."""

from __future__ import annotations

from dataclasses import dataclass

from schema.federation.urls import Version

_PURPOSE = '''enum link__Purpose {
  """`SECURITY`: the feature protects data; a router that does not know it must not start."""
  SECURITY

  """`EXECUTION`: the feature is needed to run operations."""
  EXECUTION
}'''

_CONTEXT_ARGUMENT = """input join__ContextArgument {
  name: String!
  type: String!
  context: String!
  selection: join__FieldValue!
}"""

_LABEL = ", overrideLabel: String"
_CONTEXTS = ", contextArguments: [join__ContextArgument!]"


@dataclass(frozen=True, slots=True)
class SpecDefinitions:
    """Definitions as text, by the name they are sorted under."""

    directives: dict[str, str]
    types: dict[str, str]


def join_version(federation: Version) -> Version:
    """The lowest join version that can say what this federation version allows."""
    if federation >= Version(2, 8):
        return Version(0, 5)
    return Version(0, 4) if federation >= Version(2, 7) else Version(0, 3)


def spec_definitions(join: Version) -> SpecDefinitions:
    """What the supergraph must define to use link v1.0 and this version of join."""
    has_label, has_context = join >= Version(0, 4), join >= Version(0, 5)
    extra = (_LABEL if has_label else "") + (_CONTEXTS if has_context else "")
    directives = {
        "join__enumValue": "directive @join__enumValue(graph: join__Graph!) repeatable on ENUM_VALUE",
        "join__field": (
            "directive @join__field(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet,"
            " type: String, external: Boolean, override: String, usedOverridden: Boolean"
            f"{extra}) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION"
        ),
        "join__graph": "directive @join__graph(name: String!, url: String!) on ENUM_VALUE",
        "join__implements": (
            "directive @join__implements(graph: join__Graph!, interface:"
            " String!) repeatable on OBJECT | INTERFACE"
        ),
        "join__type": (
            "directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false,"
            " resolvable: Boolean! = true, isInterfaceObject: Boolean! = false)"
            " repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR"
        ),
        "join__unionMember": "directive @join__unionMember(graph: join__Graph!, member:"
        " String!) repeatable on UNION",
        "link": (
            "directive @link(url: String, as: String, for: link__Purpose, import:"
            " [link__Import]) repeatable on SCHEMA"
        ),
    }
    types = {
        "join__FieldSet": "scalar join__FieldSet",
        "link__Import": "scalar link__Import",
        "link__Purpose": _PURPOSE,
    }
    if has_label:
        directives["join__directive"] = (
            "directive @join__directive(graphs: [join__Graph!], name:"
            " String!, args: join__DirectiveArguments)"
            " repeatable on SCHEMA | OBJECT | INTERFACE | FIELD_DEFINITION"
        )
        types["join__DirectiveArguments"] = "scalar join__DirectiveArguments"
    if has_context:
        types["join__ContextArgument"] = _CONTEXT_ARGUMENT
        types["join__FieldValue"] = "scalar join__FieldValue"
    return SpecDefinitions(directives, types)
