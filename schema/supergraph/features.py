"""Linked specifications of a supergraph: which names belong to them, and which are not known.

Source: link v1.0 and its forerunner core v0.1/v0.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from graphql import DirectiveNode, DocumentNode, SchemaDefinitionNode, SchemaExtensionNode

from schema.supergraph.applied import argument_names, argument_text, arguments_of
from schema.supergraph.model import InvalidSupergraph

_KNOWN: Final = frozenset(
    {
        "core", "link", "join", "federation", "tag", "inaccessible", "authenticated", "requiresScopes",
        "policy", "context", "cost", "listSize", "connect", "cacheTag", "source",
    }
)  # fmt: skip
_KNOWN_JOIN_VERSIONS: Final = frozenset({"v0.1", "v0.2", "v0.3", "v0.4", "v0.5"})


@dataclass(frozen=True, slots=True)
class Features:
    """The names that linked specifications brought in: `prefixes` (`join` for `join__…`), exact
    directive names, exact type names."""

    prefixes: frozenset[str]
    directives: frozenset[str]
    types: frozenset[str]
    inaccessible: str = "inaccessible"


def check_features(document: DocumentNode) -> Features:
    """The document's linked features.

    Errors: InvalidSupergraph for an unknown feature `for: SECURITY` or `EXECUTION`, or a join version
    outside v0.1 to v0.5.
    """
    prefixes, directives, types = {"link", "join", "core", "federation"}, {"link", "core"}, set[str]()
    inaccessible = "inaccessible"
    for link in _links(document):
        arguments = arguments_of(link)
        url = argument_text(arguments, "url") or argument_text(arguments, "feature") or ""
        identity, _, version = url.rstrip("/").rpartition("/")
        spec = identity.rpartition("/")[2]
        _check_feature(spec, version, url, argument_text(arguments, "for"))
        prefix = argument_text(arguments, "as") or spec
        prefixes.add(prefix)
        directives.add(prefix)
        if spec == "inaccessible":
            inaccessible = prefix
        for name, alias in argument_names(arguments, "import"):
            if name.startswith("@"):
                local = (alias or name).removeprefix("@")
                directives.add(local)
                inaccessible = local if name == "@inaccessible" else inaccessible
            else:
                types.add(alias or name)
    return Features(frozenset(prefixes), frozenset(directives), frozenset(types), inaccessible)


def is_feature_element(name: str, features: Features, *, directive: bool = False) -> bool:
    """Whether a type or directive of this name belongs to a linked specification."""
    prefix, separator, _ = name.partition("__")
    if separator and prefix in features.prefixes:
        return True
    return name in (features.directives if directive else features.types)


def _links(document: DocumentNode) -> Iterator[DirectiveNode]:
    for node in document.definitions:
        if isinstance(node, (SchemaDefinitionNode, SchemaExtensionNode)):
            yield from (d for d in node.directives or () if d.name.value in {"link", "core"})


def _check_feature(spec: str, version: str, url: str, purpose: str | None) -> None:
    if spec == "join" and version not in _KNOWN_JOIN_VERSIONS:
        raise InvalidSupergraph(f"`{url}` is not supported; join v0.1 to v0.5 are")
    if purpose in {"SECURITY", "EXECUTION"} and spec not in _KNOWN:
        raise InvalidSupergraph(f"`{url}` is linked for {purpose} and is not known to this router")
