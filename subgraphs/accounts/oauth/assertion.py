"""A client's word under its own key, in place of a secret that both sides hold.  Source: RFC 7523 §3."""

from __future__ import annotations

import hashlib
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from authz.identity.tokens import MALFORMED
from subgraphs.accounts import device_store
from subgraphs.accounts.oauth.known_client import KnownClient
from subgraphs.accounts.oauth.server import OAuthServer

ASSERTION_BYTES_MAX = 4_096
ASSERTION_LIFETIME_S_MAX = 600
CLOCK_SKEW_S = 5
JTI_CHARACTERS_MIN = 8
ALGORITHMS = ["ES256", "Ed25519"]


class KeyAssertion(JWTBearerClientAssertion):  # type: ignore[misc]
    """One transaction's: short-lived, for this issuer, good for once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, server: OAuthServer, endpoint_url: str) -> None:
        super().__init__()
        self._server = server
        self._endpoint_url = endpoint_url

    def __call__(self, query_client: Any, request: Any) -> KnownClient | None:
        """The client that the assertion proves; None where there is none.  Errors: InvalidClientError."""
        if len(request.form.get("client_assertion", "")) > ASSERTION_BYTES_MAX:
            raise InvalidClientError
        try:
            found: KnownClient | None = super().__call__(query_client, request)
        except MALFORMED:
            raise InvalidClientError from None
        named = request.form.get("client_id")
        if found is not None and named not in (None, found.client.id):
            raise InvalidClientError
        return found

    def get_audiences(self) -> list[str]:
        """Whom an assertion may be for."""
        return [self._server.accounts.tokens.issuer, self._endpoint_url]

    def resolve_client_public_key(self, client: KnownClient) -> KeySet:
        """The client's registered keys; none is taken from the assertion."""
        return KeySet.import_key_set(client.public_keys())  # type: ignore[arg-type]

    def process_assertion_claims(self, assertion: str, resolve_key: Any) -> Any:
        """What it says, proven.  Errors: InvalidClientError."""
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=ALGORITHMS)
        except JoseError:
            raise InvalidClientError from None
        self.verify_claims(token.claims)
        return token.claims

    def verify_claims(self, claims: Any) -> None:
        """Of the client, for this issuer, new, and no longer good than what is remembered of it.

        Errors: InvalidClientError.
        """
        now_s, expires = int(self._server.now.timestamp()), claims.get("exp")
        if type(expires) is not int or not now_s < expires <= now_s + ASSERTION_LIFETIME_S_MAX:
            raise InvalidClientError
        wanted = jwt.JWTClaimsRegistry(
            now=now_s,
            leeway=CLOCK_SKEW_S,
            iss={"essential": True, "value": claims.get("sub")},
            sub={"essential": True},
            aud={"essential": True, "values": self.get_audiences()},
        )
        try:
            wanted.validate(claims)
        except JoseError:
            raise InvalidClientError from None
        if not self.validate_jti(claims, claims.get("jti")):
            raise InvalidClientError

    def validate_jti(self, claims: Any, jti: object) -> bool:
        """Whether it is new; remembered, if so."""
        if not isinstance(jti, str) or len(jti) < JTI_CHARACTERS_MIN:
            return False
        named = hashlib.sha256(f"assertion {claims['sub']} {jti}".encode()).hexdigest()
        return device_store.use_proof(self._server.connection, named, now=self._server.now)
