"""The directory of regions: a person's id, or handle, to the region they are at home in; cached here.

It is the one store that all regions share, so it holds keyed hashes and names of regions, nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
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

_homes = sa.Table(
    "regions_homes",
    sa.MetaData(),
    sa.Column("known_by", sa.String(64), primary_key=True),
    sa.Column("region", sa.String(40)),
)
SCHEMA = Schema("regions", Path(__file__).parent / "migrations", "regions_version", (_homes,))


class RegionDirectory:
    """Homes in `rows`, which it opens and closes. `key`, 32 bytes or more, is the same for all regions.

    Whoever has a home keeps it: a second one is a Conflict. What is found is cached for good, what is not
    for two seconds.
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

    async def settle(self, region: str, names: Sequence[str]) -> None:
        """Note that who is called `names` (ids, handles) is at home in `region`; again is nothing.

        Errors: Conflict where one of them is at home elsewhere; then none is noted.
        """
        hashes = {self._hash(name): name for name in names}

        def work(connection: Connection) -> None:
            values = [{"known_by": known_by, "region": region} for known_by in hashes]
            connection.execute(insert(connection, _homes).values(values).on_conflict_do_nothing())
            found = _regions(connection, list(hashes))
            if set(found.values()) != {region}:
                raise Conflict("somebody is at home in another region already")

        await self._rows.write(work)
        for known_by in hashes:
            self._remember(known_by, region)

    async def regions_of(self, names: Iterable[str]) -> Mapping[str, str]:
        """The region of each of `names` that has one; one look-up for all that are not cached."""
        hashes = {name: self._hash(name) for name in set(names)}
        now_s = self._monotonic_s()
        asked = [known_by for known_by in hashes.values() if not self._is_fresh(known_by, now_s)]
        if asked:
            found = await self._rows.read(lambda c: _regions(c, asked))
            for known_by in asked:
                self._remember(known_by, found.get(known_by))
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
        return cached[0] is not None or cached[1] > now_s

    def _remember(self, known_by: str, region: str | None) -> None:
        self._cached[known_by] = (region, self._monotonic_s() + UNKNOWN_S)
        self._cached.move_to_end(known_by)
        while len(self._cached) > KNOWN_MAX:
            self._cached.popitem(last=False)


def _regions(connection: Connection, hashes: Sequence[str]) -> dict[str, str]:
    rows = connection.execute(sa.select(_homes).where(_homes.c.known_by.in_(hashes)))
    return {row.known_by: row.region for row in rows}
