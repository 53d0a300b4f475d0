"""Rows of clients and of their secrets; synchronous, against a connection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from subgraphs.accounts.oauth.model import (
    SECRETS_MAX,
    ApiClient,
    ClientAuthentication,
    ClientDocuments,
    ClientKind,
    ClientRate,
    ClientState,
    digest,
)
from subgraphs.accounts.tables import api_clients, client_secrets


def add(connection: Connection, client: ApiClient) -> None:
    """A new one."""
    fixed = {
        "id": client.id,
        "kind": client.kind.value,
        "authentication": client.authentication.value,
        "registered_by": client.registered_by,
        "created_at_utc": client.created_at_utc,
        "elsewhere": client.elsewhere,
    }
    connection.execute(sa.insert(api_clients).values(**fixed, **_changing(client)))


def change(connection: Connection, client: ApiClient) -> None:
    """What may change of it, as it is to be."""
    connection.execute(
        sa.update(api_clients).where(api_clients.c.id == client.id).values(**_changing(client))
    )


def by_id(connection: Connection, client_id: str) -> ApiClient | None:
    """One client, whatever its state."""
    return by_ids(connection, [client_id]).get(client_id)


def by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, ApiClient]:
    """Those of `ids` that there are."""
    rows = connection.execute(sa.select(api_clients).where(api_clients.c.id.in_(ids)))
    return {row.id: _client(row) for row in rows}


def page(connection: Connection, *, after_id: str | None, limit: int) -> tuple[list[ApiClient], int]:
    """Clients, the newest first, and how many there are."""
    query = sa.select(api_clients).order_by(api_clients.c.id.desc()).limit(limit)
    if after_id is not None:
        query = query.where(api_clients.c.id < after_id)
    total = connection.execute(sa.select(sa.func.count()).select_from(api_clients)).scalar_one()
    return [_client(row) for row in connection.execute(query)], int(total)


def set_state(
    connection: Connection, client_id: str, state: ClientState, *, before: Sequence[ClientState]
) -> bool:
    """Move a client on; False where it is not in one of the states `before`."""
    columns = api_clients.c
    there = (columns.id == client_id) & columns.state.in_([each.value for each in before])
    return connection.execute(sa.update(api_clients).where(there).values(state=state.value)).rowcount == 1


def approve(connection: Connection, client_id: str, *, by: str) -> bool:
    """Put a pending one in force; False where it is not pending, or `by` has registered it."""
    columns = api_clients.c
    there = (columns.id == client_id) & (columns.state == ClientState.PENDING.value)
    there &= columns.registered_by != by
    moved = sa.update(api_clients).where(there).values(state=ClientState.ACTIVE.value, approved_by=by)
    return connection.execute(moved).rowcount == 1


def add_secret(
    connection: Connection, client_id: str, secret: str, *, now: datetime, others_until: datetime
) -> None:
    """A secret more, kept as its digest; the one before holds until `others_until`, older ones no longer."""
    columns = client_secrets.c
    own = columns.client_id == client_id
    connection.execute(sa.delete(client_secrets).where(own, columns.expires_at_utc <= now))
    ending = sa.or_(columns.expires_at_utc.is_(None), columns.expires_at_utc > others_until)
    connection.execute(sa.update(client_secrets).where(own, ending).values(expires_at_utc=others_until))
    newest = sa.select(columns.secret_hash).where(own).order_by(columns.created_at_utc.desc())
    surplus = list(connection.execute(newest).scalars())[SECRETS_MAX - 1 :]
    connection.execute(sa.delete(client_secrets).where(columns.secret_hash.in_(surplus)))
    values = {"secret_hash": digest(secret), "client_id": client_id, "created_at_utc": now}
    connection.execute(sa.insert(client_secrets).values(**values))


def secret_hashes(connection: Connection, client_id: str, *, now: datetime) -> list[str]:
    """The digests of the secrets that hold now."""
    columns = client_secrets.c
    holding = sa.or_(columns.expires_at_utc.is_(None), columns.expires_at_utc > now)
    query = sa.select(columns.secret_hash).where(columns.client_id == client_id, holding)
    return list(connection.execute(query).scalars())


def secrets_of(connection: Connection, client_id: str) -> list[list[str | None]]:
    """The digest, the beginning and the end of each secret, as events tell them."""
    columns = client_secrets.c
    query = sa.select(columns.secret_hash, columns.created_at_utc, columns.expires_at_utc)
    rows = connection.execute(query.where(columns.client_id == client_id).order_by(columns.secret_hash))
    return [[row[0], row[1].isoformat(), row[2] and row[2].isoformat()] for row in rows]


def put_secrets(connection: Connection, client_id: str, told: Sequence[Sequence[str | None]]) -> None:
    """Let these be all that there are, as `secrets_of` has told them."""
    forget_secrets(connection, client_id)
    for secret_hash, created_at, expires_at in told:
        values = {
            "secret_hash": secret_hash,
            "client_id": client_id,
            "created_at_utc": datetime.fromisoformat(str(created_at)),
            "expires_at_utc": None if expires_at is None else datetime.fromisoformat(expires_at),
        }
        connection.execute(sa.insert(client_secrets).values(**values))


def forget_secrets(connection: Connection, client_id: str) -> None:
    """All of them."""
    connection.execute(sa.delete(client_secrets).where(client_secrets.c.client_id == client_id))


def _changing(client: ApiClient) -> dict[str, Any]:
    return {
        "name": client.name,
        "state": client.state.value,
        "organisation_id": client.organisation_id,
        "scopes": " ".join(sorted(client.scopes)),
        "redirect_uris": json.dumps(client.redirect_uris),
        "jwks": client.jwks,
        "documents": client.documents.value,
        "rate": client.rate.value,
        "proof_required": client.proof_required,
        "approved_by": client.approved_by,
        "expires_at_utc": client.expires_at_utc,
    }


def _client(row: Row[Any]) -> ApiClient:
    return ApiClient(
        id=row.id,
        name=row.name,
        kind=ClientKind(row.kind),
        state=ClientState(row.state),
        organisation_id=row.organisation_id,
        scopes=frozenset(row.scopes.split()),
        redirect_uris=tuple(json.loads(row.redirect_uris)),
        authentication=ClientAuthentication(row.authentication),
        jwks=row.jwks,
        documents=ClientDocuments(row.documents),
        rate=ClientRate(row.rate),
        proof_required=row.proof_required,
        registered_by=row.registered_by,
        approved_by=row.approved_by,
        created_at_utc=row.created_at_utc,
        expires_at_utc=row.expires_at_utc,
        elsewhere=row.elsewhere,
    )
