"""A client as Authlib asks it: what it proves itself with, and what it may ask for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, scope_to_list

from subgraphs.accounts.oauth.model import ApiClient, ClientAuthentication, ClientKind, fits_any


class KnownClient(ClientMixin):  # type: ignore[misc]
    """A client that is in force, with the digests of its secrets."""

    def __init__(self, client: ApiClient, secret_hashes: Sequence[str]) -> None:
        self.client = client
        self._secret_hashes = secret_hashes

    def get_client_id(self) -> str:
        """Its id."""
        return self.client.id

    def get_default_redirect_uri(self) -> str | None:
        """None: a request names where it wants its code, always."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """What was asked for, if it may have all of it; None for more. Nothing asked for is all."""
        asked = frozenset(scope_to_list(scope) or self.client.scopes)
        return " ".join(sorted(asked)) if asked <= self.client.scopes else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether codes may be sent there: it is registered to the letter."""
        return redirect_uri in self.client.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether it is one of the secrets that hold."""
        return fits_any(client_secret, self._secret_hashes)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether it proves itself so; who cannot prove anything has no business with others' tokens."""
        if endpoint == "introspection" and self.client.authentication is ClientAuthentication.NONE:
            return False
        return method in self.client.authentication.methods

    def check_response_type(self, response_type: str) -> bool:
        """Whether it acts for people."""
        return response_type == "code" and self.client.kind is ClientKind.PARTNER

    def check_grant_type(self, grant_type: str) -> bool:
        """How it may come by tokens: for itself where it can prove who it is, for people as a partner."""
        if grant_type == "client_credentials":
            return self.client.authentication is not ClientAuthentication.NONE
        return self.client.kind is ClientKind.PARTNER and grant_type in {
            "authorization_code",
            "refresh_token",
        }

    def public_keys(self) -> dict[str, Any]:
        """Its JWKS; empty where it has none."""
        document: dict[str, Any] = json.loads(self.client.jwks or '{"keys": []}')
        return document
