"""Accounts put together: its ports in, a subgraph out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from authz.identity.proof_nonces import ProofNonces
from authz.identity.revocation import TOKEN_LIFETIME
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer
from datastores.events.outbox import prepare_outbox
from datastores.events.port import Outbox
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from subgraphs.accounts import device_store, role_store, sessions, store
from subgraphs.accounts.entities import AccountsContext, User
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.oauth import authorization_store, client_store
from subgraphs.accounts.oauth.graph import Mutation, Query
from subgraphs.accounts.passwords import Passwords
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.accounts.sessions import RefreshKey
from subgraphs.kit import CursorSigner, Subgraph, row_loader
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests

NAME = "accounts"
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "accounts_version"


async def prepare(relational: Relational) -> None:
    """Bring the tables to what this program knows.  Errors: SchemaTooNew."""
    await migrate(relational, MIGRATIONS, VERSION_TABLE)
    await prepare_outbox(relational)


def ports(
    *,
    relational: Relational,
    outbox: Outbox,
    tokens: TokenIssuer,
    passwords: Passwords,
    second_factor: SecondFactor,
    refresh_key: RefreshKey,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    token_lifetime: timedelta = TOKEN_LIFETIME,
    nonces: ProofNonces | None = None,
) -> Accounts:
    """What the subgraph, and whoever serves the endpoints of OAuth beside it, work with. `tokens` signs what
    the router verifies; `token_lifetime` is what its terms say."""
    return Accounts(
        relational=relational,
        outbox=outbox,
        passwords=passwords,
        second_factor=second_factor,
        refresh_key=refresh_key,
        tokens=tokens,
        token_lifetime=token_lifetime,
        now=now,
        nonces=nonces,
    )


def build(
    accounts: Accounts,
    *,
    shown: Relational | None = None,
    authorizer: AuthorizesRequests,
    cursors: CursorSigner,
) -> Subgraph[AccountsContext]:
    """The subgraph. `shown` are the same rows behind the fence around requests, for what they are shown."""
    relational, now = accounts.relational, accounts.now
    seen = shown or relational

    def context(subject: Subject, decisions: Decides) -> AccountsContext:
        return AccountsContext(
            subject=subject,
            decisions=decisions,
            accounts=accounts,
            cursors=cursors,
            handles=row_loader(relational, store.handles_by_id),
            users=row_loader(seen, store.users_by_id),
            roles=row_loader(seen, store.roles_of),
            sessions=row_loader(seen, lambda c, ids: sessions.sessions_of(c, ids, now=now())),
            factors=row_loader(seen, store.with_totp),
            organisations=row_loader(seen, role_store.organisations_by_id),
            memberships=row_loader(seen, role_store.organisations_of),
            devices=row_loader(seen, device_store.of_users),
            clients=row_loader(relational, client_store.by_ids),
            authorizations=row_loader(
                relational, lambda c, ids: authorization_store.of_users(c, ids, now=now())
            ),
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
