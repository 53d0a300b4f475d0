"""The graph port: people by id, friendships both ways, blocks one way.

A person is there as soon as an edge names them; asking about an unknown id finds nothing and is no error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

HOPS_MAX = 6
SUGGESTIONS_MAX = 200
EDGES_MAX = 1_000
Pair = tuple[str, str]
EdgeKind = Literal["friends", "blocks"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Somebody a person may know. `score` is Adamic–Adar: a shared friend counts the more, the fewer
    friends that friend has (1 / ln of how many).  Source: Adamic, Adar, "Friends and Neighbors on the Web".
    """

    id: str
    score: float
    mutual_count: int


class Graph(Protocol):
    """Friendships and blocks.

    Atomicity: a writing call happens whole or not at all, and an acknowledged one survives a crash.
    INVARIANT: no two people are friends while one blocks the other, whoever writes at the same time.
    Ordering: ids in answers are sorted; suggestions by score, then id.
    Errors: Conflict for a friendship across a block; Unavailable; ValueError for a pair of one person.
    There is no NotFound: nobody known is an empty answer.
    """

    async def open(self) -> None:
        """Connect and make what the store needs; raises Unavailable or SchemaTooNew."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        ...

    async def close(self) -> None:
        """Give back resources."""
        ...

    async def befriend(self, pairs: Sequence[Pair]) -> None:
        """Make friends of each pair; those who are stay so. Conflict where one of a pair blocks the other."""
        ...

    async def unfriend(self, pairs: Sequence[Pair]) -> None:
        """End each friendship; nothing happens where there is none."""
        ...

    async def block(self, pairs: Sequence[Pair]) -> None:
        """The first of each pair blocks the second; a friendship between them ends with it."""
        ...

    async def unblock(self, pairs: Sequence[Pair]) -> None:
        """The first of each pair blocks the second no longer; no friendship comes back."""
        ...

    async def forget(self, ids: Sequence[str]) -> None:
        """Remove people with every edge that names them."""
        ...

    async def friends(self, ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The friends of each of `ids`."""
        ...

    async def blocked_by(self, ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Whom each of `ids` blocks."""
        ...

    async def mutuals(self, person: str, others: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The friends that `person` shares with each of `others`."""
        ...

    async def shortest_path(self, start: str, end: str, *, hops_max: int = 4) -> tuple[str, ...] | None:
        """The people on a shortest way along friendships, both ends included; which one of several is not
        promised. None where there is none of at most `hops_max` (at most 6) hops. Nobody on the way blocks
        `start` or is blocked by `start`."""
        ...

    async def suggestions(self, person: str, *, limit: int = 20) -> tuple[Suggestion, ...]:
        """Friends of friends, the likeliest first, at most `limit` (at most 200); none who is a friend
        already or on either side of a block with `person`."""
        ...

    async def edges(
        self, kind: EdgeKind, *, after: Pair | None = None, limit: int = EDGES_MAX
    ) -> tuple[Pair, ...]:
        """The next of all friendships (each once, either way round) or blocks behind `after`, at most `limit`
        (at most 1000), in an order of the store's own; for backups and copies.

        Over several pages: an edge that is there all the while is in them once; one that comes or goes
        meanwhile may be in them or not.
        """
        ...

    def one_moment(self) -> AbstractAsyncContextManager[Graph | None]:
        """Inside the block, the graph as it was at one moment, for reading; None where the store has no
        snapshot that outlives a call, as Neo4j has none."""
        ...


def check_pairs(pairs: Sequence[Pair]) -> None:
    """ValueError for a pair of one person or an empty id."""
    for one, other in pairs:
        if one == other or not one or not other:
            raise ValueError("a pair has two different people")


def check_edges(limit: int) -> None:
    """ValueError for a page out of bounds."""
    if not 1 <= limit <= EDGES_MAX:
        raise ValueError(f"`limit` is 1 to {EDGES_MAX}")


def check_bounds(*, hops_max: int = 1, limit: int = 1) -> None:
    """ValueError for a bound that is out of bounds itself."""
    if not 1 <= hops_max <= HOPS_MAX:
        raise ValueError(f"`hops_max` is 1 to {HOPS_MAX}")
    if not 1 <= limit <= SUGGESTIONS_MAX:
        raise ValueError(f"`limit` is 1 to {SUGGESTIONS_MAX}")
