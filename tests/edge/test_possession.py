"""Tokens bound to a key: at the router each request proves the key, for itself alone and for once."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.keys import KeyRing, generate_key
from authz.identity.proof_nonces import LIFETIME_S, ProofNonces
from authz.identity.proof_of_possession import PROOF_AGE_S_MAX, SeenProofs
from authz.identity.subject import Subject
from authz.identity.tokens import ForeignTerms, TokenIssuer, TokenTerms, TokenVerifier
from router.admission import ProofNonceSettings
from router.config import RouterConfig
from router.edge.credentials import Credentials
from router.edge.possession import Possessions, ProofRefused
from router.errors import ClientError
from tests.kit_edge.running import Running, running
from tests.kit_subgraphs.programs import Holder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = TokenTerms("https://stadion.test", "stadion")
RING = KeyRing([generate_key(created_at_utc=NOW)])
QUERY = {"query": "{ __typename }"}
OUTSIDE = "https://api.stadion.test/graphql"


def credentials() -> Credentials:
    verifier = TokenVerifier(TERMS, RING, clock=lambda: NOW)

    async def authenticate(token: str) -> Subject:
        return verifier.verify(token)

    return Credentials(authenticate=authenticate, is_active=verifier.still_valid, now=lambda: NOW)


def token_for(holder: Holder | None) -> str:
    thumbprint = None if holder is None else holder.key.thumbprint()
    subject = Subject("mira", roles=frozenset({Role.ATHLETE}), key_thumbprint=thumbprint)
    return TokenIssuer(TERMS, RING, clock=lambda: NOW).issue(subject)


@dataclass
class Client:
    """Who has a token that is bound to `holder`."""

    up: Running
    holder: Holder
    token: str

    async def ask(self, proof: str | None, *, scheme: str = "DPoP", token: str | None = None) -> int:
        headers = {"authorization": f"{scheme} {token or self.token}"}
        if proof is not None:
            headers["DPoP"] = proof
        return (await self.up.post(QUERY, **headers))[0]

    def prove(self, method: str = "POST", url: str = "", **changed: Any) -> str:
        given = {"token": self.token, **changed}
        at = given.pop("at", NOW.timestamp())
        return self.holder.prove(method, url or self.up.url, at, **given)


@asynccontextmanager
async def client(config: RouterConfig | None = None) -> AsyncIterator[Client]:
    holder = Holder()
    async with running(config, credentials()) as up:
        yield Client(up, holder, token_for(holder))


async def test_a_bound_token_goes_in_with_its_key_and_not_without() -> None:
    async with client() as mira:
        assert await mira.ask(mira.prove()) == 200
        assert await mira.ask(None) == 401
        assert await mira.ask(None, scheme="Bearer") == 401
        assert await mira.ask(mira.prove(), scheme="Bearer") == 401
        plain = token_for(None)
        assert await mira.ask(None, scheme="Bearer", token=plain) == 200
        assert await mira.ask(mira.prove(token=plain), token=plain) == 401


async def test_a_proof_is_for_one_request_at_one_place_with_one_token() -> None:
    async with client() as mira:
        used = mira.prove()
        assert await mira.ask(used) == 200
        thief = Holder()
        wrong = {
            "used": used,
            "another key": thief.prove("POST", mira.up.url, NOW.timestamp(), token=mira.token),
            "a key that is only named": mira.prove(header={"jwk": thief.public}),
            "a method": mira.prove("GET"),
            "a path": mira.prove(url=f"{mira.up.url}/more"),
            "a host": mira.prove(url="https://evil.test/graphql"),
            "a scheme": mira.prove(url=mira.up.url.replace("http:", "https:")),
            "a token": mira.prove(token=token_for(mira.holder)),
            "no token": mira.prove(ath=None),
            "old": mira.prove(at=NOW.timestamp() - PROOF_AGE_S_MAX - 1),
            "of later": mira.prove(at=NOW.timestamp() + 6),
            "short": mira.prove(jti="a"),
            "endless": mira.prove(jti="a" * 300),
            "type": mira.prove(header={"typ": "jwt"}),
            "more headers": mira.prove(header={"kid": "one"}),
            "rubbish": "a.b.c",
            "empty": "",
            "huge": "a" * 5_000,
        }
        for name, proof in wrong.items():
            assert await mira.ask(proof) == 401, name
        assert await mira.ask(mira.prove(url=f"{mira.up.url}?x=1")) == 200


async def test_a_proof_names_where_clients_reach_the_router_and_no_host_of_the_request_s_choice() -> None:
    async with client(RouterConfig(public_urls=(OUTSIDE,))) as mira:
        assert await mira.ask(mira.prove(url=OUTSIDE)) == 200
        assert await mira.ask(mira.prove(url="https://API.stadion.test:443/graphql")) == 200
        assert await mira.ask(mira.prove()) == 401
    async with client() as mira:
        headers = {
            "authorization": f"DPoP {mira.token}",
            "dpop": mira.prove(url="http://evil.test/graphql"),
            "host": "evil.test",
        }
        assert (await mira.up.post(QUERY, **headers))[0] == 401


async def test_over_a_websocket_the_proof_comes_with_the_first_message_or_the_handshake() -> None:
    async with client() as mira:

        async def hello(proof: str | None, **headers: str) -> str:
            payload = {"authorization": f"DPoP {mira.token}"} | ({} if proof is None else {"dpop": proof})
            protocols = ("graphql-transport-ws",)
            async with mira.up.http.ws_connect(
                mira.up.socket_url, protocols=protocols, headers=headers
            ) as socket:
                await socket.send_json({"type": "connection_init", "payload": payload})
                message = await socket.receive()
                return str(
                    json.loads(message.data)["type"] if isinstance(message.data, str) else message.data
                )

        assert await hello(mira.prove("GET")) == "connection_ack"
        assert await hello(None, DPoP=mira.prove("GET")) == "connection_ack"
        used = mira.prove("GET")
        assert await hello(used) == "connection_ack"
        for proof in (used, None, mira.prove("POST"), Holder().prove("GET", mira.up.url, NOW.timestamp())):
            assert await hello(proof) == "4403"


async def test_a_proof_repeats_a_nonce_that_the_router_hands_out() -> None:
    config = RouterConfig(proof_nonces=ProofNonceSettings(required=True))
    async with client(config) as mira:

        async def asked(**changed: Any) -> tuple[int, str, str]:
            headers = {"authorization": f"DPoP {mira.token}", "DPoP": mira.prove(**changed)}
            status, _, told = await mira.up.post(QUERY, **headers)
            return status, told.headers.get("dpop-nonce", ""), told.headers.get("www-authenticate", "")

        status, nonce, challenge = await asked()
        assert (status, len(nonce)) == (401, 24)
        assert challenge.startswith('DPoP error="use_dpop_nonce"')
        assert (await asked(nonce=nonce))[:2] == (200, "")
        for wrong in (
            nonce[:-1] + ("A" if nonce[-1] != "A" else "B"),
            "",
            7,
            [nonce],
            ProofNonces().current(),
        ):
            assert (await asked(nonce=wrong))[:2] == (401, nonce), wrong
        assert (await asked(nonce=nonce, htm="GET"))[1:] == ("", "Bearer"), (
            "who proves nothing is told nothing"
        )


async def test_a_proof_for_one_router_is_none_for_another_unless_they_share_a_key() -> None:
    """So it is used once among routers that share no store of rates."""
    holder = Holder()
    token = token_for(holder)

    async def refusal(router: Possessions, nonce: str | None) -> str | None:
        proof = holder.prove("POST", OUTSIDE, NOW.timestamp(), token=token, nonce=nonce)
        try:
            headers = {"dpop": proof}
            await router.check(holder.key.thumbprint(), f"DPoP {token}", {"method": "POST"}, headers)
        except ProofRefused as refused:
            return str(re.search(rb"dpop-nonce: (\S+)", refused.challenge)[1], "ascii")  # type: ignore[index]
        return None

    def routers(key: str) -> list[Possessions]:
        settings = ProofNonceSettings(required=True, key=key)
        return [Possessions((OUTSIDE,), nonces=settings, clock=lambda: NOW) for _ in range(2)]

    here, there = routers("")
    nonce = await refusal(here, None)
    assert await refusal(here, nonce) is None
    assert await refusal(there, nonce) not in {None, nonce}
    here, there = routers("k" * 32)
    nonce = await refusal(here, None)
    assert await refusal(there, nonce) is None


def test_a_nonce_is_taken_for_some_minutes_and_no_longer() -> None:
    moment = [NOW]
    nonces = ProofNonces(b"k" * 32, clock=lambda: moment[0])
    nonce = nonces.current()
    for later_s, taken in ((LIFETIME_S - 1, True), (2 * LIFETIME_S + 1, False)):
        moment[0] = NOW + timedelta(seconds=later_s)
        assert nonces.takes(nonce) is taken
    with pytest.raises(ValueError, match="32 bytes"):
        ProofNonces(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        ProofNonceSettings(key="short")
    assert "secret" not in repr(ProofNonceSettings(key="secret" * 6))


async def test_several_routers_take_a_proof_once_among_them() -> None:
    """And one whose store is away goes by what it has seen itself."""

    class Store:
        def __init__(self) -> None:
            self.seen: set[str] = set()
            self.away = False

        async def wait_s(self, caller: str, *, per_minute: int, burst: int) -> float:
            if self.away:
                raise ConnectionError
            first = caller not in self.seen
            self.seen.add(caller)
            return 0.0 if first else 60.0 / per_minute

    store, holder = Store(), Holder()
    here, there, third = (Possessions((OUTSIDE,), shared=store, clock=lambda: NOW) for _ in range(3))
    token = token_for(holder)

    async def goes_in(router: Possessions, proof: str) -> bool:
        try:
            await router.check(holder.key.thumbprint(), f"DPoP {token}", {"method": "POST"}, {"dpop": proof})
        except ClientError:
            return False
        return True

    proof = holder.prove("POST", OUTSIDE, NOW.timestamp(), token=token)
    assert [await goes_in(each, proof) for each in (here, here, there)] == [True, False, False]
    store.away = True
    assert [await goes_in(third, proof) for _ in range(2)] == [True, False]


def test_what_is_remembered_is_bounded_and_full_is_shut() -> None:
    moment = [NOW]
    seen = SeenProofs(proofs_max=2, clock=lambda: moment[0])
    assert [seen.first_time(name) for name in ("a", "b", "a", "c")] == [True, True, False, False]
    moment[0] = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    assert seen.first_time("c")


def test_a_bound_token_of_somebody_else_s_issuer_is_no_bearer_token_here() -> None:
    holder = Holder()
    terms = TokenTerms(TERMS.issuer, TERMS.audience, foreign=ForeignTerms())
    verifier = TokenVerifier(terms, RING, clock=lambda: NOW)
    assert verifier.verify(token_for(holder)).key_thumbprint == holder.key.thumbprint()


@pytest.mark.parametrize("cnf", [{}, {"x5t#S256": "a"}, "text"])
def test_a_token_that_is_bound_in_a_way_not_known_here_is_refused(cnf: object) -> None:
    key, now = RING.signing_key, int(NOW.timestamp())
    claims = {
        "iss": TERMS.issuer, "aud": TERMS.audience, "iat": now, "exp": now + 60, "sub": "mira", "cnf": cnf,
    }  # fmt: skip
    header = {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}
    token = jws.serialize_compact(header, json.dumps(claims), key.jwk, [key.algorithm])
    for foreign in (None, ForeignTerms()):
        terms = TokenTerms(TERMS.issuer, TERMS.audience, foreign=foreign)
        with pytest.raises(InvalidToken):
            TokenVerifier(terms, RING, clock=lambda: NOW).verify(token)
