"""The directory of regions: a person's id, or handle, to the region they are at home in; cached here.

It is the one store that all regions share, so it holds keyed hashes and names of regions, nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import Conflict
from datastores.regions.errors import RegionUnknown
from datastores.relational.columns import insert
from datastores.relational.port import Relational
from datastores.relational.schemas import Schema, upgrade

KNOWN_MAX = 200_000
UNKNOWN_S = 2.0
"""So long a name that is at home nowhere is not looked up again."""
NAME_KNOWN_S = 60.0
"""So long a name that its person may give up is not looked up again."""

_homes = sa.Table(
    "regions_homes",
    sa.MetaData(),
    sa.Column("known_by", sa.String(64), primary_key=True),
    sa.Column("region", sa.String(40)),
    sa.Column("person", sa.String(64)),
    sa.Index("regions_homes_by_person", "person"),
)
SCHEMA = Schema("regions", Path(__file__).parent / "migrations", "regions_version", (_homes,))


class RegionDirectory:
    """Homes in `rows`, which it opens and closes. `key`, 32 bytes or more, is the same for all regions.

    Whoever has a home keeps it: a second one is a Conflict, also after they are gone. Names that are a
    person's (handles) can be given up, and taken anew anywhere. Who is found is cached for good, a person's
    names for a minute, what is not found for two seconds.
    """

    def __init__(
        self, rows: Relational, key: bytes, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        if len(key) < 32:
            raise ValueError("a key of the directory has at least 32 bytes")
        self._rows = rows
        self._key = key
        self._monotonic_s = monotonic_s
        self._cached: OrderedDict[str, tuple[str | None, float]] = OrderedDict()

    async def open(self) -> None:
        """Open the store and bring its table up to date."""
        await self._rows.open()
        await upgrade(self._rows, SCHEMA)

    async def ready(self) -> None:
        """Raise Unavailable where the store cannot serve."""
        await self._rows.ready()

    async def close(self) -> None:
        """Close the store."""
        await self._rows.close()

    async def settle(self, region: str, names: Sequence[str], *, of: str | None = None) -> None:
        """Note that who is called `names` is at home in `region`; again is nothing. With `of`, the id of a
        person, the names are theirs, until they give them up.

        Errors: Conflict where one of them is at home elsewhere; then none is noted.
        """
        hashes = {self._hash(name): name for name in names}
        person = None if of is None else self._hash(of)

        def work(connection: Connection) -> None:
            values = [{"known_by": known_by, "region": region, "person": person} for known_by in hashes]
            connection.execute(insert(connection, _homes).values(values).on_conflict_do_nothing())
            found = {known_by: home for known_by, (home, _) in _regions(connection, list(hashes)).items()}
            if set(found.values()) != {region}:
                raise Conflict("somebody is at home in another region already: a home is for good")

        await self._rows.write(work)
        for known_by in hashes:
            self._remember(known_by, region, given=person is not None)

    async def give_up(self, person_id: str) -> None:
        """Let go of the names of somebody who is gone: others may have them, in any region. Their id keeps
        its home."""
        person = self._hash(person_id)

        def work(connection: Connection) -> list[str]:
            theirs = _homes.c.person == person
            found = list(connection.execute(sa.select(_homes.c.known_by).where(theirs)).scalars())
            connection.execute(sa.delete(_homes).where(theirs))
            return found

        for known_by in await self._rows.write(work):
            self._cached.pop(known_by, None)

    async def regions_of(self, names: Iterable[str]) -> Mapping[str, str]:
        """The region of each of `names` that has one; one look-up for all that are not cached."""
        hashes = {name: self._hash(name) for name in set(names)}
        now_s = self._monotonic_s()
        asked = [known_by for known_by in hashes.values() if not self._is_fresh(known_by, now_s)]
        if asked:
            found = await self._rows.read(lambda c: _regions(c, asked))
            for known_by in asked:
                region, given = found.get(known_by, (None, False))
                self._remember(known_by, region, given=given)
        homes = {name: self._cached[known_by][0] for name, known_by in hashes.items()}
        return {name: region for name, region in homes.items() if region is not None}

    async def region_of(self, name: str) -> str:
        """The region of one who must have one.  Errors: RegionUnknown."""
        found = await self.regions_of([name])
        if name not in found:
            self.forget_unknown()
            raise RegionUnknown("it is not known yet where this person is at home: try again")
        return found[name]

    def forget_unknown(self) -> None:
        """Look up again, at once, what was not found."""
        for known_by in [known_by for known_by, (region, _) in self._cached.items() if region is None]:
            del self._cached[known_by]

    def _hash(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()

    def _is_fresh(self, known_by: str, now_s: float) -> bool:
        cached = self._cached.get(known_by)
        if cached is None:
            return False
        self._cached.move_to_end(known_by)
        return cached[1] > now_s

    def _remember(self, known_by: str, region: str | None, *, given: bool) -> None:
        known_s = math.inf if region is not None else UNKNOWN_S
        self._cached[known_by] = (region, self._monotonic_s() + (NAME_KNOWN_S if given else known_s))
        self._cached.move_to_end(known_by)
        while len(self._cached) > KNOWN_MAX:
            self._cached.popitem(last=False)


def _regions(connection: Connection, hashes: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """The region of each hash that has one, and whether it is a name that may be given up."""
    rows = connection.execute(sa.select(_homes).where(_homes.c.known_by.in_(hashes)))
    return {row.known_by: (row.region, row.person is not None) for row in rows}
