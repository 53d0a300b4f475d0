"""Links to original files on a running platform: who gets one, how long it is good, and what ends it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from authz.classes import DataClass, Role
from authz.identity.kept_revocations import KeptRevocations
from authz.identity.revocation import RevokedSessions
from authz.identity.subject import Subject
from authz.question import Question
from datastores.blobs.files import FileBlobs
from datastores.blobs.s3 import S3Blobs
from deploy.assemble import platform
from deploy.endpoint import endpoint
from deploy.file_links import UNASKED_VALID_S, VALID_S, FileLinks, Grant, file_links, file_routes
from deploy.regions import Regions, regional_platform
from deploy.settings import Region, Settings
from subgraphs.training.ports import OriginalFile
from tests.kit_regions.people import (
    FIT,
    Door,
    Person,
    arrive,
    become,
    coach,
    doors_of,
    ride,
    somebody,
    until,
)

CONTENT = FIT.read_bytes()
ORIGINAL = """query O($id: ID!) { activity(id: $id) { originalFile {
  name format sizeBytes sha256 downloadUrl validUntil } } }"""


@pytest.fixture
async def regions(tmp_path: Path) -> AsyncIterator[Regions]:
    """Two regions: links of one are good at the door of both."""
    settings = Settings(
        data_folder=tmp_path / "data", regions={"eu": Region(), "us": Region()}, home_region="eu"
    )
    async with regional_platform(settings) as running:
        yield running


async def original(door: Door, who: Person, activity_id: str) -> dict[str, Any]:
    found = (await door.data(ORIGINAL, who, id=activity_id))["activity"]["originalFile"]
    assert isinstance(found, dict)
    return found


async def test_an_original_is_read_by_a_link_until_the_right_to_it_ends(regions: Regions) -> None:
    mira, tomas = somebody("mira"), somebody("tomas")
    async with doors_of(regions) as doors:
        await arrive(regions, doors["eu"], mira)
        await arrive(regions, doors["us"], tomas)
        await become(regions.platforms["us"], doors["us"], tomas, Role.TRAINER)
        uploaded = (await doors["eu"].upload(mira, FIT))["data"]["uploadActivityFile"]
        activity_id = uploaded["activities"][0]["id"]
        own = await original(doors["eu"], mira, activity_id)
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        assert (own["name"], own["format"]) == (FIT.name, "FIT")
        assert (own["sizeBytes"], own["sha256"]) == (len(CONTENT), sha256)
        left = datetime.fromisoformat(own["validUntil"]) - datetime.now(UTC)
        assert timedelta(seconds=VALID_S - 60) < left <= timedelta(seconds=VALID_S)
        for door in doors.values():
            whole = await door.http.get(own["downloadUrl"])
            assert (whole.status_code, whole.content) == (200, CONTENT)
            assert FIT.name in whole.headers["content-disposition"]
            assert whole.headers["etag"] == f'"{sha256}"'
            part = await door.http.get(own["downloadUrl"], headers={"range": "bytes=-14"})
            assert (part.status_code, part.content) == (206, CONTENT[-14:])
        assert not {word for word in (mira.id, mira.handle) if word in own["downloadUrl"]}

        by_hand = await ride(doors["eu"], mira, "by hand")
        answer = await doors["eu"].data(ORIGINAL, mira, id=by_hand)
        assert answer["activity"] == {"originalFile": None}

        # A coach of training alone does not see all that is in it; one of everything does, until the end.
        link_id = await coach(doors["us"], mira, tomas, ["TRAINING", "LOCATION"])

        async def seen() -> bool:
            return bool((await doors["us"].ask(ORIGINAL, tomas, id=activity_id))["data"]["activity"])

        await until(seen)
        shut = await original(doors["us"], tomas, activity_id)
        assert (shut["name"], shut["downloadUrl"], shut["validUntil"]) == (FIT.name, None, None)
        widen = """mutation W($id: ID!) { setCoachScopes(id: $id, scopes: [TRAINING, LOCATION, WELLNESS]) {
          userErrors { code } } }"""
        await doors["eu"].data(widen, mira, id=link_id)

        async def open_whole() -> str:
            answer = await doors["us"].ask(ORIGINAL, tomas, id=activity_id)
            return answer["data"]["activity"]["originalFile"]["downloadUrl"] or ""

        theirs = await until(open_whole)
        assert (await doors["us"].http.get(theirs)).content == CONTENT
        end = "mutation E($id: ID!) { endCoachLink(id: $id) { userErrors { code } } }"
        await doors["us"].data(end, tomas, id=link_id)

        async def ended() -> bool:
            return (await doors["us"].http.get(theirs)).status_code == 403

        await until(ended)
        assert (await doors["eu"].http.get(own["downloadUrl"])).status_code == 200

        # And her own link ends with the session that asked for it.
        await doors["eu"].data("mutation { logOut { ended } }", mira)

        async def logged_out() -> bool:
            return (await doors["eu"].http.get(own["downloadUrl"])).status_code == 403

        await until(logged_out)


PREPARE = """mutation P($input: PrepareUploadInput!) { prepareActivityUpload(input: $input) {
  place { id url headers { name value } validUntil } userErrors { code field } } }"""
IMPORT = """mutation I($input: ImportUploadInput!) { importUpload(input: $input) {
  activities { originalFile { sizeBytes sha256 } } alreadyImported userErrors { code field } } }"""


async def test_a_file_is_put_by_a_link_for_just_its_bytes_and_imported_then(regions: Regions) -> None:
    mira = somebody("mira")
    async with doors_of(regions) as doors:
        door = doors["eu"]
        await arrive(regions, door, mira)
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        given = {"sizeBytes": len(CONTENT), "sha256": sha256}
        for wrong, code in (({"sizeBytes": 0}, "BAD_SIZE"), ({"sha256": "X" * 64}, "BAD_HASH")):
            refused = (await door.data(PREPARE, mira, input=given | wrong))["prepareActivityUpload"]
            assert (refused["place"], [each["code"] for each in refused["userErrors"]]) == (None, [code])
        place = (await door.data(PREPARE, mira, input=given))["prepareActivityUpload"]["place"]
        taking = {"uploadId": place["id"], "sha256": sha256}
        early = (await door.data(IMPORT, mira, input=taking))["importUpload"]
        assert early["userErrors"] == [{"code": "NOT_FOUND", "field": "uploadId"}]
        assert (await door.http.put(place["url"], content=CONTENT[:-1])).status_code == 422
        assert (await door.http.put(place["url"], content=CONTENT)).status_code == 200
        taken = (await door.data(IMPORT, mira, input=taking))["importUpload"]
        assert (taken["userErrors"], taken["alreadyImported"]) == ([], False)
        assert [each["originalFile"] for each in taken["activities"]] == [given]
        again = (await door.data(IMPORT, mira, input=taking))["importUpload"]
        assert [each["code"] for each in again["userErrors"]] == ["NOT_FOUND"]

        # What is no activity is not kept.
        junk = b"no activity"
        told = {"sizeBytes": len(junk), "sha256": hashlib.sha256(junk).hexdigest()}
        place = (await door.data(PREPARE, mira, input=told))["prepareActivityUpload"]["place"]
        assert (await door.http.put(place["url"], content=junk)).status_code == 200
        taking = {"uploadId": place["id"], "sha256": told["sha256"]}
        refused = (await door.data(IMPORT, mira, input=taking))["importUpload"]
        assert (refused["activities"], len(refused["userErrors"])) == ([], 1)
        blobs = regions.platforms["eu"].stores.blobs
        assert [key.rpartition("/")[2] async for key in blobs.list_keys()] == [sha256]


def test_a_grant_is_sealed_and_opens_for_who_made_it_alone(tmp_path: Path) -> None:
    links = FileLinks(FileBlobs(tmp_path), b"k" * 32, base_url="/files")
    subject = Subject(
        "mira", frozenset({Role.ATHLETE}), "s1", 1, expires_at_utc=datetime(2026, 1, 1, tzinfo=UTC)
    )
    grant = Grant(subject, (Question("mira", DataClass.LOCATION),))
    sealed = links.sealed(grant)
    assert links.opened(sealed) == grant
    assert FileLinks(FileBlobs(tmp_path), b"l" * 32, base_url="/files").opened(sealed) is None
    for wrong in ("", "x", sealed[:-2], "A" + sealed[1:], "ø"):
        assert links.opened(wrong) is None


async def test_a_link_is_good_no_longer_than_the_token_of_who_asked(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    links = FileLinks(FileBlobs(tmp_path), b"k" * 32, base_url="https://files.example/x")
    subject = Subject("mira", expires_at_utc=now + timedelta(seconds=20))
    made = await links.link(subject, OriginalFile("a/b", "n", "00"), [], now=now)
    assert made.valid_until_utc == now + timedelta(seconds=20)
    assert made.url.startswith("https://files.example/x/a/b?")


async def test_on_s3_the_bucket_serves_for_a_minute(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    blobs = S3Blobs("s3+https://KEY:SECRET@s3.example/bucket")
    made = await FileLinks(blobs, b"k" * 32, base_url="/files").link(
        Subject("mira"), OriginalFile("a/b", "ride.fit", "00"), [], now=now
    )
    url = urlsplit(made.url)
    assert (url.netloc, url.path) == ("s3.example", "/bucket/kept/a/b")
    asked = parse_qs(url.query)
    assert asked["X-Amz-Expires"] == [str(UNASKED_VALID_S)]
    assert asked["response-content-disposition"] == ["attachment; filename*=UTF-8''ride.fit"]
    assert "mira" not in made.url


async def test_files_are_mounted_where_the_setting_says_and_refuse_strangers(regions: Regions) -> None:
    eu = regions.platforms["eu"]
    [mount] = file_routes(eu)
    assert mount.path == "/files/eu"  # type: ignore[attr-defined]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(mount), base_url="http://t") as http:
        for path in ("/files/eu/activities/a/b", "/files/eu/", "/files/eu/x?signature=1&until=9"):
            assert (await http.get(path)).status_code == 403


async def test_the_endpoint_of_one_platform_serves_files_until_any_process_ends_the_session(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC)
    mira = Subject("mira", frozenset({Role.ATHLETE}), "s1", 1, expires_at_utc=now + timedelta(minutes=5))
    async with platform(Settings(data_folder=tmp_path / "data")) as running:
        assert isinstance(running.stores.blobs, FileBlobs)
        await running.stores.blobs.put("a/b", chunks(b"0123456789"), size_bytes_max=10)
        app = endpoint(running)
        asked = [Question("mira", DataClass.LOCATION)]
        made = await file_links(running).link(mira, OriginalFile("a/b", "n", ""), asked, now=now)
        nobodys = [Question("somebody else", DataClass.LOCATION)]
        never = await file_links(running).link(mira, OriginalFile("a/b", "n", ""), nobodys, now=now)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as http:
            assert (await http.get(made.url)).content == b"0123456789"
            assert (await http.head(made.url)).headers["content-length"] == "10"
            assert (await http.put(made.url, content=b"mine")).status_code == 403
            assert (await http.get(never.url)).status_code == 403
            # As accounts' own process would write it down, of which this one hears nothing.
            elsewhere = KeptRevocations(running.stores.facts_rows, RevokedSessions())
            revoked = {"user_id": "mira", "session_id": "s1", "reason": "test"}
            await elsewhere.apply_event(revoked | {"revoked_at_utc": now.isoformat()})
            assert (await http.get(made.url)).status_code == 403


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
