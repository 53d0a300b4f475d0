"""A person and a client that wants to act for them: what it asks for, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import InvalidScopeError, OAuth2Error
from sqlalchemy import Connection

from authz.classes import Role
from authz.identity.subject import Subject
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.oauth import authorization_store, client_store
from subgraphs.accounts.oauth.answering import server_of
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall
from subgraphs.accounts.oauth.model import ApiClient
from subgraphs.accounts.oauth.server import OAuthServer


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks a person for."""

    client: ApiClient
    scopes: tuple[str, ...]


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
        client: ApiClient = grant.request.client.client
        return Asked(client, tuple(sorted(str(grant.request.scope).split())))

    return await accounts.relational.read(work)


async def answered(
    accounts: Accounts, subject: Subject, call: OAuthCall, *, approved: Sequence[str] | None
) -> str:
    """Where to send the person's browser: back to the client, with a code for the `approved` scopes, or with
    word that they refused, where that is None.

    Errors: RuleBroken, where the browser must not be sent anywhere.
    """
    check_person(subject)
    if approved is not None:
        call = _with_scopes(call, approved)

    def work(connection: Connection) -> OAuthAnswer:
        server = server_of(accounts, connection, call)
        try:
            grant = server.get_consent_grant(call, subject)
        except OAuth2Error as error:
            raise _told(error) from None
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


async def clients_of(accounts: Accounts, ids: Sequence[str]) -> dict[str, ApiClient]:
    """The clients of those ids that there are."""
    return await accounts.relational.read(lambda c: client_store.by_ids(c, ids))


def check_person(subject: Subject) -> None:
    """Only a person in a session of their own lets others act for them.  Errors: RuleBroken."""
    alone = subject.roles & {Role.PARTNER, Role.SERVICE}
    if subject.client_id is not None or alone or subject.session_id is None:
        raise RuleBroken("NOT_A_PERSON", "input", "only a person who has logged in can agree to this")


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
