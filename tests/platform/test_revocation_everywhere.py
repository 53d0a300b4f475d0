"""A session, a role, a coach link, a consent, care, a program, leave given to one: each taken away reaches
tokens, kept answers and open streams in two seconds, at the platform's own router and at one in a process of
its own that keeps answers."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx2
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette

from authz.identity.internal import call_key
from authz.identity.kept_revocations import KeptRevocations
from authz.identity.revocation import RevokedSessions
from deploy.endpoint import endpoint, jwks_route, published_supergraph
from deploy.revocations import revocations_route
from deploy.settings import Settings
from deploy.transports import internal_secret
from router.edge.serve import listen
from subgraphs.accounts.oauth import answering
from subgraphs.accounts.oauth.calls import OAuthCall
from tests.edge.test_router_command import started
from tests.kit_platform.client import log_in
from tests.kit_subgraphs.programs import CALLBACK, CHALLENGE, VERIFIER
from tests.platform.conftest import Seeded, seeded_in_thread, subject_of

pytestmark = pytest.mark.timeout(180)
WITHIN_S = 2.0
SECRET = "a key that both of them hold, long enough"
CONFIG = "subgraphs: {all: {cache: {enabled: true, ttl_s_default: 300}}}\n"
LOAD = 'load(range: {from: "2025-10-20", to: "2025-10-21"}) { day }'
RECORD = "medicalRecord(purpose: TREAT) { conditions { totalCount } }"


@dataclass(frozen=True)
class Right:
    """Something that lets `holder` see a part of the athlete, and how it is taken and given back.

    `ends`: whether its end ends the holder's streams too. `part` is what is seen, `seen` of an event's data.
    `enter` gives a token where nobody logs in.
    """

    name: str
    holder: str
    part: str
    take: Callable[[Seeded, str], None]
    give: Callable[[Seeded], None]
    ends: bool = False
    event: str = "id"
    seen: Callable[[dict[str, Any]], bool] = bool
    enter: Callable[[Seeded], str] | None = None


def do(seeded: Seeded, handle: str, query: str, **given: Any) -> dict[str, Any]:
    answer = seeded.ask(query, subject_of(handle), **given)
    assert answer["errors"] == [] and "userErrors': [{" not in str(answer["data"]), answer
    data: dict[str, Any] = answer["data"]
    return data


def no_session(seeded: Seeded, token: str) -> None:
    subject = seeded.platform.verifier.verify(token)
    assert seeded.ask("mutation { logOut { ended userErrors { code } } }", subject)["errors"] == []


def no_role(seeded: Seeded, _token: str) -> None:
    roles = do(seeded, "ada", '{ user(id: "demo-coach") { roles { id role } } }')["user"]["roles"]
    trainer = next(each["id"] for each in roles if each["role"] == "TRAINER")
    do(seeded, "ada", "mutation($id: ID!) { revokeRole(id: $id) { userErrors { code } } }", id=trainer)


def a_role(seeded: Seeded) -> None:
    given = {"userId": "demo-coach", "role": "TRAINER"}
    do(
        seeded,
        "ada",
        "mutation($i: GrantRoleInput!) { grantRole(input: $i) { userErrors { code } } }",
        i=given,
    )


def link(change: str) -> Callable[..., None]:
    return lambda seeded, *_: do(
        seeded, "mira", f'mutation {{ {change}(id: "demo-coach-link") {{ userErrors {{ code }} }} }}'
    )


def a_denial(seeded: Seeded, _token: str) -> None:
    given = {"decision": "DENY", "dataClass": "CLINICAL", "actorId": "demo-physician"}
    do(
        seeded,
        "mira",
        "mutation($i: GrantConsentInput!) { grantConsent(input: $i) { consent { id } } }",
        i=given,
    )


def no_denial(seeded: Seeded) -> None:
    query = "{ me { consents(purpose: PATRQT) { id active } } }"
    for each in do(seeded, "mira", query)["me"]["consents"]:
        if each["active"]:
            do(
                seeded,
                "mira",
                "mutation($id: ID!) { revokeConsent(id: $id) { consent { id } } }",
                id=each["id"],
            )


def no_care(seeded: Seeded, _token: str) -> None:
    for each in do(seeded, "mira", "{ me { careTeam(purpose: PATRQT) { id active } } }")["me"]["careTeam"]:
        if each["active"]:
            do(seeded, "mira", "mutation($id: ID!) { endCare(id: $id) { member { id } } }", id=each["id"])


def care(seeded: Seeded) -> None:
    given = {"userId": "demo-athlete", "practitionerId": "demo-physician", "purpose": "PATRQT"}
    query = "mutation($i: AddToCareTeamInput!) { addToCareTeam(input: $i) { userErrors { code } } }"
    do(seeded, "mira", query, i=given)


def program_of_mira(seeded: Seeded) -> str:
    """A token of a new program that she lets see her training."""
    wanted = {
        "name": "Eye", "kind": "PARTNER", "scopes": ["activity:read"], "redirectUris": [CALLBACK],
        "documents": "ANY", "authentication": "NONE",
    }  # fmt: skip
    register = "mutation($i: RegisterApiClientInput!) { registerApiClient(input: $i) { client { id } } }"
    client_id = do(seeded, "ada", register, i=wanted)["registerApiClient"]["client"]["id"]
    asked = {"clientId": client_id, "redirectUri": CALLBACK, "codeChallenge": CHALLENGE}
    agree = """mutation($i: AuthorizationRequestInput!) {
      authorizeClient(input: $i, approvedScopes: ["activity:read"]) { redirectTo } }"""
    target = do(seeded, "mira", agree, i=asked)["authorizeClient"]["redirectTo"]
    given = {
        "grant_type": "authorization_code", "code": parse_qs(urlsplit(target).query)["code"][0],
        "client_id": client_id, "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
    }  # fmt: skip
    call = OAuthCall("POST", "https://stadion.local/oauth/token", tuple(given.items()))
    answer = seeded.run(answering.token(seeded.platform.accounts, call))
    assert answer.status == 200, answer
    return str(answer.content["access_token"])


def no_program(seeded: Seeded, token: str) -> None:
    client_id = seeded.platform.verifier.verify(token).client_id
    query = "mutation($id: ID!) { revokeApiClient(id: $id) { userErrors { code } } }"
    do(seeded, "ada", query, id=client_id)


def no_leave(seeded: Seeded, token: str) -> None:
    authorization_id = seeded.platform.verifier.verify(token).session_id
    query = "mutation($id: ID!) { withdrawAuthorization(id: $id) { withdrawn userErrors { code } } }"
    do(seeded, "mira", query, id=authorization_id)


def record_shown(event: dict[str, Any]) -> bool:
    return event["athlete"]["medicalRecord"] is not None


RIGHTS = {
    each.name: each
    for each in (
        Right("session", "tomas", LOAD, no_session, lambda seeded: None, ends=True),
        Right("role", "tomas", LOAD, no_role, a_role, ends=True),
        Right("coach link", "tomas", LOAD, link("pauseCoachLink"), link("resumeCoachLink")),
        Right(
            "consent", "lind", RECORD, a_denial, no_denial,
            event=f"id athlete {{ {RECORD} }}", seen=record_shown,
        ),
        Right("care", "lind", RECORD, no_care, care),
        Right(
            "program", "program", LOAD, no_program, lambda seeded: None, ends=True, enter=program_of_mira
        ),
        Right(
            "leave", "program", LOAD, no_leave, lambda seeded: None, ends=True, enter=program_of_mira
        ),
    )
}  # fmt: skip
ROUTERS = ("own", "separate")
CELLS = ("token", "kept answer", "SSE stream", "WebSocket stream")


@dataclass
class Found:
    """What became of one right at one router: seconds until each cell knew, and what streams were told."""

    seconds: dict[str, float] = field(default_factory=dict)
    streams: dict[str, list[Any]] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    allowed_s: float = WITHIN_S


@dataclass
class Edge:
    """One router as clients reach it."""

    url: str
    token: str
    http: aiohttp.ClientSession

    async def ask(self, query: str) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.token}"}
        async with self.http.post(self.url, json={"query": query}, headers=headers) as response:
            found: dict[str, Any] = await response.json()
            return found

    async def refused(self, query: str) -> bool:
        return bool((await self.ask(query)).get("errors"))

    async def until_refused(self, query: str) -> float:
        began = time.monotonic()
        while not await self.refused(query):
            assert time.monotonic() - began < 30, "it never took effect"
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def sse(self, query: str, told: list[Any], opened: asyncio.Event) -> None:
        """Every event of a stream into `told`, up to its end."""
        headers = {"authorization": f"Bearer {self.token}", "accept": "text/event-stream"}
        async with self.http.post(self.url, json={"query": query}, headers=headers) as response:
            assert response.status == 200
            opened.set()
            async for line in response.content:
                if line.startswith(b"data:") and len(line) > 8:
                    told.append(json.loads(line[5:]))  # noqa: PERF401 - it counts as soon as it is there

    async def websocket(self, query: str, told: list[Any], opened: asyncio.Event) -> None:
        headers = {"authorization": f"Bearer {self.token}"}
        url = self.url.replace("http", "ws", 1)
        async with self.http.ws_connect(url, protocols=("graphql-transport-ws",), headers=headers) as socket:
            await socket.send_json(
                {"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}}
            )
            assert (await socket.receive_json())["type"] == "connection_ack"
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
            opened.set()
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                content = json.loads(message.data)
                if content["type"] == "complete":
                    return
                told.append(content.get("payload"))
            told.append({"closed": socket.close_code})


def new_activity(seeded: Seeded, minute: int) -> str:
    given = {"sport": "RUNNING", "startedAt": f"2025-10-21T06:{minute:02}:00Z", "elapsedS": 60}
    query = "mutation($i: CreateActivityInput!) { createActivity(input: $i) { activity { id } } }"
    made = do(seeded, "mira", query, i=given)
    return str(made["createActivity"]["activity"]["id"])


@dataclass
class Place:
    """The platform with both routers before it."""

    seeded: Seeded
    urls: dict[str, str]
    minutes: Iterator[int] = field(default_factory=lambda: iter(range(60)))
    found: dict[tuple[str, str], Found] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    async def of(self, right: Right, router: str) -> Found:
        if (right.name, router) not in self.found:
            self.found[right.name, router] = await self.run(right, router)
        return self.found[right.name, router]

    async def run(self, right: Right, router: str) -> Found:
        # One log-in for several rights: a code of a second factor is good for once.
        token = self.tokens.pop(right.holder, None)
        if right.enter is not None:
            token = await asyncio.to_thread(right.enter, self.seeded)
        elif token is None:
            token = (await asyncio.to_thread(log_in, self.urls["own"], right.holder)).token or ""
        if not right.ends:
            self.tokens[right.holder] = token
        async with aiohttp.ClientSession() as http:
            return await self._run(right, Edge(self.urls[router], token, http))

    async def _run(self, right: Right, edge: Edge) -> Found:
        found = Found()
        fresh = f'{{ user(id: "demo-athlete") {{ id {right.part} }} }}'
        kept = f'{{ user(id: "demo-athlete") {{ kept: id {right.part} }} }}'
        for _ in range(3):
            began = time.monotonic()
            answer = await edge.ask(kept)
            found.allowed_s = WITHIN_S + 5 * (time.monotonic() - began)  # on a machine that is busy
            assert not answer.get("errors"), answer
        subscription = f'subscription {{ activityAdded(athleteId: "demo-athlete") {{ {right.event} }} }}'
        found.streams = {"SSE stream": [], "WebSocket stream": []}
        ways = {"SSE stream": edge.sse, "WebSocket stream": edge.websocket}
        opened = {name: asyncio.Event() for name in ways}
        tasks = {
            name: asyncio.create_task(way(subscription, found.streams[name], opened[name]))
            for name, way in ways.items()
        }
        for name, task in tasks.items():
            waiting = asyncio.ensure_future(opened[name].wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            assert waiting.done(), task
        first = await self._arrived(right, found)
        await asyncio.to_thread(right.take, self.seeded, edge.token)
        began = time.monotonic()

        async def ended(name: str) -> None:
            await asyncio.wait({tasks[name]}, timeout=30)
            found.seconds[name] = time.monotonic() - began

        timing = [asyncio.create_task(ended(name)) for name in tasks] if right.ends else []
        found.seconds["kept answer"] = await edge.until_refused(kept)
        found.seconds["token"] = await edge.until_refused(fresh)
        await asyncio.gather(*timing)
        if not right.ends:
            found.before = await asyncio.to_thread(new_activity, self.seeded, next(self.minutes))
        await asyncio.to_thread(right.give, self.seeded)
        if not right.ends:
            await self._arrived(right, found, but=first)
            for task in tasks.values():
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return found

    async def _arrived(self, right: Right, found: Found, *, but: str = "") -> str:
        """Activities are added until one is seen whole on every stream: what came before it was before."""
        began = time.monotonic()
        added = set()
        while time.monotonic() - began < 60:
            added.add(await asyncio.to_thread(new_activity, self.seeded, next(self.minutes)))
            for _ in range(50):
                for each in added - {but}:
                    if all(shown(right, told, each) for told in found.streams.values()):
                        found.after = each
                        return each
                await asyncio.sleep(0.02)
        raise AssertionError(f"no event came through: {found.streams}")


def shown(right: Right, told: list[Any], activity: str) -> bool:
    """Whether a stream has shown this activity with what the right opens."""
    events = [(each or {}).get("data") or {} for each in told if isinstance(each, dict)]
    added = [event.get("activityAdded") or {} for event in events]
    return any(each.get("id") == activity and right.seen(each) for each in added)


@contextmanager
def served(seeded: Seeded, app: Any) -> Iterator[str]:
    """An app on a port, in the platform's own loop."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.run_coroutine_threadsafe(server._serve([listening]), seeded.loop)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        serving.result(30)


@pytest.fixture(scope="module")
def seeded_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    folder = tmp_path_factory.mktemp("revoking")
    with seeded_in_thread(folder, Settings(data_folder=folder, internal_key=SecretStr(SECRET))) as running:
        yield running


@asynccontextmanager
async def separate_router(seeded: Seeded, folder: Path, accounts: str) -> AsyncIterator[str]:
    """`stadion router` in a process of its own, before the subgraphs' ports, keeping answers."""
    text = published_supergraph()
    for name, url in seeded.urls.items():
        text, count = re.subn(rf'(name: "{name}", url: ")[^"]*', rf"\g<1>{url}", text)
        assert count == 1
    (folder / "supergraph.graphql").write_text(text)
    (folder / "router.yaml").write_text(CONFIG)
    options = ("--jwks", f"{accounts}/.well-known/jwks.json", "--revocations", accounts)
    config = ("--config", str(folder / "router.yaml"))
    async with started(folder / "supergraph.graphql", *options, *config) as (_, url):
        yield url


@pytest.fixture(scope="module")
def place(seeded_with_key: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    seeded, monkeypatch = seeded_with_key, pytest.MonkeyPatch()
    monkeypatch.setenv("STADION_INTERNAL_KEY", SECRET)
    kept = KeptRevocations(seeded.platform.stores.facts_rows, RevokedSessions())
    routes = [
        jwks_route(seeded.platform),
        revocations_route(kept, call_key(internal_secret(seeded.platform))),
    ]
    loop = asyncio.new_event_loop()
    with (
        served(seeded, Starlette(routes=routes)) as accounts,
        served(seeded, endpoint(seeded.platform)) as own,
    ):
        router = separate_router(seeded, tmp_path_factory.mktemp("router"), accounts)
        try:
            separate = loop.run_until_complete(router.__aenter__())
            assert httpx2.get(separate.replace("/graphql", "/health/ready"), timeout=30).status_code == 200
            yield Place(seeded, {"own": f"{own}/graphql", "separate": separate})
        finally:
            loop.run_until_complete(router.__aexit__(None, None, None))
            loop.close()
            monkeypatch.undo()


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("right", list(RIGHTS))
async def test_what_is_taken_away_is_gone_in_two_seconds(
    place: Place, right: str, cell: str, router: str
) -> None:
    taken = RIGHTS[right]
    found = await place.of(taken, router)
    if "stream" not in cell or taken.ends:
        assert found.seconds[cell] < found.allowed_s, found.seconds
    if "stream" in cell:
        told = found.streams[cell]
        if taken.ends:
            assert "SUBSCRIPTION_EXPIRED" in json.dumps(told) or {"closed": 4401} in told, told
        else:
            assert shown(taken, told, found.after)
            assert not shown(taken, told, found.before), "an event after the end was shown"


async def test_a_role_that_was_taken_away_is_in_the_log_with_who_took_it(place: Place) -> None:
    await place.of(RIGHTS["role"], "own")
    log = """{ auditLog(filter: {targetId: "demo-coach", action: "write"}) {
      nodes { actor { id } fields outcome rule } } }"""
    done = {"fields": ["Mutation.revokeRole"], "outcome": "changed", "rule": "administrator"}
    began = time.monotonic()
    while {"actor": {"id": "demo-administrator"}, **done} not in (
        nodes := do(place.seeded, "ada", log)["auditLog"]["nodes"]
    ):
        assert time.monotonic() - began < 30, nodes


async def test_a_coach_link_that_ends_for_good_is_gone_as_soon(place: Place) -> None:
    right = RIGHTS["coach link"]
    await place.of(right, "own")
    link("endCoachLink")(place.seeded)
    token = place.tokens[right.holder]
    async with aiohttp.ClientSession() as http:
        edge = Edge(place.urls["own"], token, http)
        assert await edge.until_refused(f'{{ user(id: "demo-athlete") {{ {right.part} }} }}') < 10
