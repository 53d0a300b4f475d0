"""What every blobs adapter promises."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datastores.blobs.files import FileBlobs
from datastores.blobs.port import Blobs
from datastores.errors import Conflict, NotFound

pytestmark = pytest.mark.port("blobs")


@pytest.fixture(params=["files"])
async def blobs(tmp_path: Path) -> AsyncIterator[Blobs]:
    blobs = FileBlobs(tmp_path / "blobs")
    await blobs.open()
    yield blobs
    await blobs.close()


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


async def test_past_the_limit_nothing_is_kept(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        await blobs.put("k", chunks(b"x" * 6, b"x" * 5), size_bytes_max=10)
    with pytest.raises(NotFound):
        await content_of(blobs, "k")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_sender_that_breaks_off_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError("gone")

    with pytest.raises(Exception, match=r"gone|cannot be read"):
        await blobs.put("k", breaks(), size_bytes_max=10)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_deleted_blob_is_gone_and_deleting_again_is_nothing(blobs: Blobs) -> None:
    await blobs.put("a/b", chunks(b"x"), size_bytes_max=1)
    await blobs.delete("a/b")
    await blobs.delete("a/b")
    with pytest.raises(NotFound):
        await content_of(blobs, "a/b")


UNSAFE_KEYS = ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".", "a/.", "...", "ø", "a b", "a\\b"]


@pytest.mark.parametrize("key", [*UNSAFE_KEYS, "a\0b", "a\n", "x" * 129, "/".join(["x" * 100] * 6)])
async def test_a_key_that_is_no_plain_path_is_refused(blobs: Blobs, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        await blobs.put(key, chunks(b"x"), size_bytes_max=1)
    with pytest.raises(ValueError, match="key"):
        await content_of(blobs, key)
    with pytest.raises(ValueError, match="key"):
        await blobs.delete(key)


async def test_a_blob_is_no_folder_and_a_folder_no_blob(blobs: Blobs) -> None:
    await blobs.put("a", chunks(b"x"), size_bytes_max=1)
    with pytest.raises(Conflict):
        await blobs.put("a/b", chunks(b"x"), size_bytes_max=1)
    await blobs.put("c/d", chunks(b"x"), size_bytes_max=1)
    with pytest.raises(Conflict):
        await blobs.put("c", chunks(b"x"), size_bytes_max=1)
    for absent in ("a/b", "c"):
        with pytest.raises(NotFound):
            await content_of(blobs, absent)


async def test_opening_sweeps_what_a_killed_process_left_half_written(blobs: Blobs, tmp_path: Path) -> None:
    await blobs.put("whole", chunks(b"x"), size_bytes_max=1)
    (tmp_path / "blobs" / "incoming" / "half").write_bytes(b"ha")
    again = FileBlobs(tmp_path / "blobs")
    await again.open()
    await again.ready()
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []
    assert await content_of(again, "whole") == b"x"


async def test_every_key_is_listed_and_a_deleted_one_no_longer(blobs: Blobs) -> None:
    assert [key async for key in blobs.list_keys()] == []
    for key in ("a", "b/c", "b/d/e", "gone"):
        await blobs.put(key, chunks(b"x"), size_bytes_max=1)
    await blobs.delete("gone")
    assert sorted([key async for key in blobs.list_keys()]) == ["a", "b/c", "b/d/e"]
