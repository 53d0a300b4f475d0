"""Clients of other regions: what is told of one, and what becomes of it where it is told.

administration -> `client.changed` -> (each other region) `client.told` -> a row that nobody administers here.
No id of a person is in it, and no secret: digests of 256 random bits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from datastores.events.outbox import new_event
from datastores.events.port import Event
from subgraphs.accounts import events
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.oauth import authorization_store, client_store
from subgraphs.accounts.oauth.model import (
    ApiClient,
    ClientAuthentication,
    ClientDocuments,
    ClientKind,
    ClientRate,
    ClientState,
)

CLIENT_CHANGED = "client.changed"
CLIENT_TOLD = "client.told"
log = logging.getLogger("stadion.accounts.oauth")


def client_changed(connection: Connection, client_id: str, *, at_utc: datetime) -> Event:
    """What other regions have to know of a client now."""
    client = client_store.by_ids(connection, [client_id])[client_id]
    payload = {
        "client_id": client.id,
        "name": client.name,
        "kind": client.kind.value,
        "state": client.state.value,
        "organisation_id": client.organisation_id,
        "scopes": sorted(client.scopes),
        "redirect_uris": list(client.redirect_uris),
        "authentication": client.authentication.value,
        "jwks": client.jwks,
        "documents": client.documents.value,
        "rate": client.rate.value,
        "proof_required": client.proof_required,
        "created_at_utc": client.created_at_utc.isoformat(),
        "expires_at_utc": client.expires_at_utc and client.expires_at_utc.isoformat(),
        "secrets": client_store.secrets_of(connection, client_id),
    }
    return new_event(CLIENT_CHANGED, key=client_id, payload=payload, at_utc=at_utc)


async def take_over(accounts: Accounts, payload: Mapping[str, Any]) -> None:
    """Know a client of another region as it is there now. Again is nothing; one of here stays."""
    told = _client(payload)

    def work(connection: Connection) -> None:
        now, before = accounts.now(), client_store.by_id(connection, told.id)
        if before is not None and not before.elsewhere:
            log.error("another region told of a client that is registered here: it was not believed")
            return
        if before is None:
            client_store.add(connection, told)
        else:
            client_store.change(connection, told)
        client_store.put_secrets(connection, told.id, payload["secrets"])
        if told.state is ClientState.REVOKED:
            authorization_store.end_of_client(connection, told.id, now=now)
        if before is not None and before != told:
            revoked = events.client_revoked(told.id, reason="client changed elsewhere", at_utc=now)
            accounts.outbox.append(connection, [revoked])

    await accounts.relational.write(work)


def _client(payload: Mapping[str, Any]) -> ApiClient:
    ends_at = payload["expires_at_utc"]
    return ApiClient(
        id=payload["client_id"],
        name=payload["name"],
        kind=ClientKind(payload["kind"]),
        state=ClientState(payload["state"]),
        organisation_id=payload["organisation_id"],
        scopes=frozenset(payload["scopes"]),
        redirect_uris=tuple(payload["redirect_uris"]),
        authentication=ClientAuthentication(payload["authentication"]),
        jwks=payload["jwks"],
        documents=ClientDocuments(payload["documents"]),
        rate=ClientRate(payload["rate"]),
        proof_required=payload["proof_required"],
        registered_by="",
        approved_by=None,
        created_at_utc=datetime.fromisoformat(payload["created_at_utc"]),
        expires_at_utc=None if ends_at is None else datetime.fromisoformat(ends_at),
        elsewhere=True,
    )
