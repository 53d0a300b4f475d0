"""A repository of backups: sealed, never a chunk twice, and any damage is told of before it is restored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datastores.backup.errors import BackupDamaged
from datastores.backup.repository import Entry, Repository
from datastores.blobs.files import FileBlobs
from datastores.errors import NotFound
from datastores.vault.keys import FileKeyProvider

CANARY = b"canary-of-a-person " * 20_000


def entry(backup_id: str = "b1", *, ok: bool = True, sha256: str = "") -> Entry:
    return Entry("backup", backup_id, "2026-11-23T12:00:00+00:00", 1.0, ok, manifest_sha256=sha256)


def opened_at(folder: Path) -> Repository:
    return Repository(FileBlobs(folder / "backups"), FileKeyProvider(folder / "safe" / "backup.json"))


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[Repository]:
    repository = opened_at(tmp_path)
    await repository.open(create=True)
    yield repository
    await repository.close()


async def kept(repository: Repository, content: bytes) -> list[str]:
    stream = repository.stream()
    await stream.feed(content)
    return await stream.end()


async def read(repository: Repository, names: list[str]) -> bytes:
    return b"".join([chunk async for chunk in repository.chunks(names)])


async def test_what_is_kept_comes_back_and_is_readable_to_nobody_else(
    repository: Repository, tmp_path: Path
) -> None:
    names = await kept(repository, CANARY)
    assert await read(repository, names) == CANARY
    files = [file for file in (tmp_path / "backups").rglob("*") if file.is_file()]
    assert len(files) > 2
    assert not any(b"canary" in file.read_bytes() for file in files)


async def test_equal_content_is_kept_once_also_by_another_process(
    repository: Repository, tmp_path: Path
) -> None:
    first = await kept(repository, CANARY)
    added = repository.bytes_added
    other = opened_at(tmp_path)
    await other.open(create=False)
    assert await kept(other, CANARY) == first
    assert (repository.bytes_added, other.bytes_added) == (added, 0)


async def test_nothing_opens_without_the_safe(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "safe" / "backup.json").rename(tmp_path / "elsewhere")
    with pytest.raises(NotFound, match=r"key file .* is missing"):
        await opened_at(tmp_path).open(create=False)


async def test_no_repository_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no backup here"):
        await opened_at(tmp_path).open(create=False)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "swap"])
async def test_a_damaged_chunk_is_refused(repository: Repository, tmp_path: Path, damage: str) -> None:
    [name] = await kept(repository, b"one")
    [other] = await kept(repository, b"two")
    file = tmp_path / "backups" / "kept" / "chunks" / name[:2] / name
    content = file.read_bytes()
    match damage:
        case "flip":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            file.write_bytes(content[:10])
        case "gone":
            file.unlink()
        case "swap":
            file.write_bytes((tmp_path / "backups" / "kept" / "chunks" / other[:2] / other).read_bytes())
    with pytest.raises(BackupDamaged, match=name):
        await read(repository, [name])


async def test_the_manifest_must_be_the_one_of_the_catalogue(repository: Repository) -> None:
    written = await repository.put_manifest("b1", {"stores": {}, "blobs": []})
    assert await repository.manifest(entry(sha256=written)) == {"stores": {}, "blobs": []}
    with pytest.raises(BackupDamaged, match="is not the one that was written"):
        await repository.manifest(entry(sha256="0" * 64))
    with pytest.raises(BackupDamaged, match="its manifest is gone"):
        await repository.manifest(entry("b2"))


async def test_the_catalogue_grows_in_turn_whoever_writes(repository: Repository, tmp_path: Path) -> None:
    others = [opened_at(tmp_path) for _ in range(4)]
    for each in others:
        await each.open(create=False)
    await asyncio.gather(*(each.note(entry(f"b{at}")) for at, each in enumerate(others)))
    found = await repository.catalogue()
    assert [each.number for each in found] == [1, 2, 3, 4]
    assert {each.backup_id for each in found} == {"b0", "b1", "b2", "b3"}


@pytest.mark.parametrize("damage", ["edited", "forged", "taken out"])
async def test_a_changed_catalogue_is_told_of_with_its_place(
    repository: Repository, tmp_path: Path, damage: str
) -> None:
    for name in ("b1", "b2", "b3"):
        await repository.note(entry(name))
    folder = tmp_path / "backups" / "kept" / "catalogue"
    second, third = folder / "00000002", folder / "00000003"
    match damage:
        case "edited":
            second.write_bytes(second.read_bytes().replace(b'"b2"', b'"b9"'))
        case "forged":
            second.write_bytes(second.read_bytes().split(b"\n")[0] + b"\n" + b"0" * 64)
        case "taken out":
            third.replace(second)
    again = opened_at(tmp_path)
    await again.open(create=False)
    with pytest.raises(BackupDamaged, match="entry 2 of the catalogue"):
        await again.catalogue()


async def test_what_is_removed_takes_only_its_own_chunks_along(
    repository: Repository, tmp_path: Path
) -> None:
    shared, old, new = [await kept(repository, content) for content in (b"shared", b"old", b"new")]
    entries = []
    for backup_id, own in (("b1", old), ("b2", new)):
        manifest = {"stores": {}, "blobs": [{"chunks": [*shared, *own]}]}
        written = await repository.put_manifest(backup_id, manifest)
        entries.append(await repository.note(entry(backup_id, sha256=written)))
    await repository.note(entry("b3", ok=False))
    assert [each.backup_id for each in await repository.backups()] == ["b1", "b2"]
    assert await repository.forget(entries[:1], kept=entries[1:]) == 1
    assert [each.backup_id for each in await repository.backups()] == ["b2"]
    assert await read(repository, [*shared, *new]) == b"sharednew"
    with pytest.raises(BackupDamaged, match="is missing"):
        await read(repository, old)
    assert await kept(repository, b"old") == old  # and can be kept again
