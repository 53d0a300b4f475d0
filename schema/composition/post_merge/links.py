"""Subgraphs agree on what the features they link are called, and link none that nobody understands."""

from collections.abc import Iterator

from schema.composition.merge.features import FEATURES
from schema.composition.post_merge.places import Merged
from schema.composition.subgraph import Link
from schema.federation.directives import OWN_SPECS
from schema.federation.urls import CORE_IDENTITY, FEDERATION_IDENTITY, LINK_IDENTITY
from schema.problems import Location, Problem

_KNOWN = frozenset({FEDERATION_IDENTITY, LINK_IDENTITY, CORE_IDENTITY, *OWN_SPECS})


def import_names(merged: Merged) -> Iterator[Problem]:
    """Report directives that clients or routers see and that are imported under different names."""
    for name in FEATURES:
        found: dict[str, list[Location]] = {}
        for subgraph in merged.subgraphs:
            for link in subgraph.graph.links:
                for imported in link.imports:
                    if link.url.identity in _KNOWN and imported.name == f"@{name}":
                        found.setdefault(imported.alias, []).append(link.at)
        if len(found) > 1:
            written = " and ".join(f"`{alias}`" for alias in sorted(found))
            yield Problem(
                "LINK_IMPORT_NAME_MISMATCH",
                f"`@{name}` is imported as {written}",
                f"@{name}",
                tuple(at for places in found.values() for at in places),
                "import it under the same name everywhere",
            )


def supported_features(merged: Merged) -> Iterator[Problem]:
    """Report features that say they are needed for security or execution, and that would be lost."""
    kept = {link.url.identity for link in merged.graph.links}
    for subgraph in merged.subgraphs:
        for link in subgraph.graph.links:
            if _is_lost(link, kept):
                yield Problem(
                    "UNSUPPORTED_LINKED_FEATURE",
                    f"`{link.url}` is linked for {link.purpose}, and composition does not know it",
                    "schema",
                    (link.at,),
                    "compose its directives with `@composeDirective`, or leave `for:` out",
                )


def _is_lost(link: Link, kept: set[str]) -> bool:
    return link.purpose is not None and link.url.identity not in _KNOWN and link.url.identity not in kept
