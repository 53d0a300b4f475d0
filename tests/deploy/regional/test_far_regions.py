"""Two regions in processes of their own: each has its stores alone, and calls the other over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import uvicorn
from pydantic import SecretStr, ValidationError

from authz.classes import Role
from authz.identity.internal import HEADER_NAME, call_key, sign_call
from authz.identity.subject import ANONYMOUS
from deploy.keys import kept_secret
from deploy.regional.calls import REGION_UNAVAILABLE
from deploy.regions import Regions, regional_endpoint, regional_platform, transport_of
from deploy.settings import Region, Settings
from router.edge.serve import listen
from router.execution.transport import SubgraphRequest
from router.operation.model import OperationKind
from tests.kit_platform.process import ROOT, environment
from tests.kit_regions.across import CARE, work_across
from tests.kit_regions.people import Door, Person, arrive, become, ride, somebody, until
from tests.kit_regions.programs import registered
from tests.servers.programs import free_port

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
KEY = "a key that all regions hold, long enough"
ADDED = "subscription S($id: ID!) { activityAdded(athleteId: $id) { id name } }"
LOG_OUT = "mutation { logOut { ended } }"
REVOKED = {"word": "event", "topic": "session.revoked", "key": "k", "payload": {}}


@dataclass
class Two:
    """`eu` in a process of its own, `us` in this one; three people who work together across them."""

    regions: Regions
    doors: dict[str, Door]
    folders: dict[str, Path]
    far: asyncio.subprocess.Process
    athlete: Person
    coach: Person
    physician: Person


@asynccontextmanager
async def far_process(
    folder: Path, port: int, urls: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    given = {
        "REGIONS": json.dumps({"eu": {}, "us": {"url": urls["us"]}}),
        "HOME_REGION": "eu",
        "REGIONS_KEY": KEY,
        "DIRECTORY_URL": directory(folder.parent),
        "FILES_URL": f"{urls['eu']}/files",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", "deploy", "up", "--port", str(port), "--data", str(folder),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        env={**environment(), **{f"STADION_{name}": value for name, value in given.items()}},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert b"Stadion is up" in await process.stdout.readline()
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def directory(folder: Path) -> str:
    return f"sqlite:///{folder / 'directory.db'}"


@asynccontextmanager
async def served(regions: Regions, port: int) -> AsyncIterator[None]:
    """The endpoint of the region in this process."""
    listening = listen("127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(regional_endpoint(regions), log_config=None))
    serving = asyncio.create_task(server._serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    ports = {"eu": free_port(), "us": free_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    folders = {name: folder / name for name in ports}
    kept_secret(folders["us"] / "keys", "regions")  # the directory's key is the same for all
    shutil.copytree(folders["us"] / "keys", folders["eu"] / "keys")
    settings = Settings(
        data_folder=folders["us"],
        regions={"us": Region(), "eu": Region(url=urls["eu"])},
        home_region="us",
        regions_key=SecretStr(KEY),
        directory_url=SecretStr(directory(folder)),
        files_url=f"{urls['us']}/files",
    )
    async with (
        regional_platform(settings) as regions,
        served(regions, ports["us"]),
        far_process(folders["eu"], ports["eu"], urls) as far,
        httpx2.AsyncClient(base_url=urls["eu"], timeout=60) as eu,
        httpx2.AsyncClient(base_url=urls["us"], timeout=60) as us,
    ):
        doors = {"eu": Door(eu), "us": Door(us)}
        for home, away in (("eu", "us"), ("us", "eu")):
            await believed(regions, doors[home], doors[away])
        people = await work_across(regions, doors)
        yield Two(regions, doors, folders, far, *people)


async def believed(regions: Regions, home: Door, away: Door) -> None:
    """Wait until one process has read the other's keys: whichever started first found nobody there."""
    await arrive(regions, home, who := somebody("early"))

    async def is_let_in() -> bool:
        return bool(((await away.ask("{ me { id } }", who)).get("data") or {}).get("me"))

    await until(is_let_in)


def all_bytes(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_each_process_keeps_its_own_people_alone(two: Two) -> None:
    assert list(two.regions.platforms) == ["us"]
    found = {name: all_bytes(folder) for name, folder in two.folders.items()}
    for who, home, away in (
        (two.athlete, "eu", "us"),
        (two.coach, "us", "eu"),
        (two.physician, "us", "eu"),
    ):
        assert who.handle.encode() in found[home]  # the hunt can find something
        assert [word for word in who.secrets if word.encode() in found[away]] == []
    assert two.athlete.ride.encode() in found["eu"]
    assert two.athlete.id.encode() not in found["us"]


async def test_a_stream_comes_from_the_other_process(two: Two) -> None:
    request = SubgraphRequest(
        service="training", kind=OperationKind.SUBSCRIPTION, query=ADDED,
        variables={"id": two.athlete.id},
        subject=two.regions.platforms["us"].verifier.verify(two.coach.token),
    )  # fmt: skip
    stream = transport_of(two.regions).subscribe(request)
    waiting = asyncio.ensure_future(anext(stream))

    async def heard() -> bool:  # events count from the moment at which the stream has begun
        await ride(two.doors["eu"], two.athlete, "heard far away")
        await asyncio.wait([waiting], timeout=0.2)
        return waiting.done()

    await until(heard)
    event = await waiting
    assert event.data is not None
    assert event.data["activityAdded"]["name"] == "heard far away"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_program_of_this_process_s_region_acts_for_a_person_of_the_other(two: Two) -> None:
    us, eu = two.doors["us"], two.doors["eu"]
    await arrive(two.regions, us, ada := somebody("ada"))
    eye = await registered(two.regions.platforms["us"], us, ada)
    await eye.known(us, two.athlete)
    answer = await eye.exchange(us, await eye.code(us, two.athlete))
    assert answer.status_code == 200, answer.text
    bearer = replace(two.athlete, token=answer.json()["access_token"])
    for door in (us, eu):
        assert (await door.data("{ me { id } }", bearer))["me"]["id"] == two.athlete.id
    given = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    assert (await eye.post(us, "token", **given)).status_code == 200
    assert (await eye.post(us, "token", **given)).json()["error"] == "invalid_grant"
    assert (await eye.post(eu, "token", grant_type="client_credentials")).status_code == 200
    revoke = "mutation($id: ID!) { revokeApiClient(id: $id) { userErrors { code } } }"
    await us.data(revoke, ada, id=eye.id)

    async def refused() -> bool:
        return "errors" in await eu.ask("{ me { id } }", bearer)

    await until(refused)
    assert (await eye.post(eu, "token", **given)).status_code == 401


async def test_who_can_see_asks_the_other_process_for_roles(two: Two) -> None:
    query = '{ whoCanSee(coordinate: "Activity.name") { nodes { user { handle } rules } } }'
    nodes = (await two.doors["eu"].data(query, two.athlete))["whoCanSee"]["nodes"]
    found = {each["user"]["handle"]: each["rules"] for each in nodes if each["user"]}
    assert found[two.coach.handle] == ["training-coach"]


async def test_a_session_that_ends_in_one_process_is_refused_by_the_other(two: Two) -> None:
    me = "{ me { handle } }"
    assert (await two.doors["eu"].data(me, two.coach))["me"] == {"handle": two.coach.handle}
    assert (await two.doors["us"].data(LOG_OUT, two.coach))["logOut"]["ended"]

    async def refused() -> bool:
        return bool((await two.doors["eu"].ask(me, two.coach)).get("errors"))

    await until(refused)
    await become(two.regions.platforms["us"], two.doors["us"], two.coach, Role.TRAINER)


@pytest.mark.parametrize(
    ("path", "signed_for"),
    [
        ("/regional/eu/words", None),
        ("/regional/eu/words", "eu/accounts"),
        ("/regional/eu/words", "us/words"),
        ("/regional/eu/accounts/graphql", None),
        ("/regional/eu/accounts/graphql", "accounts"),
        ("/regional/eu/accounts/graphql", "us/accounts"),
        ("/regional/eu/accounts/graphql", "eu/medical"),
    ],
)
async def test_a_call_that_is_not_signed_for_just_this_is_refused(
    two: Two, path: str, signed_for: str | None
) -> None:
    body = json.dumps({"word": "person", "user_id": two.athlete.id, "query": "{ __typename }"}).encode()
    headers = {"content-type": "application/json"}
    if signed_for is not None:
        headers[HEADER_NAME] = signed(body, signed_for)
    answer = await two.doors["eu"].http.post(path, content=body, headers=headers)
    assert answer.status_code == 403
    assert two.athlete.id not in answer.text


def signed(body: bytes, audience: str) -> str:
    digest = hashlib.sha256(body).hexdigest()
    return sign_call(ANONYMOUS, audience, digest, call_key(KEY.encode()), datetime.now(UTC))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ({**REVOKED, "at_utc": "2026-01-01T00:00:00Z"}, 400),
        ({"word": "fact", "payload": {"relation": "owner"}}, 400),
        ({"word": "unheard"}, 400),
        ({"word": "person", "user_id": "nobody"}, 200),
    ],
    ids=["an event that is not another's to tell", "half a fact", "an unknown word", "a question"],
)
async def test_words_are_taken_one_by_one(two: Two, word: dict[str, Any], status: int) -> None:
    body = json.dumps(word).encode()
    headers, http = {HEADER_NAME: signed(body, "eu/words")}, two.doors["eu"].http
    answer = await http.post("/regional/eu/words", content=body, headers=headers)
    assert answer.status_code == status
    again = await http.post("/regional/eu/words", content=body, headers=headers)
    assert again.status_code == 403  # a signature is good for once


async def test_who_is_erased_in_one_process_is_gone_from_the_other(two: Two) -> None:
    erase = """mutation E($input: EraseAccountInput!) {
      eraseAccount(input: $input) { erased userErrors { code } } }"""
    given = {"password": two.coach.password}
    assert (await two.doors["us"].data(erase, two.coach, input=given))["eraseAccount"]["erased"]

    async def gone() -> bool:
        return not (await two.doors["eu"].data("{ me { coaches { id } } }", two.athlete))["me"]["coaches"]

    await until(gone)


async def test_a_region_whose_process_is_gone_takes_only_its_own_places_along(two: Two) -> None:
    os.kill(two.far.pid, signal.SIGKILL)
    await two.far.wait()
    answer = await two.doors["us"].ask(CARE, two.physician, id=two.athlete.id)
    assert answer["data"]["me"] == {"handle": two.physician.handle}
    assert answer["data"]["user"] is None
    found = {(tuple(e["path"]), e["extensions"]["code"]) for e in answer["errors"]}
    assert found == {(("patientsInMyCare",), REGION_UNAVAILABLE), (("user",), REGION_UNAVAILABLE)}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "ftp://us"}, "starts with http"),
        ({"url": "https://us", "vault_url": "postgresql://h/d"}, "leave out `vault_url`"),
        ({"url": "https://us", "key_file": "key.pem"}, "a certificate needs its key"),
    ],
)
async def test_a_far_region_that_cannot_be_meant_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Region(**given)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"home_region": "us"}, "`us` runs elsewhere"),
        ({"region": "us"}, "`us` runs elsewhere"),
        ({"regions_key": None}, "need `regions_key` and `directory_url`"),
        ({"files_url": "/files"}, "absolute `files_url`"),
        ({"regions_key": SecretStr("short")}, "32 bytes or more"),
    ],
)
async def test_what_far_regions_need_is_said(change: dict[str, Any], told: str) -> None:
    whole: dict[str, Any] = {
        "regions": {"eu": Region(), "us": Region(url="https://us")},
        "home_region": "eu",
        "regions_key": SecretStr(KEY),
        "directory_url": SecretStr("postgresql://h/d"),
        "files_url": "https://eu/files",
    }
    Settings(**whole)
    with pytest.raises(ValidationError, match=told):
        Settings(**{**whole, **change})
