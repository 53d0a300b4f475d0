"""Links to files: what each is bound to, when it ends, and what a browser is told."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from starlette.routing import Mount

from datastores.blobs.files import FileBlobs
from datastores.blobs.links import SignedLinks, Terms
from datastores.blobs.port import Download, NotAsTold
from datastores.blobs.presign import S3Place
from datastores.blobs.s3 import S3Blobs
from datastores.blobs.serving import BlobLinks
from datastores.errors import NotFound, Unavailable

NOW_S = 1_800_000_000.0
CONTENT = bytes(range(256)) * 4
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Served:
    """A folder of files behind links, at a time that a test sets."""

    blobs: FileBlobs
    links: SignedLinks
    http: httpx2.AsyncClient
    now_s: list[float]
    holding: set[str] = field(default_factory=set)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    now_s, holding = [NOW_S], {"mira"}
    links = SignedLinks("http://stadion.test/files/", os.urandom(32))
    blobs = FileBlobs(tmp_path / "blobs", links=links, clock_s=lambda: now_s[0])

    async def still(grant: str) -> bool:
        if grant == "broken":
            raise Unavailable("no answer")
        return grant in holding

    await blobs.open()
    await blobs.put("a/b", chunks(CONTENT), size_bytes_max=1024)
    app = Mount("/files", BlobLinks(blobs, links, still=still, clock_s=lambda: now_s[0]))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as http:
        yield Served(blobs, links, http, now_s, holding)
    await blobs.close()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_link_ends_with_its_time(served: Served) -> None:
    link = await served.blobs.download_link("a/b", valid_s=60)
    served.now_s[0] += 60
    assert (await served.http.get(link)).status_code == 200
    served.now_s[0] += 1
    assert (await served.http.get(link)).status_code == 403


async def test_a_link_is_good_for_its_method_and_its_key_alone(served: Served) -> None:
    await served.blobs.put("a/c", chunks(b"secret"), size_bytes_max=10)
    link = await served.blobs.download_link("a/b", valid_s=60)
    upload = await served.blobs.upload_link(valid_s=60, size_bytes_max=10)
    assert (await served.http.put(link, content=b"mine")).status_code == 403
    assert (await served.http.get(upload.url)).status_code == 403
    assert (await served.http.get(link.replace("a/b", "a/c"))).status_code == 403
    assert (await served.http.get(link.replace("a/b", "a/../a/c"))).status_code in {403, 404}
    for method in ("DELETE", "POST", "PATCH", "OPTIONS"):
        assert (await served.http.request(method, link)).status_code == 405


async def test_whatever_is_changed_in_a_link_makes_it_worthless(served: Served) -> None:
    about = Download(file_name="ride.fit", sha256=SHA256, grant="mira")
    link = await served.blobs.download_link("a/b", valid_s=60, about=about)
    assert (await served.http.get(link)).status_code == 200
    head, _, query = link.partition("?")
    parts = parse_qsl(query)
    assert {name for name, _ in parts} == {"until", "as", "sha256", "grant", "signature"}
    forged = [parts[:at] + parts[at + 1 :] for at in range(len(parts))]
    forged += [[*parts[:at], (name, value + "0"), *parts[at + 1 :]] for at, (name, value) in enumerate(parts)]
    forged += [[*parts, parts[0]], [*parts, ("size", "9")], [*parts, ("x", "y")], [*parts, ("grant", "")], []]
    for each in forged:
        assert (await served.http.get(f"{head}?{urlencode(each)}")).status_code == 403, each


async def test_a_link_that_stands_for_a_right_ends_with_the_right(served: Served) -> None:
    link = await served.blobs.download_link("a/b", valid_s=60, about=Download(grant="mira"))
    assert (await served.http.get(link)).status_code == 200
    served.holding.clear()
    assert (await served.http.get(link)).status_code == 403
    assert (await served.http.head(link)).status_code == 403
    broken = await served.blobs.download_link("a/b", valid_s=60, about=Download(grant="broken"))
    assert (await served.http.get(broken)).status_code == 503
    nobody = httpx2.ASGITransport(Mount("/files", BlobLinks(served.blobs, served.links)))
    async with httpx2.AsyncClient(transport=nobody) as http:
        served.holding.add("mira")
        fresh = served.links.url("GET", "a/b", until_s=4e9, terms=Terms(grant="mira"))
        assert (await http.get(fresh)).status_code == 403  # where nobody can say, nobody may


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        (None, 200, 0, 1024),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=2-4", 206, 2, 5),
        ("bytes=1000-", 206, 1000, 1024),
        ("bytes=1000-5000", 206, 1000, 1024),
        ("bytes=-24", 206, 1000, 1024),
        ("bytes=-5000", 206, 0, 1024),
        ("bytes=5-2", 200, 0, 1024),
        ("bytes=-", 200, 0, 1024),
        ("bytes=1-2,4-5", 200, 0, 1024),
        ("lines=1-2", 200, 0, 1024),
    ],
)
async def test_a_range_is_what_was_asked_for_and_says_of_what(
    served: Served, wanted: str | None, status: int, start: int, end: int
) -> None:
    link = await served.blobs.download_link("a/b", valid_s=60, about=Download(sha256=SHA256))
    for method in ("GET", "HEAD"):
        headers = {} if wanted is None else {"range": wanted}
        answer = await served.http.request(method, link, headers=headers)
        assert answer.status_code == status
        assert answer.content == (CONTENT[start:end] if method == "GET" else b"")
        assert answer.headers["content-length"] == str(end - start)
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers.get("content-range") == (
            f"bytes {start}-{end - 1}/1024" if status == 206 else None
        )
        # The hash is of the whole, whatever part is sent.
        digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
        assert answer.headers["etag"] == f'"{SHA256}"'
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=9000-9001", "bytes=-0"])
async def test_a_range_outside_is_told_how_long_the_file_is(served: Served, wanted: str) -> None:
    link = await served.blobs.download_link("a/b", valid_s=60)
    answer = await served.http.get(link, headers={"range": wanted})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */1024")


async def test_nothing_and_a_folder_are_no_files(served: Served) -> None:
    await served.blobs.put("empty", chunks(), size_bytes_max=0)
    empty = await served.http.get(await served.blobs.download_link("empty", valid_s=60))
    assert (empty.status_code, empty.content, empty.headers["content-length"]) == (200, b"", "0")
    for key in ("a", "a/none", "a/b/c"):
        answer = await served.http.get(await served.blobs.download_link(key, valid_s=60))
        assert answer.status_code == 404
        with pytest.raises(NotFound):
            await served.blobs.size_bytes(key)


async def test_an_upload_is_taken_once_and_only_as_its_link_tells(served: Served) -> None:
    content = b"x" * 100
    sha256 = hashlib.sha256(content).hexdigest()
    upload = await served.blobs.upload_link(valid_s=60, size_bytes_max=200, size_bytes=100, sha256=sha256)
    for other in (b"x" * 99, b"y" * 100, b""):
        assert (await served.http.put(upload.url, content=other)).status_code == 422
    assert (await served.http.put(upload.url, content=b"x" * 201)).status_code == 413
    forged = upload.url.replace("bytes=100", "bytes=99")
    assert (await served.http.put(forged, content=b"x" * 99)).status_code == 403
    assert (await served.http.put(upload.url, content=content)).status_code == 200
    assert (await served.http.put(upload.url, content=content)).status_code == 200  # sent again: the same
    free = await served.blobs.upload_link(valid_s=60, size_bytes_max=3)
    assert (await served.http.put(free.url, content=b"123")).status_code == 200
    assert (await served.http.put(free.url, content=b"456")).status_code == 409
    served.now_s[0] += 61
    assert (await served.http.put(upload.url, content=content)).status_code == 403
    with pytest.raises(NotAsTold):
        await served.blobs.receive("u", chunks(b"1"), size_bytes_max=9, sha256="0" * 64)


def test_a_key_of_links_is_long_and_a_folder_without_one_makes_none() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SignedLinks("http://h", b"short")


async def test_a_store_without_an_address_for_links_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give `links`"):
        await FileBlobs(tmp_path / "blobs").download_link("k", valid_s=1)


def test_signatures_of_s3_are_those_of_its_specification() -> None:
    # The example of AWS's own documentation of query parameters.
    place = S3Place(
        "https://examplebucket.s3.amazonaws.com", "", "us-east-1",
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )  # fmt: skip
    url = place.presigned("GET", "test.txt", valid_s=86400, at_utc=datetime(2013, 5, 24, tzinfo=UTC))
    query = dict(parse_qsl(urlsplit(url).query))
    assert query["X-Amz-Signature"] == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


async def test_signatures_of_s3_are_those_of_obstore_too() -> None:
    secret = "a/b+c" * 8
    blobs = S3Blobs(
        f"s3+http://KEY:{secret.replace('/', '%2F').replace('+', '%2B')}@127.0.0.1:9/bucket?region=x-1"
    )
    blobs._open = True
    theirs = urlsplit(await blobs.download_link("a/b.fit", valid_s=60))
    asked = dict(parse_qsl(theirs.query))
    at = datetime.strptime(asked["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert blobs._place is not None
    ours = urlsplit(blobs._place.presigned("GET", "kept/a/b.fit", valid_s=60, at_utc=at))
    assert (ours.netloc, ours.path, dict(parse_qsl(ours.query))) == (theirs.netloc, theirs.path, asked)


async def test_an_upload_to_s3_is_bound_to_its_size_and_hash_by_the_signature() -> None:
    blobs = S3Blobs("s3+https://KEY:SECRET@h/bucket", now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    bound = await blobs.upload_link(valid_s=60, size_bytes_max=9, size_bytes=3, sha256="00" * 32)
    query = dict(parse_qsl(urlsplit(bound.url).query))
    assert query["X-Amz-SignedHeaders"] == "content-length;host;x-amz-checksum-sha256"
    assert bound.headers == {
        "content-length": "3",
        "x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode(),
    }
    named = await blobs.download_link("k", valid_s=60, about=Download(file_name="ü.fit"))
    assert dict(parse_qsl(urlsplit(named).query))["response-content-disposition"].endswith("''%C3%BC.fit")
    assert "SECRET" not in bound.url + named
