"""A backup of the whole platform, taken beside it while it runs: rows, files, and the keys apart."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from datastores.backup.clusters import keep_base
from datastores.backup.lines import Advance, KeptStore
from datastores.backup.repository import Entry, Repository, chunk_names
from datastores.backup.safe import Escrow, Safe
from datastores.backup.tables import keep_store
from datastores.blobs.files import FileBlobs
from datastores.blobs.opening import open_blobs
from datastores.blobs.port import Blobs
from datastores.config import StoreUrlProblem
from datastores.errors import NotFound, StoreError, Unavailable
from datastores.lifecycle import opened
from datastores.relational.port import Relational
from datastores.vault import key_rows
from deploy.carried import carried_names, carried_stores
from deploy.schemas import SCHEMAS
from deploy.settings import Settings
from deploy.stores import Stores, stores_of
from deploy.up_command import DEMO_MARK

TIMEOUT_S = 6 * 3600.0
# Who consumes comes after whose events it consumes: a restore may deliver an event twice, and loses none.
STORES_IN_ORDER = ("accounts", "training", "medical", "profiles", "facts", "audit")
KEY_TABLES = frozenset(table.name for table in key_rows.SCHEMA.tables)
_KEYS_READ_MAX = 5
_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{8}$|\.new$")


def repository_of(url: str, safe: Safe) -> Repository:
    """The backups at `url`, whose key is in `safe`; not yet open.  Errors: StoreUrlProblem."""
    return Repository(open_blobs(url), safe.keys)


@asynccontextmanager
async def opened_repository(url: str, safe: Safe, *, create: bool) -> AsyncIterator[Repository]:
    """The backups at `url`, open inside the block."""
    repository = repository_of(url, safe)
    await repository.open(create=create)
    try:
        yield repository
    finally:
        await repository.close()


@contextmanager
def alone_at(safe_folder: Path) -> Iterator[None]:
    """One backup at a time.  Errors: Unavailable."""
    try:
        safe_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(safe_folder / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"the safe `{safe_folder}` cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable("another backup is running: wait until it is done") from None
    finally:
        os.close(descriptor)


async def back_up(
    settings: Settings,
    repository: Repository,
    safe: Safe,
    *,
    every_file: bool = False,
    advance: Advance = lambda _name, _count: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Entry:
    """One backup into the open `repository`; its entry in the catalogue, which tells of a failure too.

    Rows of each store are one snapshot of it. Files that the last backup has by the same key are not read
    again, unless `every_file`. Errors: StoreError, after the failure is noted.
    """
    return await _noted(
        "backup",
        repository,
        _kept(settings, repository, safe, every_file=every_file, advance=advance),
        now(),
    )


async def back_up_cluster(
    settings: Settings,
    repository: Repository,
    *,
    advance: Advance = lambda _name, _count: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Entry:
    """The cluster of `relational_url`, whole, as the start of recovery to a moment.

    Errors: StoreUrlProblem where rows are no PostgreSQL's, or the vault's keys would be in the copy.
    """
    url = settings.relational_url
    if url is None or not url.get_secret_value().startswith("postgresql"):
        raise StoreUrlProblem(
            "`STADION_RELATIONAL_URL` names no PostgreSQL: a cluster is backed up whole there"
        )
    if settings.vault_url is None or _server(settings.vault_url) != _server(url):
        return await _noted(
            "base", repository, keep_base(url.get_secret_value(), repository, advance=advance), now()
        )
    raise StoreUrlProblem(
        "the vault is in the same cluster, and its keys would be in the copy for good: give it its own"
    )


def _server(url: SecretStr) -> tuple[str | None, int]:
    parts = make_url(url.get_secret_value())
    return parts.host, parts.port or 5432


async def _noted(
    kind: str, repository: Repository, keeping: Awaitable[dict[str, Any]], at: datetime
) -> Entry:
    """What `keeping` gives, as a manifest; its entry in the catalogue, or its failure's, which is raised."""
    backup_id = f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    entry = Entry(kind=kind, backup_id=backup_id, at_utc=at.isoformat(), took_s=0.0, ok=False)
    begun_s = time.monotonic()
    try:
        manifest = await keeping
        digest = await repository.put_manifest(backup_id, {"id": backup_id, **manifest})
    except StoreError as error:
        await repository.note(_with(entry, took_s=time.monotonic() - begun_s, told=str(error)))
        raise
    tables = [table for store in manifest["stores"].values() for table in store["tables"]]
    return await repository.note(
        _with(
            entry,
            took_s=round(time.monotonic() - begun_s, 3),
            ok=True,
            manifest_sha256=digest,
            rows=sum(table["rows"] for table in tables),
            blobs=len(manifest["blobs"]),
            bytes_whole=sum(part["size_bytes"] for part in (*tables, *manifest["blobs"])),
            bytes_added=repository.bytes_added,
        )
    )


async def keep_keys(settings: Settings, safe: Safe) -> int:
    """Put the keys, and who was erased, into the safe as they are now; how many were erased so far."""
    stores = stores_of(settings, timeout_s=TIMEOUT_S)
    async with opened({"the store of medical": stores.vault_rows}):
        return await _put_keys(settings, stores.vault_rows, safe)


async def rotate_keys(settings: Settings, safe: Safe) -> int:
    """A new master key for the vault: every data key is wrapped with it and put into the safe, and only then
    are the older master keys destroyed. Works beside a running platform; how many keys were wrapped."""
    stores = stores_of(settings, timeout_s=TIMEOUT_S)

    async def put() -> None:
        await _put_keys(settings, stores.vault_rows, safe)

    async with opened({"the medical vault": stores.vault}):
        count = await stores.vault.rotate(before_destroying=put)
        await put()  # a file of keys is in the safe too, and must not bring the older ones back
        return count


def _with(entry: Entry, **changes: Any) -> Entry:
    return Entry(**{**asdict(entry), **changes})


async def _kept(
    settings: Settings, repository: Repository, safe: Safe, *, every_file: bool, advance: Advance
) -> dict[str, Any]:
    stores = stores_of(settings, timeout_s=TIMEOUT_S)
    known = await _known_files(repository)
    async with opened(stores.rows_in_order()), readable(stores.blobs):
        # Before the rows: behind what a group was given come rows that may already know of it.
        others = await _keep_others(settings, repository, advance)
        kept = {
            name: await keep_store(
                stores.rows()[name],
                SCHEMAS[name],
                repository,
                left_out=KEY_TABLES if name == "medical" else frozenset(),
                advance=advance,
            )
            for name in STORES_IN_ORDER
        }
        # After the rows, so that whoever has rows in them has their key here; files after the rows too, for
        # a file is there before the row that names it.
        await _put_keys(settings, stores.vault_rows, safe)
        files = await _keep_files(stores, repository, {} if every_file else known, advance)
    return {
        "version": 1,
        "stores": {name: asdict(store) for name, store in {**kept, **others}.items()},
        "blobs": files,
        "demo": (settings.data_folder / DEMO_MARK).exists(),
    }


async def _keep_others(settings: Settings, repository: Repository, advance: Advance) -> dict[str, KeptStore]:
    """Series, graph, documents and the events in Redis, as far as this deployment has them."""
    async with carried_stores(settings, carried_names(settings)) as stores:
        return {name: await store.keep(repository, advance=advance) for name, store in stores.items()}


async def _known_files(repository: Repository) -> Mapping[str, dict[str, Any]]:
    """The files of the newest backup by key; its chunks, of rows too, need not be asked for again."""
    backups = await repository.backups()
    if not backups:
        return {}
    manifest = await repository.manifest(backups[-1])
    repository.know(chunk_names(manifest))
    return {file["key"]: file for file in manifest["blobs"]}


@asynccontextmanager
async def readable(blobs: Blobs) -> AsyncIterator[None]:
    """The blobs, to be read beside a running platform: opening a folder would sweep its uploads away."""
    if isinstance(blobs, FileBlobs):
        yield
        return
    async with opened({"the file store": blobs}):
        yield


async def _keep_files(
    stores: Stores, repository: Repository, known: Mapping[str, dict[str, Any]], advance: Advance
) -> list[dict[str, Any]]:
    kept = []
    async for key in stores.blobs.list_keys():
        if key in known:
            kept.append(known[key])
            advance("files", known[key]["size_bytes"])
            continue
        stream, digest = repository.stream(), hashlib.sha256()
        try:
            async for part in stores.blobs.get(key):
                digest.update(part)
                await stream.feed(part)
                advance("files", len(part))
        except NotFound:
            continue  # deleted since it was listed
        chunks = await stream.end()
        kept.append(
            {
                "key": key,
                "size_bytes": stream.bytes_whole,
                "sha256": digest.hexdigest(),
                "chunks": chunks,
            }
        )
    return sorted(kept, key=lambda file: str(file["key"]))


async def _put_keys(settings: Settings, vault_rows: Relational, safe: Safe) -> int:
    folder = settings.keys_path
    files = _files_in(folder)
    for _ in range(_KEYS_READ_MAX):
        vault = await vault_rows.read(key_rows.taken_out)
        again = _files_in(folder)
        if again == files:
            await safe.put(Escrow(files, vault))
            return len(vault.shredded)
        files = again  # a rotation ran meanwhile: rows and file would not fit together
    raise Unavailable("the keys changed all the time: try again")


def _files_in(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        return {}
    found = [
        file for file in sorted(folder.iterdir()) if file.is_file() and not _HALF_WRITTEN.search(file.name)
    ]
    return {file.name: file.read_bytes() for file in found}
