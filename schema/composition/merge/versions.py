"""The federation version that a subgraph needs: the one it links, or what its other links imply."""

from __future__ import annotations

from schema.composition.subgraph import Link, Subgraph
from schema.federation.urls import APOLLO, Version
from schema.problems import Problem, Severity

# The federation version that first had what each specification of its own brings.
_SINCE = {
    (f"{APOLLO}/tag", Version(0, 3)): Version(2, 3),
    (f"{APOLLO}/authenticated", Version(0, 1)): Version(2, 5),
    (f"{APOLLO}/requiresScopes", Version(0, 1)): Version(2, 5),
    (f"{APOLLO}/policy", Version(0, 1)): Version(2, 6),
    (f"{APOLLO}/context", Version(0, 1)): Version(2, 8),
    (f"{APOLLO}/cost", Version(0, 1)): Version(2, 9),
    (f"{APOLLO}/cacheTag", Version(0, 1)): Version(2, 12),
}


def needed_version(graph: Subgraph, hints: list[Problem]) -> Version:
    """The subgraph's federation version; a hint when a link asks for more than the federation link says."""
    newest = max(graph.links, key=_implied, default=None)
    if graph.is_fed1 or newest is None or _implied(newest) <= graph.version:
        return graph.version
    hints.append(
        Problem(
            "IMPLICITLY_UPGRADED_FEDERATION_VERSION",
            f"`{graph.name}` links federation {graph.version}, and `{newest.url}` came with"
            f" {_implied(newest)}, which counts",
            "schema",
            (newest.at,),
            f"link federation {_implied(newest)} or later",
            Severity.INFO,
        )
    )
    return _implied(newest)


def _implied(link: Link) -> Version:
    version = link.url.version
    return Version(0, 0) if version is None else _SINCE.get((link.url.identity, version), Version(0, 0))
