"""Profiles put together: its ports in, a subgraph out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path

from authz.identity.subject import Subject
from datastores.events.outbox import prepare_outbox
from datastores.events.port import Outbox
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from subgraphs.kit import CursorSigner, Subgraph, batch_loader
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests
from subgraphs.profiles import model, store
from subgraphs.profiles.access import links_seen_by
from subgraphs.profiles.changes import Profiles, nobody_elsewhere
from subgraphs.profiles.entities import CoachLink, ProfilesContext, User
from subgraphs.profiles.graph import Mutation, Query

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
    outbox: Outbox,
    authorizer: AuthorizesRequests,
    cursors: CursorSigner,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    elsewhere: Callable[[str], Awaitable[bool]] = nobody_elsewhere,
) -> Subgraph[ProfilesContext]:
    """The subgraph. Feed it `events.CONSUMED_TOPICS` through `events.consumer`. `elsewhere` says whether
    somebody has a profile in another region."""
    profiles = Profiles(relational=relational, outbox=outbox, now=now, elsewhere=elsewhere)

    def context(subject: Subject, decisions: Decides) -> ProfilesContext:
        async def people(ids: list[str]) -> dict[str, model.Profile]:
            return await relational.read(lambda c: store.profiles_by_user(c, ids))

        async def links(ids: list[str]) -> dict[str, model.CoachLink]:
            return await relational.read(lambda c: store.visible_links(c, ids, links_seen_by(subject)))

        async def coaches(ids: list[str]) -> dict[str, list[model.CoachLink]]:
            return await relational.read(lambda c: store.coaches_of(c, ids))

        return ProfilesContext(
            subject=subject,
            decisions=decisions,
            profiles=profiles,
            cursors=cursors,
            people=batch_loader(people),
            links=batch_loader(links),
            coaches=batch_loader(coaches),
        )

    return Subgraph(
        name=NAME,
        query=Query,
        mutation=Mutation,
        types=[User, CoachLink],
        authorizer=authorizer,
        context=context,
        now=now,
    )
