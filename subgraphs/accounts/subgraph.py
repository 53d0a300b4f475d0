"""Accounts put together: its ports in, a subgraph out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from authz.identity.revocation import TOKEN_LIFETIME
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer
from datastores.events.outbox import prepare_outbox
from datastores.events.port import Outbox
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from subgraphs.accounts import device_store, model, role_store, sessions, store
from subgraphs.accounts.entities import AccountsContext, User
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.passwords import Passwords
from subgraphs.accounts.role_graph import Mutation, Query
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.accounts.sessions import RefreshKey
from subgraphs.kit import CursorSigner, Subgraph, batch_loader
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests

NAME = "accounts"
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "accounts_version"


async def prepare(relational: Relational) -> None:
    """Bring the tables to what this program knows.  Errors: SchemaTooNew."""
    await migrate(relational, MIGRATIONS, VERSION_TABLE)
    await prepare_outbox(relational)


def build(
    *,
    relational: Relational,
    shown: Relational | None = None,
    outbox: Outbox,
    authorizer: AuthorizesRequests,
    tokens: TokenIssuer,
    passwords: Passwords,
    second_factor: SecondFactor,
    refresh_key: RefreshKey,
    cursors: CursorSigner,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    token_lifetime: timedelta = TOKEN_LIFETIME,
) -> Subgraph[AccountsContext]:
    """The subgraph. `tokens` signs what the router verifies; `token_lifetime` is what its terms say. `shown`
    are the same rows behind the fence around requests, for what they are shown."""
    seen = shown or relational
    accounts = Accounts(
        relational=relational,
        outbox=outbox,
        passwords=passwords,
        second_factor=second_factor,
        refresh_key=refresh_key,
        tokens=tokens,
        token_lifetime=token_lifetime,
        now=now,
    )

    async def handles(ids: list[str]) -> dict[str, str]:
        return await relational.read(lambda c: store.handles_by_id(c, ids))

    async def users(ids: list[str]) -> dict[str, model.User]:
        return await seen.read(lambda c: store.users_by_id(c, ids))

    async def roles(ids: list[str]) -> dict[str, list[model.RoleAssignment]]:
        return await seen.read(lambda c: store.roles_of(c, ids))

    async def running(ids: list[str]) -> dict[str, list[model.Session]]:
        return await seen.read(lambda c: sessions.sessions_of(c, ids, now=now()))

    async def factors(ids: list[str]) -> dict[str, bool]:
        return await seen.read(lambda c: store.with_totp(c, ids))

    async def organisations(ids: list[str]) -> dict[str, role_store.Organisation]:
        return await seen.read(lambda c: role_store.organisations_by_id(c, ids))

    async def memberships(ids: list[str]) -> dict[str, list[role_store.Organisation]]:
        return await seen.read(lambda c: role_store.organisations_of(c, ids))

    async def devices(ids: list[str]) -> dict[str, list[device_store.Device]]:
        return await seen.read(lambda c: device_store.of_users(c, ids))

    def context(subject: Subject, decisions: Decides) -> AccountsContext:
        return AccountsContext(
            subject=subject,
            decisions=decisions,
            accounts=accounts,
            cursors=cursors,
            handles=batch_loader(handles),
            users=batch_loader(users),
            roles=batch_loader(roles),
            sessions=batch_loader(running),
            factors=batch_loader(factors),
            organisations=batch_loader(organisations),
            memberships=batch_loader(memberships),
            devices=batch_loader(devices),
        )

    return Subgraph(
        name=NAME,
        query=Query,
        mutation=Mutation,
        types=[User],
        authorizer=authorizer,
        context=context,
        now=now,
    )
