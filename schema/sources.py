"""Where composition begins: a subgraph's name, its address and its SDL."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubgraphSource:
    """One subgraph as its owner hands it in: nothing has been parsed yet."""

    name: str
    url: str
    sdl: str
