"""Taking away a session, a role, a coach link, care or consent reaches tokens, answers and open streams in
two seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pyotp
import pytest
import uvicorn

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from deploy.endpoint import endpoint
from router.edge.serve import listen
from tests.kit_platform.client import LOG_IN, person
from tests.platform.conftest import Seeded, subject_of

WITHIN_S = 2.0
STREAM = 'subscription { activityAdded(athleteId: "demo-athlete") { id } }'
TRAINING = '{ user(id: "demo-athlete") { load(range: {from: "2025-10-20", to: "2025-10-21"}) { day } } }'
RECORD = '{ user(id: "demo-athlete") { medicalRecord(purpose: TREAT) { conditions { totalCount } } } }'
GRANT = "mutation($input: GrantConsentInput!) { grantConsent(input: $input) { consent { id } } }"
REVOKE_CONSENT = "mutation($id: ID!) { revokeConsent(id: $id) { consent { active } } }"


def token_of(platform: Seeded, handle: str) -> str:
    """An access token, by logging in."""
    who = person(handle)
    given = {"login": who.handle, "password": who.password}
    if who.totp_secret:
        given["otp"] = pyotp.TOTP(who.totp_secret).now()
    answer = platform.ask(LOG_IN, Subject(id=None), input=given)
    token = answer["data"]["logIn"]["accessToken"]
    assert isinstance(token, str), answer
    return token


def seconds_until(platform: Seeded, holds: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < 10, "it never took effect"
        platform.run(asyncio.sleep(0.02))
    return time.monotonic() - began


def is_refused(platform: Seeded, token: str) -> bool:
    try:
        platform.platform.verifier.verify(token)
    except InvalidToken:
        return True
    return False


def denied(platform: Seeded, query: str, handle: str) -> bool:
    return platform.ask(query, subject_of(handle))["errors"] != []


async def open_stream(platform: Seeded, token: str, opened: asyncio.Event) -> str:
    """The whole event stream of a subscription, up to its end."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(endpoint(platform.platform), log_config=None, lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    try:
        async with (
            httpx2.AsyncClient(timeout=20) as client,
            client.stream("POST", url, json={"query": STREAM}, headers=headers) as response,
        ):
            assert response.status_code == 200
            opened.set()
            return "".join([part async for part in response.aiter_text()])
    finally:
        server.should_exit = True
        await serving


async def stream_seconds(platform: Seeded, token: str, revoke: Callable[[], None]) -> tuple[str, float]:
    opened = asyncio.Event()
    stream = asyncio.create_task(open_stream(platform, token, opened))
    await asyncio.wait({stream, asyncio.ensure_future(opened.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(revoke)
    began = time.monotonic()
    return await asyncio.wait_for(stream, 15), time.monotonic() - began


def test_ending_a_session_refuses_its_token_and_ends_its_stream(changing: Seeded) -> None:
    token = token_of(changing, "tomas")
    subject = changing.platform.verifier.verify(token)

    def end() -> None:
        answer = changing.ask("mutation { logOut { userErrors { code } } }", subject)
        assert answer["errors"] == [], answer

    told, seconds = changing.run(stream_seconds(changing, token, end))
    assert seconds < WITHIN_S and "SUBSCRIPTION_EXPIRED" in told
    assert is_refused(changing, token)


def test_revoking_a_role_refuses_tokens_that_carry_it(changing: Seeded) -> None:
    token = token_of(changing, "noor")
    found = changing.ask('{ user(id: "demo-moderator") { roles { id role } } }', subject_of("noor"))
    assignment = found["data"]["user"]["roles"][0]["id"]
    answer = changing.ask(
        "mutation($id: ID!) { revokeRole(id: $id) { userErrors { code } } }", subject_of("ada"), id=assignment
    )
    assert answer["errors"] == [] and answer["data"]["revokeRole"]["userErrors"] == []
    assert seconds_until(changing, lambda: is_refused(changing, token)) < WITHIN_S
    log = """{ auditLog(filter: {targetId: "demo-moderator"}) {
      nodes { actor { id } fields outcome rule } } }"""
    done = {"fields": ["Mutation.revokeRole"], "outcome": "changed", "rule": "administrator"}

    def told() -> bool:
        nodes = changing.ask(log, subject_of("ada"))["data"]["auditLog"]["nodes"]
        return {"actor": {"id": "demo-administrator"}, **done} in nodes

    assert seconds_until(changing, told) < WITHIN_S


@pytest.mark.parametrize(("stop", "start"), [("pauseCoachLink", "resumeCoachLink"), ("endCoachLink", None)])
def test_a_coach_link_that_ends_shuts_what_it_opened(changing: Seeded, stop: str, start: str | None) -> None:
    change = 'mutation { %s(id: "demo-coach-link") { userErrors { code } } }'
    assert not denied(changing, TRAINING, "tomas")
    assert changing.ask(change % stop, subject_of("mira"))["errors"] == []
    assert seconds_until(changing, lambda: denied(changing, TRAINING, "tomas")) < WITHIN_S
    if start is not None:
        changing.ask(change % start, subject_of("mira"))
        assert seconds_until(changing, lambda: not denied(changing, TRAINING, "tomas")) < WITHIN_S


def test_a_consent_denied_shuts_the_record_and_its_end_opens_it(changing: Seeded) -> None:
    assert not denied(changing, RECORD, "lind")
    deny = {"decision": "DENY", "dataClass": "CLINICAL", "actorId": "demo-physician"}
    granted: dict[str, Any] = changing.ask(GRANT, subject_of("mira"), input=deny)
    assert seconds_until(changing, lambda: denied(changing, RECORD, "lind")) < WITHIN_S
    consent_id = granted["data"]["grantConsent"]["consent"]["id"]
    changing.ask(REVOKE_CONSENT, subject_of("mira"), id=consent_id)
    assert seconds_until(changing, lambda: not denied(changing, RECORD, "lind")) < WITHIN_S


def test_care_that_ends_shuts_the_record(changing: Seeded) -> None:
    team = changing.ask("{ me { careTeam(purpose: PATRQT) { id } } }", subject_of("mira"))
    member = team["data"]["me"]["careTeam"][0]["id"]
    end = "mutation($id: ID!) { endCare(id: $id) { member { active } } }"
    assert changing.ask(end, subject_of("mira"), id=member)["errors"] == []
    assert seconds_until(changing, lambda: denied(changing, RECORD, "lind")) < WITHIN_S
