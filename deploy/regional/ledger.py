"""Where the router's own refusals are kept: each at the home of the person whom it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from authz.trail import Access, Touched
from deploy.regional.homes import Homes
from subgraphs.kit.trail import Ledger


@dataclass(frozen=True, slots=True)
class RegionalLedger:
    """`Ledger` of refusals. One that is about nobody is kept where who asked is at home."""

    ledgers: Mapping[str, Ledger]
    homes: Homes

    async def keep(self, accesses: Sequence[Access]) -> None:
        """See `Ledger.keep`."""
        people = {each.actor_id for each in accesses} | {
            touched.target_id for each in accesses for touched in each.touched
        }
        homes = await self.homes.known(person for person in people if person is not None)
        for access in accesses:
            own = homes.get(access.actor_id or "", self.homes.home)
            by_region: dict[str, list[Touched]] = {}
            for each in access.touched:
                by_region.setdefault(homes.get(each.target_id or "", own), []).append(each)
            for region, touched in by_region.items():
                await self.ledgers[region].keep([replace(access, touched=tuple(touched))])
