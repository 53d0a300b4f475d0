"""Profiles put together: its ports in, a subgraph out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path

from authz.identity.subject import Subject
from datastores.events.outbox import prepare_outbox
from datastores.events.port import Events, Outbox
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from subgraphs.kit import CursorSigner, Subgraph, batch_loader
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests
from subgraphs.profiles import guardian_store, guardianship, model, store
from subgraphs.profiles.access import links_seen_by
from subgraphs.profiles.changes import Profiles, nobody_elsewhere
from subgraphs.profiles.entities import CoachLink, ProfilesContext, User
from subgraphs.profiles.guardian_entities import Guardianship
from subgraphs.profiles.guardian_graph import Mutation, Query, Subscription

NAME = "profiles"
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "profiles_version"


async def prepare(relational: Relational) -> None:
    """Bring the tables to what this program knows.  Errors: SchemaTooNew."""
    await migrate(relational, MIGRATIONS, VERSION_TABLE)
    await prepare_outbox(relational)


def build(
    *,
    relational: Relational,
    unfenced: Relational | None = None,
    outbox: Outbox,
    events: Events,
    authorizer: AuthorizesRequests,
    cursors: CursorSigner,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    elsewhere: Callable[[str], Awaitable[bool]] = nobody_elsewhere,
) -> Subgraph[ProfilesContext]:
    """The subgraph. Feed it `events.CONSUMED_TOPICS` through `events.consumer`. `elsewhere` says whether
    somebody has a profile in another region, `unfenced` are the same rows without the fence around requests,
    where `relational` has one."""
    profiles = Profiles(
        relational=relational,
        unfenced=unfenced or relational,
        outbox=outbox,
        now=now,
        elsewhere=elsewhere,
    )

    def context(subject: Subject, decisions: Decides) -> ProfilesContext:
        async def people(ids: list[str]) -> dict[str, model.Profile]:
            return await relational.read(lambda c: store.profiles_by_user(c, ids))

        async def known(ids: list[str]) -> dict[str, bool]:
            return await profiles.unfenced.read(lambda c: store.known_people(c, ids))

        async def links(ids: list[str]) -> dict[str, model.CoachLink]:
            return await relational.read(lambda c: store.visible_links(c, ids, links_seen_by(subject)))

        async def coaches(ids: list[str]) -> dict[str, list[model.CoachLink]]:
            return await relational.read(lambda c: store.coaches_of(c, ids))

        async def by_id(ids: list[str]) -> dict[str, guardianship.Guardianship]:
            return await relational.read(lambda c: guardian_store.by_id(c, ids))

        async def guardians(ids: list[str]) -> dict[str, list[guardianship.Guardianship]]:
            return await relational.read(lambda c: guardian_store.of_minors(c, ids))

        async def wards(ids: list[str]) -> dict[str, list[guardianship.Guardianship]]:
            return await relational.read(lambda c: guardian_store.of_guardians(c, ids))

        return ProfilesContext(
            subject=subject,
            decisions=decisions,
            profiles=profiles,
            cursors=cursors,
            people=batch_loader(people),
            known=batch_loader(known),
            links=batch_loader(links),
            coaches=batch_loader(coaches),
            guardianships=batch_loader(by_id),
            guardians=batch_loader(guardians),
            wards=batch_loader(wards),
            events=events,
        )

    return Subgraph(
        name=NAME,
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[User, CoachLink, Guardianship],
        authorizer=authorizer,
        context=context,
        now=now,
    )
