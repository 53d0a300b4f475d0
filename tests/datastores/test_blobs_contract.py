"""What every blobs adapter promises."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import obstore
import pytest
from starlette.routing import Mount

from datastores.blobs.files import FileBlobs
from datastores.blobs.incoming import LOCK
from datastores.blobs.links import SignedLinks
from datastores.blobs.opening import open_blobs
from datastores.blobs.port import Blobs, Download
from datastores.blobs.s3 import S3Blobs, S3Limits
from datastores.blobs.serving import BlobLinks
from datastores.config import StoreUrlProblem
from datastores.errors import Conflict, NotFound, Unavailable

pytestmark = pytest.mark.port("blobs")


class Place:
    """One adapter with what a test needs beside the port: a way over HTTP, and a look at what is left."""

    def __init__(self, blobs: FileBlobs | S3Blobs, folder: Path, client: httpx2.AsyncClient) -> None:
        self.blobs = blobs
        self.http = client
        self._folder = folder

    async def leftovers(self) -> list[str]:
        """Everything but the blobs themselves."""
        if isinstance(self.blobs, S3Blobs):
            pages = [page async for page in obstore.list(self.blobs._store)]
            return [each["path"] for page in pages for each in page if not each["path"].startswith("kept/")]
        files = [path for path in self._folder.rglob("*") if path.is_file() and path.name != LOCK]
        return [path.name for path in files if "kept" not in path.parts]


@pytest.fixture(params=["files", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    blobs: FileBlobs | S3Blobs
    if request.param == "s3":
        blobs, client = S3Blobs(request.getfixturevalue("s3_url")), httpx2.AsyncClient()
    else:
        links = SignedLinks("http://stadion.test/blobs", os.urandom(32))
        blobs = FileBlobs(tmp_path / "blobs", links=links)
        transport = httpx2.ASGITransport(Mount("/blobs", BlobLinks(blobs, links)))
        client = httpx2.AsyncClient(transport=transport)
    await blobs.open()
    async with client:
        yield Place(blobs, tmp_path, client)
    async for key in blobs.list_keys():
        await blobs.delete(key)
    await blobs.close()


@pytest.fixture
def blobs(place: Place) -> Blobs:
    return place.blobs


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def content_of(blobs: Blobs, key: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.get(key)])


async def test_bytes_come_back_with_their_size_and_hash(blobs: Blobs) -> None:
    parts = [os.urandom(300_000), b"", os.urandom(1)]
    blob = await blobs.put("uploads/a-1/ride.fit", chunks(*parts), size_bytes_max=1_000_000)
    whole = b"".join(parts)
    assert (blob.size_bytes, blob.sha256) == (300_001, hashlib.sha256(whole).hexdigest())
    assert await content_of(blobs, "uploads/a-1/ride.fit") == whole


async def test_nothing_is_a_blob_too(blobs: Blobs) -> None:
    assert (await blobs.put("empty", chunks(), size_bytes_max=0)).size_bytes == 0
    assert await content_of(blobs, "empty") == b""


async def test_the_same_bytes_again_are_no_conflict_and_others_are(blobs: Blobs) -> None:
    first = await blobs.put("k", chunks(b"one"), size_bytes_max=9)
    assert await blobs.put("k", chunks(b"o", b"ne"), size_bytes_max=9) == first
    with pytest.raises(Conflict):
        await blobs.put("k", chunks(b"two"), size_bytes_max=9)
    assert await content_of(blobs, "k") == b"one"


async def test_of_many_that_write_one_key_at_once_one_wins_whole(blobs: Blobs) -> None:
    texts = [bytes([65 + n]) * 100_000 for n in range(8)]
    puts = (blobs.put("k", chunks(*(t[:50_000], t[50_000:])), size_bytes_max=200_000) for t in texts)
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 7
    assert await content_of(blobs, "k") in texts


async def test_past_the_limit_nothing_is_kept(place: Place) -> None:
    blobs = place.blobs
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        await blobs.put("k", chunks(b"x" * 6, b"x" * 5), size_bytes_max=10)
    with pytest.raises(NotFound):
        await content_of(blobs, "k")
    assert await place.leftovers() == []
    assert [key async for key in blobs.list_keys()] == []


@pytest.mark.parametrize("sent_bytes", [4, 9_000_000])
async def test_a_sender_that_breaks_off_leaves_nothing(place: Place, sent_bytes: int) -> None:
    blobs = place.blobs

    async def breaks() -> AsyncIterator[bytes]:
        yield bytes(sent_bytes)
        raise ConnectionResetError("gone")

    with pytest.raises(Exception, match=r"gone|cannot be read"):
        await blobs.put("k", breaks(), size_bytes_max=10_000_000)
    assert await place.leftovers() == []
    assert [key async for key in blobs.list_keys()] == []


async def test_a_deleted_blob_is_gone_and_deleting_again_is_nothing(blobs: Blobs) -> None:
    await blobs.put("a/b", chunks(b"x"), size_bytes_max=1)
    await blobs.delete("a/b")
    await blobs.delete("a/b")
    with pytest.raises(NotFound):
        await content_of(blobs, "a/b")


UNSAFE_KEYS = ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".", "a/.", "...", "ø", "a b", "a\\b"]


@pytest.mark.parametrize("key", [*UNSAFE_KEYS, "a\0b", "a\n", "x" * 129, "/".join(["x" * 100] * 6)])
async def test_a_key_that_is_no_plain_path_is_refused(blobs: Blobs, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        await blobs.put(key, chunks(b"x"), size_bytes_max=1)
    with pytest.raises(ValueError, match="key"):
        await content_of(blobs, key)
    with pytest.raises(ValueError, match="key"):
        await blobs.delete(key)


async def test_in_a_folder_a_blob_is_no_folder_and_a_folder_no_blob(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    await blobs.open()
    await blobs.put("a", chunks(b"x"), size_bytes_max=1)
    with pytest.raises(Conflict):
        await blobs.put("a/b", chunks(b"x"), size_bytes_max=1)
    await blobs.put("c/d", chunks(b"x"), size_bytes_max=1)
    with pytest.raises(Conflict):
        await blobs.put("c", chunks(b"x"), size_bytes_max=1)
    for absent in ("a/b", "c"):
        with pytest.raises(NotFound):
            await content_of(blobs, absent)


async def test_every_key_is_listed_and_a_deleted_one_no_longer(blobs: Blobs) -> None:
    assert [key async for key in blobs.list_keys()] == []
    for key in ("a", "b/c", "b/d/e", "gone"):
        await blobs.put(key, chunks(b"x"), size_bytes_max=1)
    await blobs.delete("gone")
    assert sorted([key async for key in blobs.list_keys()]) == ["a", "b/c", "b/d/e"]


BIG = 9_000_000  # more than one request takes


async def test_a_large_blob_goes_in_parts_and_is_as_atomic(place: Place) -> None:
    parts = [os.urandom(BIG // 9) for _ in range(9)]
    blob = await place.blobs.put("big", chunks(*parts), size_bytes_max=BIG)
    assert blob.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert await place.blobs.put("big", chunks(*parts), size_bytes_max=BIG) == blob
    with pytest.raises(Conflict):
        await place.blobs.put("big", chunks(*parts[1:], parts[0]), size_bytes_max=BIG)
    with pytest.raises(ValueError, match="larger"):
        await place.blobs.put("other", chunks(*parts, b"x"), size_bytes_max=BIG)
    received = [len(chunk) async for chunk in place.blobs.get("big")]
    assert (sum(received), len(received) > 5) == (BIG, True)
    assert await place.leftovers() == []


async def test_a_range_is_read_without_the_rest(blobs: Blobs) -> None:
    whole = os.urandom(600_000)
    await blobs.put("k", chunks(whole), size_bytes_max=600_000)
    for start, end in [(0, 10), (300_000, 599_999), (5, None), (0, 9_999_999), (600_000, None), (7, 7)]:
        found = b"".join([chunk async for chunk in blobs.get("k", start=start, end=end)])
        assert found == whole[start:end]
    with pytest.raises(ValueError, match="range"):
        await anext(blobs.get("k", start=5, end=4))
    with pytest.raises(NotFound):
        await anext(blobs.get("none", start=5))


async def test_a_link_reads_one_blob_and_nothing_else(place: Place) -> None:
    await place.blobs.put("a/b", chunks(b"0123456789"), size_bytes_max=10)
    await place.blobs.put("a/c", chunks(b"secret"), size_bytes_max=10)
    link = await place.blobs.download_link("a/b", valid_s=60)
    answer = await place.http.get(link)
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    part = await place.http.get(link, headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    # moto answers whatever is asked, signed or not; a server that is named is a real one.
    if isinstance(place.blobs, FileBlobs) or "STADION_TEST_S3_URL" in os.environ:
        changed = link[:-1] + ("0" if link[-1] != "0" else "1")
        for forged in (link.replace("a/b", "a/c"), link.split("?")[0], changed):
            assert (await place.http.get(forged)).status_code == 403
        assert (await place.http.put(link, content=b"mine")).status_code == 403
    absent = await place.blobs.download_link("a/none", valid_s=60)
    assert (await place.http.get(absent)).status_code == 404
    assert await content_of(place.blobs, "a/b") == b"0123456789"


async def test_what_came_by_a_link_is_unseen_until_it_is_accepted(place: Place) -> None:
    upload = await place.blobs.upload_link(valid_s=60, size_bytes_max=BIG)
    content = os.urandom(BIG)
    assert (await place.http.put(upload.url, content=content)).status_code == 200
    assert [key async for key in place.blobs.list_keys()] == []
    sha256 = hashlib.sha256(content).hexdigest()
    blob = await place.blobs.accept(upload.id, "rides/1.fit", size_bytes_max=BIG, sha256=sha256)
    assert (blob.key, blob.size_bytes, blob.sha256) == ("rides/1.fit", BIG, sha256)
    assert await content_of(place.blobs, "rides/1.fit") == content
    assert await place.leftovers() == []
    with pytest.raises(NotFound):
        await place.blobs.accept(upload.id, "rides/2.fit", size_bytes_max=BIG)


async def test_an_upload_may_be_bound_to_its_size_and_hash(place: Place) -> None:
    content = os.urandom(1_000)
    sha256 = hashlib.sha256(content).hexdigest()
    upload = await place.blobs.upload_link(valid_s=60, size_bytes_max=9_000, size_bytes=1_000, sha256=sha256)
    assert (await place.http.put(upload.url, content=content, headers=upload.headers)).status_code == 200
    blob = await place.blobs.accept(upload.id, "bound", size_bytes_max=9_000, sha256=sha256)
    assert (blob.size_bytes, blob.sha256) == (1_000, sha256)


async def test_a_download_may_be_called_something(place: Place) -> None:
    await place.blobs.put("a/b", chunks(b"0123456789"), size_bytes_max=10)
    about = Download(file_name="Öde & Söhne.fit", sha256=hashlib.sha256(b"0123456789").hexdigest())
    link = await place.blobs.download_link("a/b", valid_s=60, about=about)
    answer = await place.http.get(link)
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    called = "attachment; filename*=UTF-8''%C3%96de%20%26%20S%C3%B6hne.fit"
    assert answer.headers["content-disposition"] == called


async def test_an_upload_that_is_not_what_was_told_is_refused_and_gone(place: Place) -> None:
    await place.blobs.put("k", chunks(b"there"), size_bytes_max=9)
    for content, told in ((b"123456", {}), (b"abc", {"sha256": "0" * 64}), (b"other", {})):
        upload = await place.blobs.upload_link(valid_s=60, size_bytes_max=9)
        assert (await place.http.put(upload.url, content=content)).status_code == 200
        with pytest.raises((ValueError, Conflict)):
            await place.blobs.accept(upload.id, "k", size_bytes_max=5, **told)
        with pytest.raises(NotFound):
            await place.blobs.accept(upload.id, "k", size_bytes_max=9)
    assert await content_of(place.blobs, "k") == b"there"
    assert await place.leftovers() == []
    never = await place.blobs.upload_link(valid_s=60, size_bytes_max=9)
    with pytest.raises(NotFound):
        await place.blobs.accept(never.id, "k", size_bytes_max=9)


@pytest.mark.parametrize("valid_s", [0, -1, 8 * 24 * 3600, float("nan")])
async def test_a_link_has_an_end(blobs: Blobs, valid_s: float) -> None:
    with pytest.raises(ValueError, match="valid"):
        await blobs.download_link("k", valid_s=valid_s)
    with pytest.raises(ValueError, match="valid"):
        await blobs.upload_link(valid_s=valid_s, size_bytes_max=1)


async def test_a_hundred_writers_of_one_key_leave_one_whole(blobs: Blobs) -> None:
    puts = (blobs.put("k", chunks(b"%03d" % n * 1_000), size_bytes_max=9_000) for n in range(100))
    answers = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 99
    [won] = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert hashlib.sha256(await content_of(blobs, "k")).hexdigest() == won.sha256


async def test_uploads_that_nobody_accepts_are_swept_after_a_day(tmp_path: Path) -> None:
    links = SignedLinks("http://h", os.urandom(32))
    blobs = FileBlobs(tmp_path, links=links)
    await blobs.open()
    upload = await blobs.upload_link(valid_s=60, size_bytes_max=3)
    await blobs.receive(upload.id, chunks(b"x"), size_bytes_max=3)
    await blobs.open()
    assert len(list((tmp_path / "uploads").iterdir())) == 1
    await FileBlobs(tmp_path, clock_s=lambda: time.time() + 25 * 3600).open()
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_bucket_that_is_not_there_or_closed_is_unavailable(s3_url: str) -> None:
    quick = S3Limits(connect_timeout_s=0.3, retries_max=1, retry_time_s=0.5, ready_timeout_s=2.0)
    for url in (s3_url.replace("/stadion", "/absent"), "s3+http://key:SECRET@127.0.0.1:1/stadion"):
        with pytest.raises(Unavailable) as told:
            await S3Blobs(url, limits=quick).open()
        assert "SECRET" not in str(told.value)
    with pytest.raises(Unavailable, match="not open"):
        await S3Blobs(s3_url).put("k", chunks(b"x"), size_bytes_max=1)


@pytest.mark.parametrize(
    "url", ["s3://", "s3+http://h", "s3+http://h/a/b", "s3://b?unknown=1", "s4://b", "file://h/x"]
)
def test_a_blobs_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlProblem):
        open_blobs(url)


def test_blobs_are_chosen_by_url(tmp_path: Path) -> None:
    assert isinstance(open_blobs(f"file:///{tmp_path}"), FileBlobs)
    assert isinstance(open_blobs("s3://bucket?region=eu-central-1"), S3Blobs)
