"""What administrators do to clients: register, approve, change, give new secrets or keys, revoke."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from datastores.events.outbox import time_ordered_id
from subgraphs.accounts import events, role_store
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.oauth import authorization_store, client_store
from subgraphs.accounts.oauth.clients_elsewhere import client_changed
from subgraphs.accounts.oauth.model import (
    NAME_CHARACTERS_MAX,
    OVERLAP_HOURS_MAX,
    ApiClient,
    ClientAuthentication,
    ClientDocuments,
    ClientKind,
    ClientRate,
    ClientState,
    checked_jwks,
    checked_redirect_uris,
    checked_scopes,
    needs_approval,
)

SECRET_BYTES = 32
SECRET_PREFIX = "sts_"  # noqa: S105 - tells leaked secrets of ours from others, no secret itself


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client is to be."""

    name: str
    kind: ClientKind
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...] = ()
    organisation_id: str | None = None
    authentication: ClientAuthentication = ClientAuthentication.SECRET
    jwks: str | None = None
    documents: ClientDocuments = ClientDocuments.IDS
    rate: ClientRate = ClientRate.STANDARD
    proof_required: bool = False
    expires_at_utc: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A client as it is now, and a secret that nobody is shown again, where there is a new one."""

    client: ApiClient
    secret: str | None = None


async def register(accounts: Accounts, *, actor_id: str, wanted: Registration) -> Kept:
    """A new client; one that nobody's consent stands behind, or that may see records of the sick, waits for a
    second administrator.  Errors: RuleBroken."""

    def work(connection: Connection) -> Kept:
        now = accounts.now()
        waits = needs_approval(wanted.kind, wanted.scopes)
        client = ApiClient(
            id=time_ordered_id(now),
            name=wanted.name,
            kind=wanted.kind,
            state=ClientState.PENDING if waits else ClientState.ACTIVE,
            organisation_id=wanted.organisation_id,
            scopes=checked_scopes(wanted.kind, wanted.scopes),
            redirect_uris=checked_redirect_uris(wanted.redirect_uris),
            authentication=wanted.authentication,
            jwks=None if wanted.jwks is None else checked_jwks(wanted.jwks),
            documents=wanted.documents,
            rate=wanted.rate,
            proof_required=wanted.proof_required,
            registered_by=actor_id,
            approved_by=None,
            created_at_utc=now,
            expires_at_utc=wanted.expires_at_utc,
        )
        _check(connection, client, now)
        client_store.add(connection, client)
        if client.authentication is not ClientAuthentication.SECRET:
            return Kept(client)
        return Kept(client, _new_secret(connection, client.id, now=now, others_until=now))

    return await _written(accounts, work)


async def approve(accounts: Accounts, *, actor_id: str, client_id: str) -> Kept:
    """Put a pending client in force.  Errors: RuleBroken."""

    def work(connection: Connection) -> Kept:
        client = _known(connection, client_id)
        if client.registered_by == actor_id:
            raise RuleBroken("OWN_REGISTRATION", "id", "a second administrator must approve it")
        if not client_store.approve(connection, client_id, by=actor_id):
            raise RuleBroken("NOT_PENDING", "id", "this client does not wait for approval")
        return Kept(_known(connection, client_id))

    return await _written(accounts, work)


async def change(
    accounts: Accounts, *, actor_id: str, client_id: str, changed: Callable[[ApiClient], ApiClient]
) -> Kept:
    """Let a client be another way. What it loses it loses at once, with its tokens; where it gains a scope
    that needs a second administrator, it waits for one.  Errors: RuleBroken."""

    def work(connection: Connection) -> Kept:
        now, before = accounts.now(), _going(connection, client_id)
        after = changed(before)
        after = replace(
            after,
            scopes=checked_scopes(after.kind, after.scopes),
            redirect_uris=checked_redirect_uris(after.redirect_uris),
        )
        if needs_approval(after.kind, after.scopes - before.scopes) and after.scopes - before.scopes:
            after = replace(after, state=ClientState.PENDING, registered_by=actor_id, approved_by=None)
        _check(connection, after, now)
        client_store.change(connection, after)
        told = events.client_revoked(client_id, reason="client changed", at_utc=now)
        accounts.outbox.append(connection, [told])
        return Kept(after)

    return await _written(accounts, work)


async def rotate_secret(accounts: Accounts, *, client_id: str, overlap_hours: int) -> Kept:
    """A new secret; the one before holds for `overlap_hours` more, 0 for not at all.  Errors: RuleBroken."""
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MAX:
        raise RuleBroken("BAD_OVERLAP", "overlapHours", f"an overlap has 0 to {OVERLAP_HOURS_MAX} hours")

    def work(connection: Connection) -> Kept:
        now, client = accounts.now(), _going(connection, client_id)
        if client.authentication is not ClientAuthentication.SECRET:
            raise RuleBroken("NO_SECRET", "id", "this client does not prove itself with a secret")
        until = now + timedelta(hours=overlap_hours)
        return Kept(client, _new_secret(connection, client_id, now=now, others_until=until))

    return await _written(accounts, work)


async def set_keys(accounts: Accounts, *, client_id: str, jwks: str) -> Kept:
    """Other public keys; those left out prove nothing from now on, so an overlap names both.

    Errors: RuleBroken.
    """
    keys = checked_jwks(jwks)

    def work(connection: Connection) -> Kept:
        client = _going(connection, client_id)
        if client.authentication is not ClientAuthentication.PRIVATE_KEY_JWT:
            raise RuleBroken("NO_KEYS", "id", "this client does not prove itself with keys")
        client_store.change(connection, replace(client, jwks=keys))
        return Kept(_known(connection, client_id))

    return await _written(accounts, work)


async def revoke(accounts: Accounts, *, client_id: str) -> Kept:
    """End a client for good, with every token that it has, whoever it acts for.  Errors: RuleBroken."""

    def work(connection: Connection) -> Kept:
        now = accounts.now()
        _known(connection, client_id)
        before = (ClientState.ACTIVE, ClientState.PENDING)
        if not client_store.set_state(connection, client_id, ClientState.REVOKED, before=before):
            raise RuleBroken("REVOKED", "id", "this client is revoked already")
        client_store.forget_secrets(connection, client_id)
        authorization_store.end_of_client(connection, client_id, now=now)
        told = events.client_revoked(client_id, reason="client revoked", at_utc=now)
        accounts.outbox.append(connection, [told])
        return Kept(_known(connection, client_id))

    return await _written(accounts, work)


async def _written(accounts: Accounts, work: Callable[[Connection], Kept]) -> Kept:
    """What was done, in one transaction with word of it for other regions.  Errors: RuleBroken."""

    def told(connection: Connection) -> Kept:
        kept = work(connection)
        event = client_changed(connection, kept.client.id, at_utc=accounts.now())
        accounts.outbox.append(connection, [event])
        return kept

    return await accounts.relational.write(told)


def _check(connection: Connection, client: ApiClient, now: datetime) -> None:
    """What has to fit together.  Errors: RuleBroken."""
    if not client.name:
        raise RuleBroken("BAD_NAME", "name", f"a name has 1 to {NAME_CHARACTERS_MAX} characters")
    if client.expires_at_utc is not None and client.expires_at_utc <= now:
        raise RuleBroken("BAD_END", "expiresAt", "a client ends in the future")
    organisation = client.organisation_id
    if organisation and organisation not in role_store.organisations_by_id(connection, [organisation]):
        raise RuleBroken("NOT_FOUND", "organisationId", "not found")
    with_keys = client.authentication is ClientAuthentication.PRIVATE_KEY_JWT
    if with_keys != (client.jwks is not None):
        raise RuleBroken(
            "BAD_KEYS", "jwks", "keys are for clients that prove themselves with them, all of those"
        )
    if client.kind is ClientKind.PARTNER:
        return
    if client.redirect_uris:
        raise RuleBroken("BAD_REDIRECT_URI", "redirectUris", "a service is sent no codes")
    if client.authentication is ClientAuthentication.NONE:
        raise RuleBroken("BAD_AUTHENTICATION", "authentication", "a service proves who it is")


def _known(connection: Connection, client_id: str) -> ApiClient:
    client = client_store.by_id(connection, client_id)
    if client is None:
        raise RuleBroken("NOT_FOUND", "id", "not found")
    if client.elsewhere:
        raise RuleBroken("ELSEWHERE", "id", "this client is administered where it was registered")
    return client


def _going(connection: Connection, client_id: str) -> ApiClient:
    client = _known(connection, client_id)
    if client.state is ClientState.REVOKED:
        raise RuleBroken("REVOKED", "id", "this client is revoked; register another")
    return client


def _new_secret(connection: Connection, client_id: str, *, now: datetime, others_until: datetime) -> str:
    secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    client_store.add_secret(connection, client_id, secret, now=now, others_until=others_until)
    return secret
