"""What becomes of tokens that are out: a client takes its own back, and asks what one is worth.

Source: RFC 7009, RFC 7662.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from subgraphs.accounts import sessions
from subgraphs.accounts.oauth import authorization_store, client_store
from subgraphs.accounts.oauth.grants import ANY_CLIENT, CONFIDENTIAL
from subgraphs.accounts.oauth.known_client import KnownClient
from subgraphs.accounts.oauth.model import INTROSPECT, Authorization
from subgraphs.accounts.oauth.server import OAuthServer, is_over

ReadToken: TypeAlias = Callable[[str], Subject]
"""Access token -> the caller that it proves now. Errors: InvalidToken."""


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token of ours: of an authorization, or, where that is None, of somebody's own session."""

    client_id: str | None
    authorization: Authorization | None
    subject: Subject | None = None
    over: bool = False

    def check_client(self, client: KnownClient) -> bool:
        """Whether it was issued to this client."""
        return self.client_id == client.client.id

    def is_expired(self) -> bool:
        """Whether it is good for nothing any more."""
        return self.over

    def is_revoked(self) -> bool:
        """The same: who asks is not told which."""
        return self.over


def token_of(server: OAuthServer, read: ReadToken, token: str) -> GivenToken | None:
    """What a text is a token of; None where it is none, or proves nothing any more."""
    refreshed = authorization_store.of_refresh_token(server.connection, server.accounts.refresh_key, token)
    if refreshed is not None:
        authorization, _, newest = refreshed
        over = not newest or is_over(authorization, server.now) or not _goes_on(server, authorization)
        return GivenToken(authorization.client_id, authorization, over=over)
    try:
        subject = read(token)
    except InvalidToken:
        return None
    if subject.client_id is None:
        session = sessions.session_by_id(server.connection, subject.session_id or "")
        over = session is None or session.revoked_at_utc is not None
        return GivenToken(None, None, subject, over)
    found = authorization_store.by_id(server.connection, subject.session_id or "")
    over = found is None or not found.in_force(server.now) or not _goes_on(server, found)
    return GivenToken(subject.client_id, found, subject, over)


def _goes_on(server: OAuthServer, authorization: Authorization) -> bool:
    client = client_store.by_id(server.connection, authorization.client_id)
    return client is not None and client.in_force(server.now)


class TokenRevocation(RevocationEndpoint):  # type: ignore[misc]
    """Whichever token of an authorization is given back, all of it ends."""

    CLIENT_AUTH_METHODS = ANY_CLIENT
    server: OAuthServer

    def __init__(self, server: OAuthServer, read: ReadToken) -> None:
        super().__init__(server)
        self._read = read

    def query_token(self, token_string: str, token_type_hint: str | None) -> GivenToken | None:
        """The token, whatever the hint says of it."""
        return token_of(self.server, self._read, token_string)

    def revoke_token(self, token: GivenToken, request: Any) -> None:
        """End what it came from."""
        if token.authorization is not None:
            self.server.end([token.authorization.id], reason="given back by its client")


class TokenIntrospection(IntrospectionEndpoint):  # type: ignore[misc]
    """Tells a client of its own tokens, and of all where it has the scope for it."""

    CLIENT_AUTH_METHODS = CONFIDENTIAL
    server: OAuthServer

    def __init__(self, server: OAuthServer, read: ReadToken) -> None:
        super().__init__(server)
        self._read = read

    def query_token(self, token_string: str, token_type_hint: str | None) -> GivenToken | None:
        """The token, whatever the hint says of it."""
        return token_of(self.server, self._read, token_string)

    def check_permission(self, token: GivenToken, client: KnownClient, request: Any) -> bool:
        """Whether the client may know of it; else it is told what it is told of a token that is none."""
        return token.check_client(client) or INTROSPECT in client.client.scopes

    def introspect_token(self, token: GivenToken) -> dict[str, Any]:
        """What a good token says.  Source: RFC 7662 §2.2."""
        accounts, subject = self.server.accounts, token.subject
        about: dict[str, Any] = {"iss": accounts.tokens.issuer, "client_id": token.client_id}
        if subject is None and token.authorization is not None:
            held = token.authorization
            about |= {
                "token_type": "refresh_token",
                "sub": held.user_id or held.client_id,
                "scope": " ".join(sorted(held.scopes)),
                "exp": int(authorization_store.idle_until(held).timestamp()),
            }
        if subject is not None and subject.expires_at_utc is not None:
            about |= {
                **accounts.tokens.told(subject),
                "token_type": "Bearer" if subject.key_thumbprint is None else "DPoP",
            }
        return {"active": True, **{name: value for name, value in about.items() if value is not None}}
