"""What one region does for the others, wherever it runs; here, for those that run in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from authz.facts.model import RelationshipFact
from authz.identity.subject import Subject
from authz.trail import Access
from datastores.events.port import Event
from deploy.assemble import Platform
from deploy.domains import person_at
from deploy.oauth_routes import answers_of
from deploy.refusals import ledger_of
from deploy.regional.calls import Served
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall
from subgraphs.profiles.guardianship import is_of_age
from subgraphs.profiles.store import profiles_by_user


class Peer(Protocol):
    """One region, as the others meet it.

    Errors of everything: Unavailable where it does not answer; nothing was done then, or all of it.
    """

    def served(self, name: str) -> Served:
        """Its subgraph of this name."""
        ...

    async def person(self, user_id: str) -> Subject | None:
        """Somebody at home there, with the roles that they hold; None for nobody."""
        ...

    async def of_age(self, user_id: str) -> bool | None:
        """Whether somebody at home there is of age; None where they do not say."""
        ...

    async def put_fact(self, fact: RelationshipFact) -> None:
        """Know of a fact that decides about rows there. Again is nothing."""
        ...

    async def tell(self, event: Event) -> None:
        """Publish there what happened here to somebody who is at home here."""
        ...

    async def keep(self, accesses: Sequence[Access]) -> None:
        """Record refusals that are about people at home there."""
        ...

    async def oauth(self, name: str, call: OAuthCall) -> OAuthAnswer:
        """What its endpoint of this name answers to a program."""
        ...


@dataclass(frozen=True, slots=True)
class Near:
    """A region whose stores this process holds."""

    platform: Platform

    def served(self, name: str) -> Served:
        """See `Peer`."""
        return Served(self.platform.subgraphs[name], self.platform.stores.rows()[name].ready)

    async def person(self, user_id: str) -> Subject | None:
        """See `Peer`."""
        return await person_at(self.platform.stores, user_id, self.platform.now())

    async def of_age(self, user_id: str) -> bool | None:
        """See `Peer`."""
        rows = self.platform.stores.relational["profiles"]
        found = await rows.read(lambda c: profiles_by_user(c, [user_id]))
        return is_of_age(found.get(user_id), self.platform.now().date())

    async def put_fact(self, fact: RelationshipFact) -> None:
        """See `Peer`."""
        await self.platform.stores.facts.put(fact)

    async def tell(self, event: Event) -> None:
        """See `Peer`."""
        stores = self.platform.stores
        await stores.relational["accounts"].write(partial(stores.events.outbox.append, events=[event]))

    async def keep(self, accesses: Sequence[Access]) -> None:
        """See `Peer`."""
        await ledger_of(self.platform).keep(accesses)

    async def oauth(self, name: str, call: OAuthCall) -> OAuthAnswer:
        """See `Peer`."""
        return await answers_of(self.platform)[name](call)
