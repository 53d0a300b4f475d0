"""Programs as they come to accounts: registered by administrators, with forms, secrets, keys and proofs."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey

from authz.classes import Role
from authz.identity.proof_of_possession import PROOF_TYPE, proof_claims
from authz.identity.subject import Subject
from subgraphs.accounts.oauth import answering
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall
from tests.kit_subgraphs.accounts import TERMS, World

BASE = f"{TERMS.issuer}/oauth"
CALLBACK = "https://partner.test/callback?app=1"
VERIFIER = "a-verifier-of-the-client-that-nobody-else-knows-43"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REGISTER = """mutation($i: RegisterApiClientInput!) {registerApiClient(input: $i) {
  client {id state scopes} secret userErrors {code field}}}"""
AUTHORIZE = """mutation($i: AuthorizationRequestInput!, $s: [String!]) {
  authorizeClient(input: $i, approvedScopes: $s) {redirectTo userErrors {code field}}}"""
_NUMBERS = count()


@dataclass
class Holder:
    """Who holds a key, and proves it."""

    key: ECKey | OKPKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    @property
    def algorithm(self) -> str:
        return "ES256" if isinstance(self.key, ECKey) else "Ed25519"

    @property
    def public(self) -> dict[str, Any]:
        parts = self.key.as_dict(private=False)
        return {name: parts[name] for name in ("kty", "crv", "x", "y") if name in parts}

    def prove(self, method: str, url: str, now_s: float, *, token: str | None = None, **changed: Any) -> str:
        """A DPoP proof for one request."""
        header = {"alg": self.algorithm, "typ": PROOF_TYPE, "jwk": self.public} | changed.pop("header", {})
        nonce = f"proof-{next(_NUMBERS):08}"
        claims = proof_claims(method=method, url=url, token=token, now_s=now_s, nonce=nonce) | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        return jws.serialize_compact(header, json.dumps(claims), self.key, [str(header["alg"])])

    def jwks(self, kid: str = "one") -> str:
        """Its public key, as a client registers it."""
        return json.dumps({"keys": [{**self.public, "kid": kid, "alg": self.algorithm}]})

    def assertion(self, client_id: str, now_s: float, *, kid: str = "one", **changed: Any) -> str:
        """The word of a client under this key."""
        claims = {
            "iss": client_id, "sub": client_id, "aud": TERMS.issuer, "iat": int(now_s),
            "exp": int(now_s) + 60, "jti": f"assertion-{next(_NUMBERS):08}", **changed,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": self.algorithm, "kid": kid}, claims, self.key, [self.algorithm])


@dataclass(frozen=True)
class Program:
    """A registered client as its owner runs it."""

    world: World
    id: str
    secret: str | None = None
    holder: Holder | None = None

    def call(
        self, name: str, *, prove: bool = True, origin: str = "address 192.0.2.1/32", **given: Any
    ) -> OAuthCall:
        """A request to `/oauth/NAME`; `secret=` and `client_id=` replace its own."""
        secret, client_id = given.pop("secret", self.secret), given.pop("as_client", self.id)
        authorization = None
        if secret is not None:
            pair = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
            authorization = f"Basic {pair}"
        elif "client_assertion" not in given:
            given.setdefault("client_id", client_id)
        proof = given.pop("proof", None)
        if proof is None and self.holder is not None and prove:
            now_s = self.world.clock[0].timestamp()
            proof = self.holder.prove("POST", f"{BASE}/{name}", now_s)
        parameters = tuple((key, value) for key, value in given.items() if value is not None)
        return OAuthCall("POST", f"{BASE}/{name}", parameters, authorization, proof, origin)

    async def token(self, **given: Any) -> OAuthAnswer:
        """What the token endpoint answers."""
        return await answering.token(self.world.accounts, self.call("token", **given))

    async def own_leave(self, **given: Any) -> OAuthAnswer:
        """A token for itself."""
        return await self.token(grant_type="client_credentials", **given)

    async def exchange(self, code: str, **given: Any) -> OAuthAnswer:
        """The tokens of a code."""
        parts = {"redirect_uri": CALLBACK, "code_verifier": VERIFIER, **given}
        return await self.token(grant_type="authorization_code", code=code, **parts)

    async def refresh(self, token: object, **given: Any) -> OAuthAnswer:
        """The next tokens."""
        return await self.token(grant_type="refresh_token", refresh_token=str(token), **given)

    async def revoke(self, token: object, **given: Any) -> OAuthAnswer:
        """What the revocation endpoint answers."""
        call = self.call("revoke", token=str(token), **given)
        return await answering.revoke(self.world.accounts, self.world.verifier.verify, call)

    async def introspect(self, token: object, **given: Any) -> OAuthAnswer:
        """What the introspection endpoint answers."""
        call = self.call("introspect", token=str(token), **given)
        return await answering.introspect(self.world.accounts, self.world.verifier.verify, call)

    def asking(self, **changed: Any) -> dict[str, Any]:
        """What it puts into the address that it sends a person to."""
        asked = {
            "clientId": self.id, "redirectUri": CALLBACK, "codeChallenge": CHALLENGE,
            "codeChallengeMethod": "S256", "scope": "activity:read profile:read", "state": "xyz", **changed,
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value is not None}

    async def ask(self, person: Subject, *scopes: str, **changed: Any) -> dict[str, Any]:
        """What a person who agrees to these scopes, or with none refuses, gets back: the callback's query."""
        answer = await self.world.ask(AUTHORIZE, person, i=self.asking(**changed), s=list(scopes) or None)
        assert "errors" not in answer, answer
        told = answer["data"]["authorizeClient"]
        if told["redirectTo"] is None:
            return {"refused": told["userErrors"][0]["code"]}
        target = urlsplit(told["redirectTo"])
        assert f"{target.scheme}://{target.netloc}{target.path}" == "https://partner.test/callback"
        return {name: values[0] for name, values in parse_qs(target.query).items()}

    async def code(self, person: Subject, *scopes: str) -> str:
        """A code that a person agreed to."""
        told = await self.ask(person, *(scopes or ("activity:read", "profile:read")))
        return str(told["code"])


async def administrators(world: World) -> tuple[Subject, Subject]:
    """Two of them: whoever registers a service does not approve it."""
    for handle in ("ada", "ben"):
        await world.person(handle, Role.ADMINISTRATOR, totp=True)
    return await world.subject("ada"), await world.subject("ben")


async def register(
    world: World, administrator: Subject, *, holder: Holder | None = None, **wanted: Any
) -> dict[str, Any]:
    """What `registerApiClient` answers: a partner's program, unless more is said."""
    asked: dict[str, Any] = {
        "name": "Coach's eye", "kind": "PARTNER", "scopes": ["activity:read", "profile:read"],
        "redirectUris": [CALLBACK], **wanted,
    }  # fmt: skip
    answer = await world.ask(REGISTER, administrator, i=asked)
    assert "errors" not in answer, answer
    told: dict[str, Any] = answer["data"]["registerApiClient"]
    return told


async def partner(world: World, administrator: Subject, **wanted: Any) -> Program:
    """A registered partner's program; with `holder` it proves a key with each request."""
    holder = wanted.pop("holder", None)
    told = await register(world, administrator, **wanted)
    assert told["userErrors"] == [], told
    return Program(world, told["client"]["id"], told["secret"], holder)


async def service(world: World, two: tuple[Subject, Subject], *scopes: str, **wanted: Any) -> Program:
    """A registered and approved service."""
    made = {"kind": "SERVICE", "scopes": list(scopes), "redirectUris": [], **wanted}
    program = await partner(world, two[0], **made)
    approve = "mutation($id: ID!) {approveApiClient(id: $id) {client {state} userErrors {code}}}"
    answer = await world.ask(approve, two[1], id=program.id)
    assert answer["data"]["approveApiClient"]["client"] == {"state": "ACTIVE"}, answer
    return program
