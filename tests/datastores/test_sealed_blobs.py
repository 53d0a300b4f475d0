"""What a patient's blobs promise, in files and on S3: no store can read them, nor change them unseen."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from datastores.blobs.files import FileBlobs
from datastores.blobs.opening import open_blobs
from datastores.blobs.port import Blobs
from datastores.errors import Conflict, NotFound, StoreError
from datastores.relational.opening import open_relational
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from datastores.vault.sealed_blobs import PIECE_BYTES, SealedBlobs
from tests.kit_datastores.hunt import CANARY, CONTROL, found_in

RECORD_BYTES = 1 + PIECE_BYTES + 29


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[SealedVault]:
    made = SealedVault(open_relational(f"sqlite:///{tmp_path}/v.db"), FileKeyProvider(tmp_path / "keys.json"))
    await made.open()
    yield made
    await made.close()


@pytest.fixture(params=["files", "s3"])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    """Where sealed bytes go."""
    on_files = request.param == "files"
    made = open_blobs(f"file:///{tmp_path}/blobs" if on_files else request.getfixturevalue("s3_url"))
    await made.open()
    yield made
    async for key in made.list_keys():
        await made.delete(key)
    await made.close()


@pytest.fixture
def sealed(vault: SealedVault, stored: Blobs) -> SealedBlobs:
    return SealedBlobs(vault, stored)


async def chunks(content: bytes, size_bytes: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size_bytes):
        yield content[at : at + size_bytes]


async def put(blobs: Blobs | SealedBlobs, *words: str, content: bytes) -> object:
    return await blobs.put(*words, chunks(content), size_bytes_max=10_000_000)  # type: ignore[arg-type]


async def whole(blobs: Blobs | SealedBlobs, *words: str, **bounds: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.get(*words, **bounds)])  # type: ignore[arg-type]


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES])
async def test_content_comes_back_whatever_its_size_and_its_hash_is_told(
    sealed: SealedBlobs, stored: Blobs, size_bytes: int
) -> None:
    content = os.urandom(size_bytes)
    blob = await put(sealed, "ann", "ann/scan", content=content)
    assert (blob.size_bytes, blob.sha256) == (size_bytes, hashlib.sha256(content).hexdigest())  # type: ignore[attr-defined]
    assert await whole(sealed, "ann", "ann/scan") == content
    assert size_bytes < len(await whole(stored, "ann/scan")) <= (size_bytes // PIECE_BYTES + 1) * RECORD_BYTES


async def test_any_range_is_cut_out_of_the_pieces_that_hold_it(sealed: SealedBlobs) -> None:
    content = os.urandom(3 * PIECE_BYTES + 17)
    await put(sealed, "ann", "a", content=content)
    edges = [
        0,
        1,
        PIECE_BYTES - 1,
        PIECE_BYTES,
        PIECE_BYTES + 1,
        3 * PIECE_BYTES,
        len(content),
        len(content) + 9,
    ]
    for start in edges:
        assert await whole(sealed, "ann", "a", start=start) == content[start:]
        for end in edges:
            if end >= start:
                assert await whole(sealed, "ann", "a", start=start, end=end) == content[start:end]


async def test_a_destroyed_key_makes_every_copy_unreadable_and_seals_no_more(
    sealed: SealedBlobs, stored: Blobs, vault: SealedVault
) -> None:
    await put(sealed, "ann", "ann/letter", content=CANARY)
    await put(sealed, "bob", "bob/letter", content=CANARY)
    copy = await whole(stored, "ann/letter")
    await vault.shred("ann")
    await stored.delete("ann/letter")
    await put(stored, "ann/letter", content=copy)  # as a restore of an older backup brings it back
    with pytest.raises(NotFound, match="destroyed"):
        await whole(sealed, "ann", "ann/letter")
    with pytest.raises(NotFound, match="destroyed"):
        await put(sealed, "ann", "ann/another", content=b"x")
    assert await whole(sealed, "bob", "bob/letter") == CANARY
    assert sorted([key async for key in stored.list_keys()]) == ["ann/letter", "bob/letter"]


def _swapped(content: bytes) -> bytes:
    return content[RECORD_BYTES : 2 * RECORD_BYTES] + content[:RECORD_BYTES] + content[2 * RECORD_BYTES :]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda c: c[:500] + bytes([c[500] ^ 1]) + c[501:],
    "pieces in another order": _swapped,
    "a piece left out": lambda c: c[RECORD_BYTES:],
    "the last piece left out": lambda c: c[: 2 * RECORD_BYTES],
    "the last piece cut": lambda c: c[:-1],
    "an end where there was none": lambda c: (
        c[:RECORD_BYTES] + b"\x01" + c[RECORD_BYTES + 1 : 2 * RECORD_BYTES]
    ),
    "no end": lambda c: c[: 2 * RECORD_BYTES] + b"\x00" + c[2 * RECORD_BYTES + 1 :],
    "more behind the end": lambda c: c + c[-100:],
    "a piece again behind the end": lambda c: c + c[2 * RECORD_BYTES :],
    "nothing": lambda c: b"",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_store_that_changes_what_it_holds_is_found_out(
    sealed: SealedBlobs, stored: Blobs, change: str
) -> None:
    content = CANARY * (2 * PIECE_BYTES // len(CANARY) + 10)
    await put(sealed, "ann", "a", content=content)
    bytes_there = await whole(stored, "a")
    await stored.delete("a")
    await put(stored, "a", content=CHANGES[change](bytes_there))
    with pytest.raises(StoreError) as told:
        await whole(sealed, "ann", "a")
    assert CANARY.decode() not in str(told.value)


async def test_a_blob_opens_neither_under_another_key_nor_for_another_patient(
    sealed: SealedBlobs, stored: Blobs
) -> None:
    await put(sealed, "ann", "a", content=CANARY)
    await put(sealed, "bob", "b", content=CANARY)
    await put(stored, "moved", content=await whole(stored, "a"))
    for patient, key in (("ann", "moved"), ("bob", "a"), ("ann", "b")):
        with pytest.raises(StoreError, match="tampered"):
            await whole(sealed, patient, key)


async def test_a_key_is_put_once_and_what_is_too_large_or_breaks_off_leaves_nothing(
    sealed: SealedBlobs, stored: Blobs
) -> None:
    await put(sealed, "ann", "a", content=b"first")
    with pytest.raises(Conflict):
        await put(sealed, "ann", "a", content=b"first")
    assert await whole(sealed, "ann", "a") == b"first"
    with pytest.raises(ValueError, match="larger than 300000 bytes"):
        await sealed.put("ann", "b", chunks(bytes(300_001)), size_bytes_max=300_000)

    async def breaks_off() -> AsyncIterator[bytes]:
        yield bytes(2 * PIECE_BYTES)
        raise LookupError

    with pytest.raises(LookupError):
        await sealed.put("ann", "c", breaks_off(), size_bytes_max=10_000_000)
    assert [key async for key in stored.list_keys()] == ["a"]
    for key in ("b", "c"):
        with pytest.raises(NotFound):
            await whole(sealed, "ann", key)
    with pytest.raises(ValueError):
        await put(sealed, "ann", "../a", content=b"x")


async def test_no_plaintext_is_in_what_a_store_keeps_or_in_any_file(
    sealed: SealedBlobs, stored: Blobs, tmp_path: Path
) -> None:
    content = CANARY * 40_000  # on every boundary of pieces too
    await put(sealed, "ann", "ann/letter", content=content)
    await put(stored, f"plain/{secrets.token_hex(4)}", content=CONTROL.encode())
    kept = {key: await whole(stored, key) async for key in stored.list_keys()}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    places = [*kept.values(), *files]
    assert any(
        found_in(place, CONTROL.encode()) for place in places
    )  # the hunt finds what is there to be found
    assert not any(found_in(place, CANARY) for place in places)
    if isinstance(stored, FileBlobs):
        assert any(len(file) > len(content) for file in files), sorted(map(len, files))
    assert await whole(sealed, "ann", "ann/letter") == content
