"""`stadion up --workers`: several processes over stores on servers, as their clients see them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from deploy.settings import Region, Settings
from deploy.up_workers import embedded_stores
from tests.kit_datastores.fresh import new_databases
from tests.kit_edge.load import Load
from tests.kit_platform.process import environment, run_stadion
from tests.servers.absent import absent
from tests.servers.programs import ServerAbsent
from tests.servers.redis import running_redis

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="connections are spread by the kernel on Linux alone"),
]
CONNECTIONS = 24
WITHIN_S = 2.0
REGISTER = """mutation($input: RegisterInput!) { register(input: $input) { userErrors { code } } }"""
LOG_IN = """mutation($input: LogInInput!) { logIn(input: $input) { accessToken userErrors { code } } }"""
CREATE = """mutation($input: CreateActivityInput!) {
  createActivity(input: $input) { activity { id } userErrors { code } } }"""
ME = "{ me { id } }"


@dataclass
class Several:
    """A platform of two workers."""

    process: asyncio.subprocess.Process
    address: str
    folder: Path

    @property
    def graphql(self) -> str:
        return f"{self.address}/graphql"

    def workers(self) -> set[str]:
        """The ids of the processes that serve."""
        pid = self.process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def connected(self, worker: str) -> int:
        """How many clients' connections a worker holds."""
        port = f":{int(self.address.rpartition(':')[2]):04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {line[9] for line in lines if line[1].endswith(port) and line[3] == "01"}
        held = set()
        for entry in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(OSError):
                held.add(entry.readlink().name.removeprefix("socket:[").removesuffix("]"))
        return len(inodes & held)

    async def said(self, text: str) -> None:
        """Wait for a line of the log."""
        assert self.process.stderr is not None
        while text not in (line := (await self.process.stderr.readline()).decode()):
            assert line, "the log has ended"


@pytest.fixture(scope="module")
def stores(postgresql_url: str) -> Iterator[dict[str, str]]:
    """Two databases and a Redis of this module's own, as the environment names them."""
    try:
        with new_databases(postgresql_url, count=2) as (rows, vault), running_redis() as redis:
            names = {"RELATIONAL_URL": rows, "VAULT_URL": vault, "EVENTS_URL": redis.url}
            yield {f"STADION_{name}": url for name, url in names.items()}
    except ServerAbsent as why:
        absent(why)


@asynccontextmanager
async def started(stores: dict[str, str], folder: Path) -> AsyncIterator[Several]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", "deploy", "up", "--workers", "2", "--no-demo", "--port", "0",
        "--data", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**environment(), **stores, "STADION_LOG_LEVEL": "info"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert "Stadion is up" in line, (await process.stderr.read()).decode()
        yield Several(process, line.split()[-1].removesuffix("/graphql"), folder)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def several(stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Several]:
    async with started(stores, tmp_path_factory.mktemp("several") / "data") as running:
        yield running
        left = running.workers()
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.process.wait(), 60) == 0
        assert not any(Path(f"/proc/{one}/exe").exists() for one in left)


@dataclass
class Client:
    """One kept connection of a person."""

    http: aiohttp.ClientSession
    url: str
    token: str = ""

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        body = {"query": query, "variables": variables}
        async with self.http.post(self.url, json=body, headers=headers) as answer:
            found: dict[str, Any] = await answer.json()
            return found


@asynccontextmanager
async def clients(it: Several, token: str = "", count: int = CONNECTIONS) -> AsyncIterator[list[Client]]:
    """So many connections, of which each worker has some."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
            found.append(Client(await stack.enter_async_context(session), it.graphql, token))
        yield found


async def new_token(it: Several) -> str:
    """A new person's."""
    handle, password = f"p{secrets.token_hex(6)}", secrets.token_urlsafe(18)
    async with clients(it, count=1) as [client]:
        given = {"handle": handle, "email": f"{handle}@example.org", "password": password}
        registered = await client.ask(REGISTER, input=given)
        assert registered["data"]["register"]["userErrors"] == []
        logged = (await client.ask(LOG_IN, input={"login": handle, "password": password}))["data"]["logIn"]
        return str(logged["accessToken"])


def is_let_in(answer: dict[str, Any]) -> bool:
    return bool((answer.get("data") or {}).get("me"))


async def test_a_session_that_ends_at_one_worker_is_refused_by_all_in_two_seconds(several: Several) -> None:
    token = await new_token(several)
    async with clients(several, token) as connections:
        began = time.monotonic()
        first = await asyncio.gather(*(each.ask(ME) for each in connections))
        allowed_s = WITHIN_S + 5 * (time.monotonic() - began)  # on a machine that is busy
        assert all(map(is_let_in, first))
        assert all(several.connected(worker) > 0 for worker in several.workers())
        ended = await connections[0].ask("mutation { logOut { ended } }")
        assert ended["data"]["logOut"]["ended"]
        began = time.monotonic()
        while any([is_let_in(await each.ask(ME)) for each in connections]):
            assert time.monotonic() - began < 30, "it never took effect"
            await asyncio.sleep(0.02)
        assert time.monotonic() - began < allowed_s


async def test_streams_of_every_worker_tell_what_happens_at_one(several: Several) -> None:
    token = await new_token(several)
    given = {"sport": "RUNNING", "startedAt": "2025-10-21T06:00:00Z", "elapsedS": 60}

    async def first_event(client: Client, opened: asyncio.Event) -> str:
        headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        body = {"query": "subscription { activityAdded { id } }"}
        async with client.http.post(client.url, json=body, headers=headers) as response:
            opened.set()
            async for line in response.content:
                if line.startswith(b"data:") and len(line) > 8:
                    return str(json.loads(line[5:])["data"]["activityAdded"]["id"])
        return "nothing"

    async with clients(several, token) as streams, clients(several, token, count=1) as [client]:
        opened = [asyncio.Event() for _ in streams]
        told = [asyncio.create_task(first_event(*each)) for each in zip(streams, opened, strict=True)]
        await asyncio.gather(*(each.wait() for each in opened))
        while not all(each.done() for each in told):  # a stream may begin to hear after it was opened
            created = await client.ask(CREATE, input=given)
            assert created["data"]["createActivity"]["userErrors"] == []
            await asyncio.wait(told, timeout=0.5)
        assert "nothing" not in [each.result() for each in told]


async def test_workers_that_restart_one_by_one_cost_no_request_and_keep_everybody_logged_in(
    several: Several,
) -> None:
    token, first = await new_token(several), several.workers()
    assert len(first) == 2
    ask = lambda _: ME  # noqa: E731
    fresh = Load(several.graphql, keep=False, query=ask, token=token)
    kept = Load(several.graphql, query=ask, token=token)
    async with fresh.running(3), kept.running(2):
        await fresh.until(10)
        os.kill(several.process.pid, signal.SIGHUP)
        await several.said("all workers were restarted")
        while first & several.workers():
            await asyncio.sleep(0.02)
        await fresh.until(10)
        await kept.until(10)
    assert fresh.failures == kept.failures == []
    assert {each["id"] for each in [*fresh.answers, *kept.answers]} != {None}
    assert len({each["id"] for each in [*fresh.answers, *kept.answers]}) == 1


async def test_a_second_platform_is_kept_out_of_the_folder(several: Several) -> None:
    outcome = await asyncio.to_thread(run_stadion, "up", "--port", "0", "--data", str(several.folder))
    assert (outcome.returncode, "is in use by process" in outcome.stderr) == (1, True)


async def test_embedded_stores_are_refused_and_it_is_said_what_to_set(tmp_path: Path) -> None:
    words = ("up", "--workers", "2", "--port", "0", "--data", str(tmp_path / "data"))
    outcome = await asyncio.to_thread(run_stadion, *words)
    assert outcome.returncode == 1
    [line] = outcome.stderr.splitlines()
    assert line.startswith("stadion: `--workers 2` needs stores on servers")
    for name in ("STADION_RELATIONAL_URL", "STADION_VAULT_URL", "STADION_EVENTS_URL"):
        assert f"`{name}`" in line
    assert not (tmp_path / "data").exists()


async def test_each_embedded_store_is_named_also_of_a_region() -> None:
    server, redis = SecretStr("postgresql+asyncpg://a:b@c/d"), SecretStr("redis://c/0")
    whole: dict[str, Any] = {"relational_url": server, "vault_url": server, "events_url": redis}
    assert embedded_stores(Settings(**whole)) == {}
    partly = Settings(
        **{**whole, "vault_url": SecretStr("sqlite:///v"), "graph_url": SecretStr("sqlite:///g")}
    )
    assert list(embedded_stores(partly)) == ["STADION_VAULT_URL", "STADION_GRAPH_URL"]
    other = {name: SecretStr(f"{url.get_secret_value()}2") for name, url in whole.items()}
    regions = {"eu": Region(**whole), "us": Region(**{**other, "events_url": None})}
    found = embedded_stores(Settings(regions=regions, home_region="eu"))
    assert list(found) == ["STADION_DIRECTORY_URL", "events_url of region us"]
