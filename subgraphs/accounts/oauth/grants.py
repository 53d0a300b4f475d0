"""The three ways to a token: a client's own leave, a person's code, and the refresh of what came of one.

Source: OAuth 2.1 (draft-ietf-oauth-v2-1), RFC 7636, RFC 9700.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, grants
from authlib.oauth2.rfc7636 import CodeChallenge

from authz.identity.subject import Subject
from datastores.events.outbox import time_ordered_id
from subgraphs.accounts import store
from subgraphs.accounts.model import UserStatus
from subgraphs.accounts.oauth import authorization_store
from subgraphs.accounts.oauth.known_client import KnownClient
from subgraphs.accounts.oauth.model import CODE_LIFETIME, Authorization, Code, digest
from subgraphs.accounts.oauth.server import OAuthServer, ended_grant, is_over
from subgraphs.accounts.sessions import LIFETIME_MAX

CONFIDENTIAL = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
ANY_CLIENT = [*CONFIDENTIAL, "none"]


class OwnLeaveGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """A client for itself.  Source: RFC 6749 §4.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL


class GivenCode:
    """A code as Authlib asks it."""

    def __init__(self, authorization: Authorization, code: Code) -> None:
        self.authorization = authorization
        self.code_challenge = code.challenge
        self.code_challenge_method = "S256"
        self._redirect_uri = code.redirect_uri

    def get_redirect_uri(self) -> str:
        """Where it was sent; the token request names the same."""
        return self._redirect_uri

    def get_scope(self) -> str:
        """What the person agreed to."""
        return " ".join(sorted(self.authorization.scopes))


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """A person's consent, for a code that is good for once and a minute.  Source: RFC 6749 §4.1."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT
    server: OAuthServer

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Keep what the person agreed to, and the code's digest."""
        server, person = self.server, request.user
        client: KnownClient = request.client
        surplus = authorization_store.surplus_ids(
            server.connection, user_id=person.id, client_id=client.client.id
        )
        server.end(surplus, reason="too many authorizations")
        authorization_store.forget_ended(server.connection, now=server.now)
        authorization_store.add(
            server.connection,
            _agreed(person, client.client.id, frozenset(request.scope.split()), server),
            Code(
                hash=digest(code),
                redirect_uri=request.payload.redirect_uri,
                challenge=request.payload.data["code_challenge"],
                expires_at_utc=server.now + CODE_LIFETIME,
            ),
        )

    def query_authorization_code(self, code: str, client: KnownClient) -> GivenCode | None:
        """The code, if it is this client's and new. One that comes twice ends all that came of it."""
        found = authorization_store.by_code(self.server.connection, digest(code))
        if found is None or found[0].client_id != client.client.id:
            return None
        authorization, known = found
        if known.used_at_utc is not None:
            self.server.end([authorization.id], reason="authorization code used twice")
            return None
        if self.server.now >= known.expires_at_utc or is_over(authorization, self.server.now):
            return None
        return GivenCode(authorization, known)

    def authenticate_user(self, authorization_code: GivenCode) -> Authorization:
        """What the code stands for, now used up and bound to the key that was proven.

        Errors: InvalidGrantError where another request was first.
        """
        server, authorization = self.server, authorization_code.authorization
        thumbprint = server.bound_key(self.request.client.client)
        check_person(server, authorization)
        if not authorization_store.use_code(
            server.connection, authorization.id, thumbprint=thumbprint, now=server.now
        ):
            server.end([authorization.id], reason="authorization code used twice")
            raise ended_grant()
        used = authorization_store.by_id(server.connection, authorization.id)
        if used is None:
            raise ended_grant()
        return used

    def delete_authorization_code(self, authorization_code: GivenCode) -> None:
        """It is used up already, and stays to be known again."""


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """The next tokens; a refresh token is good for once.  Source: RFC 6749 §6, RFC 9700 §4.14."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: OAuthServer

    def authenticate_refresh_token(self, refresh_token: str) -> GivenRefresh | None:
        """Whose it is. One that comes twice ends the authorization; another client's ends nothing."""
        server = self.server
        found = authorization_store.of_refresh_token(
            server.connection, server.accounts.refresh_key, refresh_token
        )
        if found is None or found[0].client_id != self.request.client.client.id:
            return None
        authorization, counter, newest = found
        if not newest:
            server.end([authorization.id], reason="refresh token reused")
            return None
        return None if is_over(authorization, server.now) else GivenRefresh(authorization, counter)

    def authenticate_user(self, refresh_token: GivenRefresh) -> Authorization:
        """What was agreed to, its token rotated.  Errors: InvalidGrantError where another was first."""
        server, authorization = self.server, refresh_token.authorization
        if authorization.thumbprint != server.bound_key(self.request.client.client):
            raise ended_grant()
        check_person(server, authorization)
        if not authorization_store.rotate(
            server.connection, authorization.id, refresh_token.counter, now=server.now
        ):
            server.end([authorization.id], reason="refresh token reused")
            raise ended_grant()
        return authorization

    def revoke_old_credential(self, refresh_token: GivenRefresh) -> None:
        """The rotation has done so."""


class GivenRefresh:
    """A refresh token as Authlib asks it."""

    def __init__(self, authorization: Authorization, counter: int) -> None:
        self.authorization = authorization
        self.counter = counter

    def check_client(self, client: KnownClient) -> bool:
        """Whether it is this client's."""
        return self.authorization.client_id == client.client.id

    def get_scope(self) -> str:
        """What the person agreed to."""
        return " ".join(sorted(self.authorization.scopes))


class RequiredChallenge(CodeChallenge):  # type: ignore[misc]
    """PKCE by SHA-256 for every code: a request without it, or by another method, gets none."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Errors: InvalidRequestError.  Source: RFC 7636 §4.4.1."""
        asked = grant.request.payload.data
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("send a code_challenge by code_challenge_method S256")
        super().validate_code_challenge(grant, redirect_uri)


def check_person(server: OAuthServer, authorization: Authorization) -> None:
    """Errors: InvalidGrantError where the person is gone, or their account shut."""
    user_id = authorization.user_id or ""
    person = store.users_by_id(server.connection, [user_id]).get(user_id)
    if person is None or person.status is not UserStatus.ACTIVE:
        raise ended_grant()


def _agreed(person: Subject, client_id: str, scopes: frozenset[str], server: OAuthServer) -> Authorization:
    return Authorization(
        id=time_ordered_id(server.now),
        client_id=client_id,
        user_id=person.id,
        scopes=scopes,
        acr=person.acr,
        authenticated_at_utc=person.authenticated_at_utc,
        created_at_utc=server.now,
        expires_at_utc=server.now + LIFETIME_MAX,
        last_used_at_utc=server.now,
    )
