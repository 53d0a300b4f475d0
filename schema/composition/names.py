"""A subgraph's name is how everything else speaks of it: it must be there, be one, and not mean the
router."""

from collections.abc import Iterator, Sequence

from schema.problems import Location, Problem
from schema.sources import SubgraphSource

RESERVED = frozenset({"_"})


def check_names(sources: Sequence[SubgraphSource]) -> Iterator[Problem]:
    """Report names that are empty, reserved or used twice."""
    seen: set[str] = set()
    for source in sources:
        name = source.name
        if not name.strip() or name in RESERVED:
            why = "is reserved for the router" if name in RESERVED else "is empty"
        elif name in seen:
            why = "is used by another subgraph"
        else:
            seen.add(name)
            continue
        yield Problem(
            "INVALID_SUBGRAPH_NAME",
            f"`{name}` cannot name a subgraph: it {why}",
            None,
            (Location(name),),
            "choose another name",
        )
