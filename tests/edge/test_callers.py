"""Callers by published keys: read when needed, kept fresh, and never asked for at a stranger's will."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc import jws
from joserfc.jwk import RSAKey
from typer.testing import CliRunner

from authz.classes import DataClass, Role
from authz.errors import InvalidToken
from authz.identity.keys import KeyRing, generate_key
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer, TokenTerms
from deploy.callers import (
    AGAIN_S,
    FAILED_S,
    UNKNOWN_KEY_S,
    Issuer,
    KeysUnusable,
    PublishedKeys,
    callers_by,
    claimed_issuer,
    credentials_by,
    foreign_issuer,
    issuer_of,
    reader_of,
    rights_by_policy,
)
from deploy.cli import every_command
from router.admission import ForeignIssuer
from router.config import ConfigError, read_config
from tests.kit_edge.running import running

app = every_command()

pytestmark = pytest.mark.timeout(20)
TERMS = TokenTerms("https://issuer.example", "router")
MIRA = Subject("mira", roles=frozenset({Role.ATHLETE}))


class Published:
    """An issuer's document that is counted as it is read, may fail, and a clock beside it."""

    def __init__(self) -> None:
        self.ring = ring()
        self.reads = 0
        self.fails = False
        self.now = 1_000.0

    async def read(self) -> Mapping[str, Any]:
        self.reads += 1
        if self.fails:
            raise OSError("no route")
        return self.ring.jwks()

    def keys(self) -> PublishedKeys:
        return PublishedKeys(self.read, now_s=lambda: self.now)


def ring() -> KeyRing:
    return KeyRing([generate_key(created_at_utc=datetime.now(UTC))])


def token(by: KeyRing, terms: TokenTerms = TERMS) -> str:
    return TokenIssuer(terms, by).issue(MIRA)


async def test_the_first_token_has_the_keys_read_and_later_ones_do_not() -> None:
    published = Published()
    credentials = credentials_by(published.keys(), TERMS)
    for _ in range(3):
        assert (await credentials.subject_of(f"Bearer {token(published.ring)}")).id == "mira"
    assert published.reads == 1


async def test_strangers_have_the_document_read_once_a_minute_at_most() -> None:
    published = Published()
    authenticate = credentials_by(published.keys(), TERMS).authenticate
    assert authenticate is not None

    async def refuse_all() -> None:
        asked = await asyncio.gather(
            *(authenticate(token(ring())) for _ in range(20)), return_exceptions=True
        )
        assert all(isinstance(one, InvalidToken) for one in asked)

    await refuse_all()
    await refuse_all()
    assert published.reads == 1
    published.now += UNKNOWN_KEY_S
    await refuse_all()
    assert published.reads == 2


async def test_a_new_key_of_the_issuer_is_taken_in() -> None:
    published = Published()
    authenticate = credentials_by(published.keys(), TERMS).authenticate
    assert authenticate is not None
    await authenticate(token(published.ring))
    published.ring.rotate(now=datetime.now(UTC))
    published.now += UNKNOWN_KEY_S
    assert (await authenticate(token(published.ring))).id == "mira"
    assert published.reads == 2


async def test_a_token_that_is_bad_by_itself_reads_nothing() -> None:
    published = Published()
    authenticate = credentials_by(published.keys(), TERMS).authenticate
    assert authenticate is not None
    await authenticate(token(published.ring))
    published.now += UNKNOWN_KEY_S
    for bad in (
        "x",
        token(published.ring)[:-4] + "AAAA",
        token(published.ring, TokenTerms("other", "router")),
    ):
        with pytest.raises(InvalidToken):
            await authenticate(bad)
    assert published.reads == 1


async def test_an_issuer_that_is_away_costs_no_known_key_and_is_tried_again_soon() -> None:
    published = Published()
    keys = published.keys()
    authenticate = credentials_by(keys, TERMS).authenticate
    assert authenticate is not None
    published.fails = True
    with pytest.raises(InvalidToken):
        await authenticate(token(published.ring))
    published.fails = False
    published.now += FAILED_S
    assert (await authenticate(token(published.ring))).id == "mira"
    published.fails = True
    await keys.renew()
    assert (await authenticate(token(published.ring))).id == "mira"
    assert FAILED_S < UNKNOWN_KEY_S < AGAIN_S


@asynccontextmanager
async def issuer(text: str, *, status: int = 200) -> AsyncIterator[str]:
    """The URL of a document."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status, content_type="application/json")

    async with answering(answer) as url:
        yield url


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """The URL at which somebody answers."""
    served = web.Application()
    served.router.add_get("/jwks.json", answer)
    runner = web.AppRunner(served, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    finally:
        await runner.cleanup()


async def test_a_router_knows_callers_by_the_keys_at_a_url() -> None:
    keys = ring()
    async with issuer(json.dumps(keys.jwks())) as url:
        callers = callers_by([Issuer(TERMS, url)])
        async with running(credentials=callers.credentials) as router:
            _, body, _ = await router.post({"query": "{ me }"}, authorization=f"Bearer {token(keys)}")
            assert body == {"data": {"me": "mira"}}
            status, body, _ = await router.post({"query": "{ me }"}, authorization=f"Bearer {token(ring())}")
            assert (status, body["errors"][0]["extensions"]["code"]) == (401, "AUTH_ERROR")


OTHER = TokenTerms("https://other.example", "router")


async def test_tokens_of_several_issuers_are_taken_each_by_its_own_keys_alone() -> None:
    mine, others = ring(), ring()
    async with issuer(json.dumps(mine.jwks())) as first, issuer(json.dumps(others.jwks())) as second:
        callers = callers_by([Issuer(TERMS, first), Issuer(OTHER, second)])
        authenticate = callers.credentials.authenticate
        assert authenticate is not None
        for keys, terms in ((mine, TERMS), (others, OTHER)):
            subject = await authenticate(token(keys, terms))
            assert subject.id == "mira"
            assert callers.credentials.stands(subject)
        third = TokenTerms("https://third.example", "router")
        another = TokenTerms(TERMS.issuer, "another audience")
        for keys, terms in ((mine, OTHER), (others, TERMS), (mine, third), (mine, another)):
            with pytest.raises(InvalidToken):
                await authenticate(token(keys, terms))


def by_rsa(key: RSAKey, **claims: object) -> str:
    """A token as somebody else's issuer makes them."""
    now = int(datetime.now(UTC).timestamp())
    full = {
        "iss": "https://login.example",
        "aud": ["api", "router"],
        "sub": "7",
        "iat": now,
        "exp": now + 900,
    }
    text = json.dumps({**full, **claims})
    return jws.serialize_compact({"alg": "RS256", "kid": str(key.kid), "typ": "JWT"}, text, key, ["RS256"])


async def test_another_issuer_by_rsa_is_taken_where_the_settings_name_it_and_rotates_its_keys() -> None:
    old, new = (RSAKey.generate_key(2_048, auto_kid=True) for _ in range(2))
    listed = [old]
    mine = ring()

    async def document(_: web.Request) -> web.Response:
        return web.json_response({"keys": [one.as_dict(private=False) for one in listed]})

    async with issuer(json.dumps(mine.jwks())) as own, answering(document) as url:
        config = read_config(
            {
                "issuers": [
                    {
                        "issuer": "https://login.example",
                        "jwks": url,
                        "audience": "router",
                        "algorithms": ["RS256"],
                        "subject_prefix": "login|",
                    }
                ]
            }
        )
        callers = callers_by([Issuer(TERMS, own), *map(foreign_issuer, config.issuers)])
        authenticate = callers.credentials.authenticate
        assert authenticate is not None
        assert (await authenticate(by_rsa(old))).id == "login|7"
        assert (await authenticate(token(mine))).id == "mira"
        for wrong in ({"iss": TERMS.issuer}, {"aud": "api"}, {"exp": 10**10}):
            with pytest.raises(InvalidToken):
                await authenticate(by_rsa(old, **wrong))
        with pytest.raises(InvalidToken):
            await authenticate(by_rsa(new))
        listed[:] = [new]
        for follow in callers.following[1:]:
            following = asyncio.ensure_future(follow())
            while not (await settled(authenticate, by_rsa(new))):
                await asyncio.sleep(0)
            following.cancel()
        with pytest.raises(InvalidToken):
            await authenticate(by_rsa(old))


async def settled(authenticate: Callable[[str], Awaitable[Subject]], token: str) -> bool:
    try:
        return (await authenticate(token)).id is not None
    except InvalidToken:
        return False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"algorithms": ["HS256"]}, "`algorithms` are of Ed25519, ES256, RS256, PS256"),
        ({"algorithms": ["none"]}, "`algorithms` are of"),
        ({"algorithms": []}, "`algorithms` are of"),
        ({"audience": ""}, "an issuer needs `issuer`, `jwks`, `audience`"),
        ({"issuer": ""}, "an issuer needs"),
        ({"lifetime_s_max": 0}, "an issuer needs"),
        ({"secret": "x"}, "unknown setting `issuers[0].secret`"),
    ],
)
def test_an_issuer_is_named_with_all_that_its_tokens_are_judged_by(change: dict[str, Any], says: str) -> None:
    whole = {"issuer": "https://login.example", "jwks": "keys.json", "audience": "router"}
    with pytest.raises(ConfigError) as raised:
        read_config({"issuers": [{**whole, **change}]})
    assert says in str(raised.value)


def test_an_issuers_roles_are_roles_that_there_are() -> None:
    named = ForeignIssuer(issuer="i", jwks="j", audience="a", roles=("athlete", "emperor"))
    with pytest.raises(KeysUnusable, match="there is no role `emperor`"):
        foreign_issuer(named)


def test_the_command_reads_issuers_from_its_settings(tmp_path: Path) -> None:
    graph, keys, settings = (tmp_path / name for name in ("graph.graphql", "keys.json", "router.json"))
    graph.write_text("type Query { a: Int }")
    keys.write_text('{"keys": [{"kty": "oct", "k": "AA", "kid": "k"}]}')
    one = {
        "issuer": "https://login.example",
        "jwks": str(keys),
        "audience": "router",
        "algorithms": ["RS256"],
    }
    settings.write_text(json.dumps({"issuers": [one]}))
    outcome = CliRunner().invoke(app, ["router", "--supergraph", str(graph), "--config", str(settings)])
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("stadion: `issuers: https://login.example`: no key of it can be used")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", "RS256"])
async def test_a_token_of_another_algorithm_than_its_keys_is_refused(algorithm: str) -> None:
    keys = ring()
    authenticate = credentials_by(PublishedKeys(_of(keys)), TERMS).authenticate
    assert authenticate is not None
    head, claims, signature = token(keys).split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    public = json.dumps(keys.jwks()["keys"][0]).encode()
    forged = _segment({**header, "alg": algorithm})
    mac = hmac.new(public, f"{forged}.{claims}".encode(), hashlib.sha256).digest()
    for end in (signature, "", base64.urlsafe_b64encode(mac).decode().rstrip("=")):
        with pytest.raises(InvalidToken):
            await authenticate(f"{forged}.{claims}.{end}")


def _of(keys: KeyRing) -> Callable[[], Awaitable[Mapping[str, Any]]]:
    async def read() -> Mapping[str, Any]:
        return keys.jwks()

    return read


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("a.b", ""),
        (f"x.{_segment({'iss': 'me'})}.y", "me"),
        (f"x.{_segment({'iss': 3})}.y", ""),
        (f"x.{_segment([1])}.y", ""),
        ("x.!!.y", ""),
        ("x." + "A" * 5_000 + ".y", ""),
    ],
)
def test_what_a_token_claims_is_read_without_trust(text: str, found: str) -> None:
    assert claimed_issuer(text) == found


def test_an_issuer_is_named_with_its_keys() -> None:
    plain = issuer_of("https://keys.example/jwks?a=b", issuer="me", audience="router")
    assert plain == Issuer(TokenTerms("me", "router"), "https://keys.example/jwks?a=b")
    named = issuer_of("https://it.example=https://it.example/jwks?a=b", issuer="me", audience="router")
    assert named == Issuer(TokenTerms("https://it.example", "router"), "https://it.example/jwks?a=b")


@pytest.mark.parametrize(
    ("text", "status"), [("{", 200), ("[]", 200), ("{}", 200), ("{}", 404), (" " * 300_000, 200)]
)
async def test_what_is_no_document_is_said(text: str, status: int) -> None:
    async with issuer(text, status=status) as url:
        with pytest.raises(KeysUnusable):
            await reader_of(url)()


def test_the_policy_says_what_roles_never_see() -> None:
    can_ever = rights_by_policy().can_ever
    assert can_ever is not None
    moderator = Subject("noor", roles=frozenset({Role.MODERATOR}))
    assert not can_ever(moderator, DataClass.CLINICAL, "read")
    assert can_ever(MIRA, DataClass.CLINICAL, "read")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "no list `keys`"),
        ('{"keys": [{"kty": "oct", "k": "AA"}]}', "no key of it can be used"),
        (None, "read"),
    ],
)
def test_a_file_that_holds_no_keys_is_refused_in_one_line(
    tmp_path: Path, content: str | None, says: str
) -> None:
    file, graph = tmp_path / "keys.json", tmp_path / "supergraph.graphql"
    graph.write_text("type Query { a: Int }")
    if content is not None:
        file.write_text(content)
    outcome = CliRunner().invoke(app, ["router", "--supergraph", str(graph), "--jwks", str(file)])
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    assert says in outcome.stderr


def test_settings_that_cannot_be_used_are_one_line_without_their_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tmp_path / "supergraph.graphql"
    graph.write_text("type Query { a: Int }")
    monkeypatch.setenv("STADION_INTERNAL_KEY", "tooshort")
    outcome = CliRunner().invoke(app, ["router", "--supergraph", str(graph)])
    assert outcome.exit_code == 1
    assert outcome.stderr == "stadion: `STADION_INTERNAL_KEY`: it needs 32 bytes or more\n"


def test_an_issuer_without_keys_is_refused(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(
        every_command(), ["router", "--supergraph", str(tmp_path / "x"), "--issuer", "me"]
    )
    assert outcome.exit_code == 1
    assert "name their keys with `--jwks`" in outcome.stderr
