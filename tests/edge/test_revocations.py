"""Sessions that end, told to routers of other processes: signed, soon, and nothing is let in before."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from starlette.applications import Starlette

from authz.classes import Role
from authz.errors import InvalidToken
from authz.facts.relational import RelationalFacts
from authz.identity.internal import HEADER_NAME, CallKey, call_key, sign_call
from authz.identity.kept_revocations import KeptRevocations
from authz.identity.keys import KeyRing, generate_key
from authz.identity.revocation import RevokedSessions
from authz.identity.subject import ANONYMOUS, Subject
from authz.identity.tokens import TokenIssuer, TokenTerms
from datastores.relational.opening import open_relational
from deploy.callers import PublishedKeys, credentials_by
from deploy.revocations import AUDIENCE, EVERY_S, PATH, FollowedRevocations, reader_by, revocations_route
from router.edge.serve import listen

pytestmark = pytest.mark.timeout(30)
KEY = call_key(secrets.token_bytes(32))
TERMS = TokenTerms("https://issuer.example", "router")
MIRA = Subject("mira", roles=frozenset({Role.ATHLETE}), session_id="s1")


@asynccontextmanager
async def accounts(folder: Path) -> AsyncIterator[tuple[str, KeptRevocations]]:
    """Accounts' route on a socket, over a store of its own."""
    store = open_relational(f"sqlite:///{folder / 'facts.db'}")
    await store.open()
    await RelationalFacts(store).open()
    kept = KeptRevocations(store, RevokedSessions())
    listening = listen("127.0.0.1", 0)
    app = Starlette(routes=[revocations_route(kept, KEY)])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", kept
    finally:
        server.should_exit = True
        await serving
        listening.close()
        await store.close()


def event(**revoked: str) -> dict[str, str]:
    return {**revoked, "revoked_at_utc": datetime.now(UTC).isoformat()}


def credentials_and_token(followed: FollowedRevocations) -> tuple[Any, str]:
    ring = KeyRing([generate_key(created_at_utc=datetime.now(UTC))])

    async def read() -> Any:
        return ring.jwks()

    return credentials_by(PublishedKeys(read), TERMS, followed), TokenIssuer(TERMS, ring).issue(MIRA)


async def test_a_session_that_ends_is_refused_by_another_process_within_two_seconds(tmp_path: Path) -> None:
    async with accounts(tmp_path) as (url, kept):
        followed = FollowedRevocations(reader_by(url, KEY))
        credentials, token = credentials_and_token(followed)
        following = asyncio.create_task(followed.follow())
        subject = await credentials.subject_of(f"Bearer {token}")
        assert credentials.stands(subject)
        ended = asyncio.get_running_loop().time()
        await kept.apply_event(event(session_id="s1"))
        while credentials.stands(subject):
            await asyncio.sleep(0.01)
        # on a quiet machine it is what is left of the second until accounts is asked again, and no more
        assert asyncio.get_running_loop().time() - ended < 10
        assert EVERY_S <= 1
        with pytest.raises(InvalidToken):
            await credentials.authenticate(token)
        following.cancel()


async def test_a_router_that_starts_hears_of_earlier_ones_before_it_takes_a_token(tmp_path: Path) -> None:
    async with accounts(tmp_path) as (url, kept):
        await kept.apply_event(event(subject_id="mira"))
        followed = FollowedRevocations(reader_by(url, KEY))
        credentials, token = credentials_and_token(followed)
        asked = asyncio.create_task(credentials.authenticate(token))
        await asyncio.sleep(0.02)
        assert not asked.done()
        assert await followed.renewed()
        with pytest.raises(InvalidToken):
            await asked


async def test_nothing_is_taken_while_accounts_was_never_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.revocations.FIRST_WAIT_S", 0.01)
    followed = FollowedRevocations(reader_by("http://127.0.0.1:1", KEY))
    credentials, token = credentials_and_token(followed)
    assert not await followed.renewed()
    with pytest.raises(InvalidToken):
        await credentials.authenticate(token)


async def test_what_is_known_stays_known_while_accounts_is_away(tmp_path: Path) -> None:
    async with accounts(tmp_path) as (url, kept):
        await kept.apply_event(event(session_id="s1"))
        followed = FollowedRevocations(reader_by(url, KEY))
        credentials, token = credentials_and_token(followed)
        assert await followed.renewed()
    assert not await followed.renewed()
    with pytest.raises(InvalidToken):
        await credentials.authenticate(token)


async def test_each_asking_overlaps_the_one_before() -> None:
    asked: list[datetime] = []
    now = [datetime(2026, 1, 1, tzinfo=UTC)]

    async def read(since: datetime) -> bytes:
        asked.append(since)
        return b'{"revocations": []}'

    followed = FollowedRevocations(read, clock=lambda: now[0])
    for _ in range(3):
        assert await followed.renewed()
        now[0] += timedelta(seconds=1)
    assert asked[0] <= datetime(2026, 1, 1, tzinfo=UTC) - timedelta(minutes=11)
    assert asked[1] == datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=10)
    assert asked[2] - asked[1] == timedelta(seconds=1)


def signature(since: str, *, key: CallKey = KEY, audience: str = AUDIENCE) -> str:
    return sign_call(ANONYMOUS, audience, hashlib.sha256(since.encode()).hexdigest(), key, datetime.now(UTC))


async def test_accounts_tells_holders_of_the_key_alone_and_each_call_once(tmp_path: Path) -> None:
    since = "2026-01-01T00:00:00+00:00"
    good = signature(since)
    refused = {
        "": "",
        "another key": signature(since, key=call_key(secrets.token_bytes(32))),
        "another purpose": signature(since, audience="accounts"),
        "another question": signature("2020-01-01T00:00:00+00:00"),
    }
    async with accounts(tmp_path) as (url, _), aiohttp.ClientSession() as http:

        async def status(proof: str, asked: str = since) -> int:
            headers = {HEADER_NAME: proof} if proof else {}
            async with http.get(f"{url}{PATH}", params={"since": asked}, headers=headers) as answer:
                return answer.status

        assert {name: await status(proof) for name, proof in refused.items()} == dict.fromkeys(refused, 403)
        assert [await status(good), await status(good)] == [200, 403]
        assert await status(signature("soon"), "soon") == 400
        assert await status(signature("2026-01-01T00:00:00"), "2026-01-01T00:00:00") == 400
