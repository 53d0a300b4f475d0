"""A whole PostgreSQL cluster as it lies on disk, and its write-ahead log: back to any moment in between.

pg_basebackup -> tar -> chunks; archive_command -> one sealed segment each; restore -> a data folder that the
server of the same version recovers by itself.  Source: PostgreSQL 15, 26.3 "Continuous Archiving and PITR".
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from datastores.backup.errors import BackupDamaged
from datastores.backup.repository import Entry, Repository
from datastores.errors import Conflict, Unavailable
from datastores.relational.copying import TargetNotEmpty

ARCHIVE = "wal_archive"
_SEGMENT = re.compile(r"[0-9A-F]{24}(\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
_PIECE_BYTES = 1024 * 1024
_TOLD_CHARACTERS_MAX = 300
Advance = Callable[[str, int], None]


async def keep_base(url: str, repository: Repository, *, advance: Advance) -> dict[str, Any]:
    """The cluster at `url`, whose user may replicate, as one tar in chunks; its part of a manifest.

    Errors: Unavailable where `pg_basebackup` is missing or fails.
    """
    program = shutil.which("pg_basebackup")
    if program is None:
        raise Unavailable("`pg_basebackup` is not here: install PostgreSQL's client programs")
    stream, digest = repository.stream(), hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        asked = [program, "-D", "-", "-F", "t", "-X", "fetch", "-c", "fast", "-w", "-d", _place(url, folder)]
        process = await asyncio.create_subprocess_exec(
            *asked, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None  # noqa: S101  # asked for above
        while piece := await process.stdout.read(_PIECE_BYTES):
            digest.update(piece)
            await stream.feed(piece)
            advance("cluster", len(piece))
        _, told = await process.communicate()
    if process.returncode != 0:
        why = told.decode(errors="replace").strip()[-_TOLD_CHARACTERS_MAX:]
        raise Unavailable(f"pg_basebackup failed: {why}")
    chunks = await stream.end()
    part = {"size_bytes": stream.bytes_whole, "sha256": digest.hexdigest(), "chunks": chunks}
    return {"version": 1, "stores": {}, "blobs": [{"key": "base.tar", **part}]}


async def keep_segment(file: Path, repository: Repository) -> None:
    """One finished segment of the log, as `archive_command` hands it over; the same again is nothing.

    Errors: Conflict for another segment of the same name, which must never happen; ValueError for a file
    that is none.
    """
    if not _SEGMENT.fullmatch(file.name):
        raise ValueError(f"`{file.name}` is no segment of a write-ahead log")
    content = await asyncio.to_thread(file.read_bytes)
    try:
        await repository.put_sealed(f"wal/{file.name}", content)
    except Conflict:
        if await repository.read_sealed(f"wal/{file.name}") != content:
            raise Conflict(f"another segment `{file.name}` is archived: is this another cluster?") from None


async def restore_base(
    repository: Repository, entry: Entry, folder: Path, *, until_utc: datetime | None, advance: Advance
) -> int:
    """The cluster of `entry` into the empty `folder`, with all archived segments beside it; how many.

    A server that starts there recovers up to `until_utc`, or to the end of the log, and then serves.
    Errors: TargetNotEmpty, BackupDamaged.
    """
    await asyncio.to_thread(_make_empty, folder)
    [part] = (await repository.manifest(entry))["blobs"]
    tar = folder.with_name(f"{folder.name}.tar")
    try:
        await _write_tar(repository, part, tar, advance)
        await asyncio.to_thread(_unpack, tar, folder)
    finally:
        tar.unlink(missing_ok=True)
    count = 0
    archive = folder / ARCHIVE
    archive.mkdir(mode=0o700)
    async for name in repository.list_sealed("wal/"):
        (archive / name.removeprefix("wal/")).write_bytes(await repository.read_sealed(name))
        count += 1
    _say_how_to_recover(folder, until_utc)
    return count


def _make_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise TargetNotEmpty(f"`{folder}` is not empty: restore a cluster into a new folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


async def _write_tar(repository: Repository, part: dict[str, Any], tar: Path, advance: Advance) -> None:
    digest = hashlib.sha256()
    with tar.open("xb") as file:
        async for chunk in repository.chunks(part["chunks"]):
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
            advance("cluster", len(chunk))
    if digest.hexdigest() != part["sha256"]:
        raise BackupDamaged("the cluster of the backup is not the one that was written")


def _unpack(tar: Path, folder: Path) -> None:
    try:
        with tarfile.open(tar) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError:
        raise BackupDamaged("the cluster of the backup cannot be unpacked") from None
    folder.chmod(0o700)


def _say_how_to_recover(folder: Path, until_utc: datetime | None) -> None:
    # PostgreSQL doubles quotes within a value; the shell that runs the command sees double quotes.
    place = str(folder.resolve() / ARCHIVE).replace("'", "''").replace('"', '\\"')
    lines = [f'restore_command = \'cp "{place}/%f" "%p"\'', "recovery_target_action = 'promote'"]
    if until_utc is not None:
        lines.append(f"recovery_target_time = '{until_utc.isoformat()}'")
    with (folder / "postgresql.auto.conf").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    (folder / "recovery.signal").touch(mode=0o600)


def _place(url: str, folder: str) -> str:
    """How PostgreSQL's programs are told of the server; the password is in a file, which no `ps` shows."""
    parts = make_url(url)
    fields = (
        parts.host or "localhost",
        str(parts.port or 5432),
        "*",
        parts.username or "",
        parts.password or "",
    )
    passwords = Path(folder) / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text(
        ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in map(str, fields))
    )
    known = {"host": fields[0], "port": fields[1], "user": fields[3], "passfile": str(passwords)}
    return " ".join(f"{name}='{_quoted(value)}'" for name, value in known.items())


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
