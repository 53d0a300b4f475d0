"""What one region's platform learns of the others: facts between people of two regions, who was erased, and
whether somebody is at home elsewhere. All of it is ids, relations and times; names and rows stay at home.
Programs are nobody: they are known everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from authz.classes import Relation
from authz.facts.model import RELATIONSHIP_TOPIC, relationship_of
from authz.identity.subject import Subject
from datastores.errors import Unavailable
from datastores.events.outbox import new_event
from datastores.events.port import Event
from datastores.regions.directory import RegionDirectory
from deploy.assemble import USER_ERASED, Consumers
from deploy.regional.peers import Peer
from subgraphs.accounts.oauth.clients_elsewhere import CLIENT_CHANGED, CLIENT_TOLD

BOTH_WAYS = frozenset({Relation.BLOCKED})
"""Relations that decide about both people's rows, and so are known at both homes."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other regions, as the platform of `region` meets them. `peers` fills while they start."""

    region: str
    directory: RegionDirectory
    peers: Mapping[str, Peer]
    expected: frozenset[str]

    async def knows(self, user_id: str) -> bool:
        """Whether somebody of this id is at home in another region."""
        home = (await self.directory.regions_of([user_id])).get(user_id)
        return home is not None and home != self.region

    async def person(self, user_id: str) -> Subject | None:
        """Somebody of another region with the roles that they hold there; nothing of it is kept."""
        home = await self._home_elsewhere(user_id)
        return None if home is None else await home.person(user_id)

    async def of_age(self, user_id: str) -> bool | None:
        """Whether somebody of another region is of age; nothing of it is kept."""
        home = await self._home_elsewhere(user_id)
        return None if home is None else await home.of_age(user_id)

    async def _home_elsewhere(self, user_id: str) -> Peer | None:
        home = (await self.directory.regions_of([user_id])).get(user_id)
        return None if home is None or home == self.region else self.peers.get(home)

    def consumers(self) -> Consumers:
        """What passes events on."""
        follow: Mapping[str, tuple[tuple[str, ...], Callable[[Event], Awaitable[None]]]] = {
            "facts-elsewhere": ((RELATIONSHIP_TOPIC,), self._pass_fact),
            "erased-elsewhere": ((USER_ERASED,), self._pass_erasure),
            "clients-of-here": ((CLIENT_CHANGED,), self._pass_client),
        }
        return follow

    async def _pass_fact(self, event: Event) -> None:
        """A fact is known at the home of the owner whose rows it decides about, wherever it was published."""
        fact = relationship_of(event.payload)
        ends = {fact.object_id, *({fact.subject_id} if fact.relation in BOTH_WAYS else ())}
        homes = set((await self.directory.regions_of(ends)).values())
        for region in homes - {self.region}:
            await self._peer(region).put_fact(fact)

    async def _pass_erasure(self, event: Event) -> None:
        """Who is erased at home is erased everywhere: their links, facts and pseudonyms of records too."""
        user_id = str(event.payload["user_id"])
        home = (await self.directory.regions_of([user_id])).get(user_id)
        if home != self.region:
            return
        await self.directory.give_up(user_id)
        for region in sorted(self.expected - {self.region}):
            told = new_event(USER_ERASED, key=user_id, payload=event.payload, at_utc=event.at_utc)
            await self._peer(region).tell(told)

    async def _pass_client(self, event: Event) -> None:
        """A program is at home where it is registered, and known everywhere: anybody may let it in."""
        await self.directory.settle(self.region, [event.key])
        for region in sorted(self.expected - {self.region}):
            told = new_event(CLIENT_TOLD, key=event.key, payload=event.payload, at_utc=event.at_utc)
            await self._peer(region).tell(told)

    def _peer(self, region: str) -> Peer:
        found = self.peers.get(region)
        if found is None:
            raise Unavailable("that region has not started yet: try again")
        return found
