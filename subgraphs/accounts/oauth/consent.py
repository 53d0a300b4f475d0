"""A person and a client that wants to act for them: what it asks for, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import InvalidScopeError, OAuth2Error
from sqlalchemy import Connection

from authz.classes import Role
from authz.identity.subject import Subject
from subgraphs.accounts import role_store, store
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.oauth import authorization_store, tickets
from subgraphs.accounts.oauth.answering import server_of
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall
from subgraphs.accounts.oauth.model import ApiClient
from subgraphs.accounts.oauth.server import OAuthServer


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks a person for. `vouched_by` are the handles of the administrators who registered and
    approved it; `ticket` says of an answer that it is to this."""

    client: ApiClient
    scopes: tuple[str, ...]
    organisation: str | None
    vouched_by: tuple[str, ...]
    ticket: str


async def asked(accounts: Accounts, subject: Subject, call: OAuthCall) -> Asked:
    """What to show before anybody agrees. `call` has the parameters that the client sent along.

    Errors: RuleBroken NOT_FOUND where there is no such client with such a redirect URI, BAD_REQUEST else.
    """
    check_person(subject)

    def work(connection: Connection) -> Asked:
        server = server_of(accounts, connection, call)
        try:
            grant = server.get_consent_grant(call, subject)
        except OAuth2Error as error:
            raise _told(error) from None
        client = client_of(grant)
        return Asked(
            client=client,
            scopes=tuple(sorted(str(grant.request.scope).split())),
            organisation=_organisation(connection, client),
            vouched_by=_vouched_by(connection, client),
            ticket=tickets.ticket(accounts.refresh_key, subject, call, client, accounts.now()),
        )

    return await accounts.relational.read(work)


async def answered(
    accounts: Accounts,
    subject: Subject,
    call: OAuthCall,
    *,
    approved: Sequence[str] | None,
    ticket: str | None = None,
) -> str:
    """Where to send the person's browser: back to the client, with a code for the `approved` scopes, or with
    word that they refused, where that is None. With a `ticket` it is an answer to what was shown with it.

    Errors: RuleBroken, where the browser must not be sent anywhere.
    """
    check_person(subject)
    shown = call
    if approved is not None:
        call = _with_scopes(call, approved)

    def work(connection: Connection) -> OAuthAnswer:
        server = server_of(accounts, connection, call)
        try:
            grant = server.get_consent_grant(call, subject)
        except OAuth2Error as error:
            raise _told(error) from None
        if ticket is not None:
            key, client, now = accounts.refresh_key, client_of(grant), accounts.now()
            tickets.use(connection, key, ticket, subject=subject, call=shown, client=client, now=now)
        user = None if approved is None else subject
        return _response(server, grant, user)

    answer = await accounts.relational.write(work)
    if answer.location is None:
        raise RuleBroken("BAD_REQUEST", "input", str(answer.content.get("error_description", "not possible")))
    return answer.location


async def withdrawn(accounts: Accounts, user_id: str, authorization_id: str) -> None:
    """A person takes back what they let a client do.  Errors: RuleBroken NOT_FOUND."""

    def work(connection: Connection) -> None:
        found = authorization_store.by_id(connection, authorization_id)
        if found is None or found.user_id != user_id or found.revoked_at_utc is not None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        OAuthServer(accounts, connection, None).end([authorization_id], reason="taken back by its owner")

    await accounts.relational.write(work)


def check_person(subject: Subject) -> None:
    """Only a person in a session of their own lets others act for them.  Errors: RuleBroken."""
    alone = subject.roles & {Role.PARTNER, Role.SERVICE}
    if subject.client_id is not None or alone or subject.session_id is None:
        raise RuleBroken("NOT_A_PERSON", "input", "only a person who has logged in can agree to this")


def client_of(grant: Any) -> ApiClient:
    """The client whose request Authlib has checked."""
    client: ApiClient = grant.request.client.client
    return client


def _organisation(connection: Connection, client: ApiClient) -> str | None:
    ids = [client.organisation_id] if client.organisation_id else []
    return next((each.name for each in role_store.organisations_by_id(connection, ids).values()), None)


def _vouched_by(connection: Connection, client: ApiClient) -> tuple[str, ...]:
    ids = [each for each in (client.registered_by, client.approved_by) if each]
    handles = store.handles_by_id(connection, ids)
    return tuple(handles[each] for each in ids if each in handles)


def _response(server: OAuthServer, grant: object, user: Subject | None) -> OAuthAnswer:
    request = getattr(grant, "request", None)
    answer = server.create_authorization_response(request, grant_user=user, grant=grant)
    if not isinstance(answer, OAuthAnswer):
        raise TypeError("this server answers with an OAuthAnswer")
    return answer


def _with_scopes(call: OAuthCall, approved: Sequence[str]) -> OAuthCall:
    """The same call for no more than was agreed to.  Errors: RuleBroken for more than was asked for."""
    values = call.values()
    wanted = frozenset(values.get("scope", "").split())
    if not approved or (wanted and not frozenset(approved) <= wanted):
        raise RuleBroken("BAD_SCOPE", "approvedScopes", "agree to some of what was asked for, and to no more")
    values["scope"] = " ".join(sorted(set(approved)))
    return OAuthCall(call.method, call.url, tuple(values.items()))


def _told(error: OAuth2Error) -> RuleBroken:
    """A broken request in words that echo nothing of it."""
    if isinstance(error, InvalidScopeError):
        return RuleBroken("BAD_SCOPE", "scope", "this client may not ask for that")
    if error.redirect_uri is None:
        return RuleBroken("NOT_FOUND", "clientId", "not found")
    return RuleBroken("BAD_REQUEST", "input", "the request of this client is not as it should be")
