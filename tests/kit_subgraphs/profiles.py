"""Profiles with a real store and the real policy, fed with its own events, at a clock that tests turn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, cast

from authz.classes import Role
from authz.decide import Authorizer
from authz.facts.model import RELATIONSHIP_TOPIC
from authz.facts.store import MemoryFacts
from authz.identity.subject import ANONYMOUS, Subject
from datastores.events.embedded import EmbeddedEvents
from datastores.events.outbox import events_after
from datastores.relational.port import Relational
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.row_fence import FencedRows
from subgraphs.profiles import store
from subgraphs.profiles.entities import ProfilesContext
from subgraphs.profiles.model import Profile
from subgraphs.profiles.subgraph import build, prepare

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

MIRA = Subject(id="mira", roles=frozenset({Role.ATHLETE}), acr=1)
TOMAS = Subject(id="tomas", roles=frozenset({Role.ATHLETE, Role.TRAINER}), acr=1)
LIND = Subject(id="lind", roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
NOOR = Subject(id="noor", roles=frozenset({Role.MODERATOR}), acr=2)
ADA = Subject(id="ada", roles=frozenset({Role.ADMINISTRATOR}), acr=2)


@dataclass
class Club:
    """The subgraph under test and what surrounds it."""

    relational: Relational
    subgraph: Subgraph[ProfilesContext]
    facts: MemoryFacts
    clock: list[dt.datetime]
    events: EmbeddedEvents

    def later(self, **span: float) -> dt.datetime:
        """Turn the clock on."""
        self.clock[0] += dt.timedelta(**span)
        return self.clock[0]

    async def join(self, *profiles: Profile) -> None:
        """People with these profiles."""
        for profile in profiles:
            await self.relational.write(lambda c, p=profile: store.create_profile(c, p))  # type: ignore[misc]

    async def ask(self, query: str, subject: Subject = ANONYMOUS, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL answer."""
        return await self.subgraph.execute(query, variables, None, subject)

    async def user(self, selection: str, subject: Subject, *, id: str = "mira") -> dict[str, Any]:
        """The answer about one user, as the router asks for it; `data` is that user."""
        query = f"query($r: [_Any!]!) {{_entities(representations: $r) {{... on User {{{selection}}}}}}}"
        answer = await self.ask(query, subject, r=[{"__typename": "User", "id": id}])
        return {**answer, "data": answer["data"]["_entities"][0]}

    async def deliver(self) -> list[dict[str, Any]]:
        """Carry what was published to the facts, as the platform's relay does; all payloads so far."""
        found = await self.relational.read(lambda c: events_after(c, 0, limit=10_000))
        payloads = [dict(event.payload) for _, event in found if event.topic == RELATIONSHIP_TOPIC]
        for payload in payloads:
            await self.facts.apply_event(payload)
        return payloads


async def open_club(relational: Relational, *, prepared: bool = False) -> Club:
    """At noon, over an empty store, which is migrated here unless it was `prepared`."""
    if not prepared:
        await prepare(relational)
    clock, facts = [NOON], MemoryFacts()

    def now() -> dt.datetime:
        return clock[0]

    events = EmbeddedEvents([relational], clock=now)
    club = Club(relational, cast(Any, None), facts, clock, events)
    club.subgraph = subgraph_over(club, cast(Relational, FencedRows(relational)))
    return club


def subgraph_over(club: Club, rows: Relational) -> Subgraph[ProfilesContext]:
    """The subgraph of a club over these rows: behind the fence, or not."""

    def now() -> dt.datetime:
        return club.clock[0]

    return build(
        relational=rows,
        unfenced=club.relational,
        outbox=club.events.outbox,
        events=club.events,
        authorizer=Authorizer(club.facts, clock=now),
        cursors=CursorSigner(b"c" * 32),
        now=now,
    )
