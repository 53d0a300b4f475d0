"""The authorization server of one transaction: Authlib's protocol over this domain's rows.

call -> client authenticated -> grant validated -> Authorization -> Subject -> token. Nothing that it decides
is kept outside the transaction, which ends well also where the protocol answers with an error: an
authorization that ends because its code came twice has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidGrantError, InvalidScopeError, OAuth2Error
from authlib.oauth2.rfc9207 import IssuerParameter
from sqlalchemy import Connection

from authz.classes import Role
from authz.identity.proof_of_possession import Possession
from authz.identity.subject import Subject
from datastores.events.outbox import time_ordered_id
from subgraphs.accounts import events
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import methods_of
from subgraphs.accounts.oauth import authorization_store, client_store
from subgraphs.accounts.oauth.calls import CallRequest, OAuthAnswer, OAuthCall
from subgraphs.accounts.oauth.known_client import KnownClient
from subgraphs.accounts.oauth.model import ApiClient, Authorization


class InvalidPossession(OAuth2Error):  # type: ignore[misc]
    """A proof that is missing, or not of the key that it has to be.  Source: RFC 9449 §5."""

    error = "invalid_dpop_proof"
    description = "send a DPoP proof of the right key"
    status_code = 400


class OAuthServer(AuthorizationServer):  # type: ignore[misc]
    """One transaction's."""

    def __init__(self, accounts: Accounts, connection: Connection, possession: Possession | None) -> None:
        super().__init__()
        self.accounts = accounts
        self.connection = connection
        self.possession = possession
        self.now = accounts.now()
        self.register_token_generator("default", self._token)

    def query_client(self, client_id: str) -> KnownClient | None:
        """A client that is in force; the same is read for one that is not."""
        found = client_store.by_id(self.connection, client_id[:36])
        hashes = client_store.secret_hashes(self.connection, client_id[:36], now=self.now)
        return None if found is None or not found.in_force(self.now) else KnownClient(found, hashes)

    def save_token(self, token: Mapping[str, Any], request: Any) -> None:
        """Nothing is left to save: tokens are signed, and what they come from is stored before."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: OAuthCall | CallRequest) -> CallRequest:
        """The call as Authlib reads it."""
        return request if isinstance(request, CallRequest) else CallRequest(request, self.possession)

    def handle_response(
        self, status: int, body: Mapping[str, Any] | str, headers: Sequence[tuple[str, str]]
    ) -> OAuthAnswer:
        """The answer to give."""
        told = dict(headers)
        location = told.pop("Location", None)
        content = dict(body) if isinstance(body, Mapping) else {}
        return OAuthAnswer(status, content, told, location)

    def end(self, authorization_ids: Sequence[str], *, reason: str) -> None:
        """End authorizations, and every token that came from them."""
        ended = authorization_store.revoke(self.connection, authorization_ids, now=self.now)
        told = [
            events.session_revoked(each.user_id or each.client_id, each.id, reason=reason, at_utc=self.now)
            for each in ended
        ]
        self.accounts.outbox.append(self.connection, told)

    def bound_key(self, client: ApiClient) -> str | None:
        """The key that a token is to be bound to.  Errors: InvalidPossession where there has to be one."""
        if self.possession is None:
            if client.proof_required:
                raise InvalidPossession
            return None
        return self.possession.thumbprint

    def _token(
        self,
        *,
        grant_type: str,
        client: KnownClient,
        user: Authorization | None,
        scope: str | None,
        expires_in: int | None,
        include_refresh_token: bool,
    ) -> dict[str, Any]:
        """What the client gets. `user` is the authorization that a person gave it, None for its own leave."""
        thumbprint = self.bound_key(client.client)
        authorization = user or self._own_leave(client, scope, thumbprint)
        if authorization.thumbprint != thumbprint:
            raise InvalidPossession
        # what an administrator has taken from the client since is gone
        scopes = frozenset((scope or "").split() or authorization.scopes) & client.client.scopes
        if not scopes:
            raise InvalidScopeError
        subject = subject_of_authorization(authorization, client.client, scopes)
        token: dict[str, Any] = {
            "access_token": self.accounts.tokens.issue(subject),
            "token_type": "Bearer" if thumbprint is None else "DPoP",
            "expires_in": int(self.accounts.token_lifetime.total_seconds()),
            "scope": " ".join(sorted(scopes)),
        }
        if include_refresh_token:
            key = self.accounts.refresh_key
            token["refresh_token"], _ = authorization_store.refresh_token(
                self.connection, key, authorization.id
            )
        return token

    def _own_leave(self, client: KnownClient, scope: str | None, thumbprint: str | None) -> Authorization:
        allowed = client.get_allowed_scope(scope)
        if allowed is None:
            raise InvalidScopeError
        now = self.now
        authorization_store.forget_ended(self.connection, now=now)
        authorization = Authorization(
            id=time_ordered_id(now),
            client_id=client.client.id,
            user_id=None,
            scopes=frozenset(allowed.split()),
            acr=0,
            authenticated_at_utc=None,
            created_at_utc=now,
            expires_at_utc=now + self.accounts.token_lifetime,
            last_used_at_utc=now,
            thumbprint=thumbprint,
        )
        authorization_store.add(self.connection, authorization)
        return authorization


class OwnIssuer(IssuerParameter):  # type: ignore[misc]
    """Says in every authorization response whose it is, against mix-up.  Source: RFC 9207."""

    def __init__(self, server: OAuthServer) -> None:
        self._issuer = server.accounts.tokens.issuer
        super().__call__(server)

    def get_issuer(self) -> str:
        """The issuer of this installation's tokens."""
        return self._issuer


def subject_of_authorization(
    authorization: Authorization, client: ApiClient, scopes: frozenset[str]
) -> Subject:
    """Whom the tokens of an authorization prove: a client alone, or one that acts for a person."""
    by_person = authorization.user_id is not None
    return Subject(
        id=authorization.user_id or client.id,
        roles=frozenset({Role.PARTNER if by_person else client.kind.role}),
        session_id=authorization.id,
        acr=authorization.acr,
        amr=methods_of(authorization.acr, device_bound=False) if by_person else frozenset(),
        authenticated_at_utc=authorization.authenticated_at_utc,
        client_id=client.id,
        client_class=client.client_class,
        scopes=scopes,
        organisations=frozenset({client.organisation_id} if client.organisation_id else ()),
        key_thumbprint=authorization.thumbprint,
    )


def ended_grant() -> InvalidGrantError:
    """The same for every cause."""
    return InvalidGrantError("the grant is not valid, or was used")


def is_over(authorization: Authorization, now: datetime) -> bool:
    """Whether it ended, or nobody has refreshed it for too long."""
    return not authorization.in_force(now) or now >= authorization_store.idle_until(authorization)
