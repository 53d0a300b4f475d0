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
from subgraphs.kit import CursorSigner, Subgraph, row_loader
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests
from subgraphs.profiles import guardian_store, store
from subgraphs.profiles.access import links_seen_by
from subgraphs.profiles.changes import Profiles, no_age_elsewhere, nobody_elsewhere
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
    of_age_elsewhere: Callable[[str], Awaitable[bool | None]] = no_age_elsewhere,
) -> Subgraph[ProfilesContext]:
    """The subgraph. Feed it `events.CONSUMED_TOPICS` through `events.consumer`. `elsewhere` says whether
    somebody has a profile in another region, `of_age_elsewhere` whether they are of age by it; `unfenced` are
    the same rows without the fence around requests, where `relational` has one."""
    profiles = Profiles(
        relational=relational,
        unfenced=unfenced or relational,
        outbox=outbox,
        now=now,
        elsewhere=elsewhere,
        of_age_elsewhere=of_age_elsewhere,
    )

    def context(subject: Subject, decisions: Decides) -> ProfilesContext:
        seen = links_seen_by(subject)
        return ProfilesContext(
            subject=subject,
            decisions=decisions,
            profiles=profiles,
            cursors=cursors,
            people=row_loader(relational, store.profiles_by_user),
            known=row_loader(profiles.unfenced, store.known_people),
            links=row_loader(relational, lambda c, ids: store.visible_links(c, ids, seen)),
            coaches=row_loader(relational, store.coaches_of),
            guardianships=row_loader(relational, guardian_store.by_id),
            guardians=row_loader(relational, guardian_store.of_minors),
            wards=row_loader(relational, guardian_store.of_guardians),
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
