"""One OAuth call in, one answer out: all that whoever serves the endpoints has to know.

call -> well formed -> key proven -> attempts counted -> Authlib, in one transaction -> answer
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from sqlalchemy import Connection

from authz.errors import InvalidProof, NonceNeeded
from authz.identity.proof_nonces import HEADER_NAME as NONCE_HEADER_NAME
from authz.identity.proof_of_possession import ALGORITHMS, Possession, bare_url, possession
from subgraphs.accounts import device_store, store
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import ADDRESS_ORIGIN, wait_after
from subgraphs.accounts.oauth.assertion import ALGORITHMS as ASSERTION_ALGORITHMS
from subgraphs.accounts.oauth.assertion import KeyAssertion
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall
from subgraphs.accounts.oauth.endpoints import ReadToken, TokenIntrospection, TokenRevocation
from subgraphs.accounts.oauth.grants import ANY_CLIENT, CONFIDENTIAL, CodeGrant, OwnLeaveGrant, RefreshGrant
from subgraphs.accounts.oauth.grants import RequiredChallenge as Challenge
from subgraphs.accounts.oauth.server import InvalidPossession, OAuthServer, OwnIssuer

PARAMETERS_MAX = 30
PARAMETER_CHARACTERS_MAX = 8_192
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
UNPROVEN = "the client is not known, or did not prove itself"


async def token(accounts: Accounts, call: OAuthCall) -> OAuthAnswer:
    """The token endpoint.  Source: RFC 6749 §3.2, RFC 9449 §5."""
    return await _answered(accounts, call, lambda server: server.create_token_response(call))


async def revoke(accounts: Accounts, read: ReadToken, call: OAuthCall) -> OAuthAnswer:
    """The revocation endpoint.  Source: RFC 7009."""

    def work(server: OAuthServer) -> OAuthAnswer:
        server.register_endpoint(TokenRevocation(server, read))
        return _answer(server.create_endpoint_response("revocation", call))

    return await _answered(accounts, call, work)


async def introspect(accounts: Accounts, read: ReadToken, call: OAuthCall) -> OAuthAnswer:
    """The introspection endpoint.  Source: RFC 7662."""

    def work(server: OAuthServer) -> OAuthAnswer:
        server.register_endpoint(TokenIntrospection(server, read))
        return _answer(server.create_endpoint_response("introspection", call))

    return await _answered(accounts, call, work)


def metadata(issuer: str, base_url: str, jwks_url: str) -> Mapping[str, Any]:
    """What clients find out by themselves. `base_url` is where the endpoints are.

    Errors: ValueError for an issuer that no client could trust, such as one without https.
    Source: RFC 8414, RFC 9207 §3, RFC 9449 §5.1.
    """
    secretly = {f"{each}_endpoint_auth_methods_supported": ANY_CLIENT for each in ("token", "revocation")}
    algorithms = {
        f"{each}_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS)
        for each in ("token", "revocation", "introspection")
    }
    told = AuthorizationServerMetadata(
        issuer=issuer,
        authorization_endpoint=f"{base_url}/authorize",
        token_endpoint=f"{base_url}/token",
        revocation_endpoint=f"{base_url}/revoke",
        introspection_endpoint=f"{base_url}/introspect",
        introspection_endpoint_auth_methods_supported=CONFIDENTIAL,
        jwks_uri=jwks_url,
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=["authorization_code", "client_credentials", "refresh_token"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        dpop_signing_alg_values_supported=list(ALGORITHMS),
        **secretly,
        **algorithms,
    )
    told.validate()
    return dict(told)


def server_of(
    accounts: Accounts, connection: Connection, call: OAuthCall, proven: Possession | None = None
) -> OAuthServer:
    """The authorization server of one transaction, with all that it offers."""
    server = OAuthServer(accounts, connection, proven)
    server.register_client_auth_method("private_key_jwt", KeyAssertion(server, call.url))
    server.register_grant(CodeGrant, [Challenge(required=True)])
    server.register_grant(RefreshGrant)
    server.register_grant(OwnLeaveGrant)
    server.register_extension(OwnIssuer)
    return server


async def _answered(
    accounts: Accounts, call: OAuthCall, answer: Callable[[OAuthServer], OAuthAnswer]
) -> OAuthAnswer:
    problem = _malformed(call)
    if problem is not None:
        return OAuthAnswer(400, {"error": "invalid_request", "error_description": problem}, NO_STORE)
    try:
        proven = _possession(accounts, call)
    except NonceNeeded as needed:
        told = {"error": "use_dpop_nonce", "error_description": "repeat the nonce in the proof"}
        return OAuthAnswer(400, told, {**NO_STORE, NONCE_HEADER_NAME: needed.nonce})
    except InvalidProof:
        return _of_error(InvalidPossession())

    def work(connection: Connection) -> OAuthAnswer:
        wait_s = _counted(accounts, connection, call)
        if wait_s:
            told = {"error": "invalid_client", "error_description": f"try again in {wait_s} s"}
            return OAuthAnswer(429, told, {**NO_STORE, "retry-after": str(wait_s)})
        if proven is not None and not device_store.use_proof(
            connection, proven.proof_hash, now=accounts.now()
        ):
            return _of_error(InvalidPossession())
        given = answer(server_of(accounts, connection, call, proven))
        if given.status == 200:
            store.forget_failures(connection, client_of(call))
        elif given.error != "invalid_client":
            store.take_back_failure(connection, client_of(call), call.origin)
        return _unified(given)

    return await accounts.relational.write(work)


def client_of(call: OAuthCall) -> str:
    """The client that a call says it is of, as attempts on it are counted."""
    scheme, _, given = (call.authorization or "").partition(" ")
    named = call.values().get("client_id", "")
    if scheme.lower() == "basic":
        try:
            named = base64.b64decode(given, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            named = ""
    elif "client_assertion" in call.values():
        named = _claimed(call.values()["client_assertion"])
    return f"client {named[:36]}"


def _claimed(assertion: str) -> str:
    """The client that an assertion says it is of, of which nothing is proven yet."""
    segment = assertion.split(".")[1] if assertion.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return ""
    named = claims.get("sub") if isinstance(claims, dict) else None
    return named if isinstance(named, str) else ""


def _counted(accounts: Accounts, connection: Connection, call: OAuthCall) -> int:
    """Seconds to wait; 0 counts the attempt as failed until it has succeeded.

    A secret has 256 bits, so that guesses from elsewhere do not shut a client out: an address alone waits.
    """
    now, client = accounts.now(), client_of(call)
    store.forget_old_failures(connection, now=now)
    attempts, _ = store.attempts(connection, client, call.origin)
    by_address = call.origin.startswith(ADDRESS_ORIGIN)
    from_address = store.attempts_from(connection, call.origin) if by_address else None
    wait = wait_after(attempts, account_failures=0, now=now, from_address=from_address)
    if not wait:
        store.note_failure(connection, client, call.origin, now=now)
    return ceil(wait.total_seconds())


def _malformed(call: OAuthCall) -> str | None:
    given = call.values()
    if call.repeated():
        return "a parameter is given twice"
    if len(call.parameters) > PARAMETERS_MAX or any(
        len(value) > PARAMETER_CHARACTERS_MAX or "\x00" in value for value in given.values()
    ):
        return "the request is too long"
    ways = (
        call.authorization is not None,
        "client_secret" in given,
        "client_assertion" in given or "client_assertion_type" in given,
    )
    # Source: RFC 6749 §2.3, one way of proof a request
    return "prove the client in one way" if sum(ways) > 1 else None


def _possession(accounts: Accounts, call: OAuthCall) -> Possession | None:
    """Errors: InvalidProof."""
    if call.proof is None:
        return None
    urls = frozenset({bare_url(call.url)})
    now_s = accounts.now().timestamp()
    return possession(
        call.proof, method=call.method, urls=urls, token=None, now_s=now_s, nonces=accounts.nonces
    )


def _of_error(error: InvalidPossession) -> OAuthAnswer:
    status, body, _ = error()
    return OAuthAnswer(status, dict(body), NO_STORE)


def _answer(found: Any) -> OAuthAnswer:
    if not isinstance(found, OAuthAnswer):
        raise TypeError("an endpoint of this server answers with an OAuthAnswer")
    return found


def _unified(given: OAuthAnswer) -> OAuthAnswer:
    """The answer as it goes out: nobody learns from it which clients there are, or what was wrong of one."""
    if given.error != "invalid_client":
        return OAuthAnswer(given.status, given.content, {**NO_STORE, **given.headers}, given.location)
    headers = {**NO_STORE, "www-authenticate": 'Basic realm="stadion"'}
    return OAuthAnswer(401, {"error": "invalid_client", "error_description": UNPROVEN}, headers)
