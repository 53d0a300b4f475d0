"""A backup back into an empty place: rows, files, and the keys as they are now."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from datastores.backup.errors import BackupDamaged
from datastores.backup.lines import Advance, KeptStore, KeptTable, kept_pages
from datastores.backup.repository import Entry, Repository
from datastores.backup.safe import Escrow, Safe
from datastores.backup.tables import restore_store
from datastores.errors import NotFound
from datastores.events import moving
from datastores.events.outbox import RelationalOutbox
from datastores.folder import DataFolder
from datastores.lifecycle import opened
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.port import Relational
from datastores.vault import key_rows
from deploy.backup import STORES_IN_ORDER, TIMEOUT_S
from deploy.carried import EMBEDDED, EVENTS, PREFIX, carried_stores
from deploy.keys import kept_secret
from deploy.schemas import SCHEMAS
from deploy.settings import Settings
from deploy.stores import Stores, stores_of
from deploy.up_command import DEMO_MARK
from subgraphs.accounts import events as accounts_events
from subgraphs.accounts import store as accounts_store
from subgraphs.audit import store as audit_store
from subgraphs.audit.events import SUBJECT
from subgraphs.audit.model import Pseudonyms


@dataclass(frozen=True, slots=True)
class Backup:
    """Where a restore reads from, whom it tells, and what parts it from other deployments on a server."""

    repository: Repository
    advance: Advance
    space: str


def chosen(backups: list[Entry], backup_id: str | None) -> Entry:
    """The newest backup, or the one that is named.  Errors: NotFound."""
    if not backups:
        raise NotFound("there is no finished backup here: make one with `stadion backup`")
    if backup_id is None:
        return backups[-1]
    named = [entry for entry in backups if entry.backup_id == backup_id]
    if not named:
        raise NotFound(f"there is no backup `{backup_id}`: the newest is `{backups[-1].backup_id}`")
    return named[0]


async def restore(
    settings: Settings,
    repository: Repository,
    safe: Safe,
    entry: Entry,
    *,
    advance: Advance = lambda _name, _count: None,
    space: str = PREFIX,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """The backup of `entry` into the empty stores that `settings` name; `space` is for a drill on servers
    that are in use.

    The data folder appears as a whole, at the end. Keys come from the safe, as they are now: who was erased
    since the backup stays erased.
    Errors: TargetNotEmpty, BackupDamaged, SchemaTooNew; the data folder is then as it was before.
    """
    folder = settings.data_folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise TargetNotEmpty(f"the data folder `{folder}` is not empty: restore into a new one")
    manifest = await repository.manifest(entry)
    escrow = await safe.take()
    making = folder.with_name(f"{folder.name}.restoring-{secrets.token_hex(4)}")
    claim = DataFolder(making)
    claim.claim()
    target = settings.model_copy(update={"data_folder": making, "keys_folder": None})
    try:
        await _fill(target, escrow, manifest, Backup(repository, advance, space))
        await _erase_again(target, escrow, now())
        if folder.exists():
            folder.rmdir()
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    finally:
        claim.release()


async def _fill(settings: Settings, escrow: Escrow, manifest: Mapping[str, Any], backup: Backup) -> None:
    _write_keys(settings.keys_path, escrow.files)
    stores = stores_of(settings, timeout_s=TIMEOUT_S)
    kept = {name: store_of(stored) for name, stored in manifest["stores"].items()}
    async with opened(stores.rows_in_order()), opened({"the file store": stores.blobs}):
        rows, read = stores.rows(), backup.repository
        for name in STORES_IN_ORDER:
            await restore_store(rows[name], SCHEMAS[name], kept[name], read, advance=backup.advance)
        await stores.vault_rows.write(lambda c: key_rows.put_back(c, escrow.vault))
        await _restore_others(settings, kept, backup, people=list(escrow.vault.shredded))
        await fit_outboxes(settings, rows, kept.get(EVENTS), read)
        for file in manifest["blobs"]:
            await _restore_file(stores, read, file, backup.advance)
    if manifest["demo"]:
        (settings.data_folder / DEMO_MARK).touch()


async def _restore_others(
    settings: Settings, kept: Mapping[str, KeptStore], backup: Backup, *, people: Sequence[str]
) -> None:
    """Series, graph, documents; events where the target has a Redis. Who was erased leaves them."""
    async with carried_stores(settings, restorable(settings, kept), space=backup.space) as stores:
        for name, store in stores.items():
            await store.restore(kept[name], backup.repository, advance=backup.advance)
            await store.forget(people)


def restorable(settings: Settings, kept: Mapping[str, KeptStore]) -> list[str]:
    """Which of the stores of a backup beside rows the target has a place for."""
    names = [name for name in EMBEDDED if name in kept]
    return [*names, *([EVENTS] if EVENTS in kept and settings.events_url else [])]


async def fit_outboxes(
    settings: Settings, rows: Mapping[str, Relational], events: KeptStore | None, repository: Repository
) -> None:
    """Set how far each outbox was fed to what Redis has now; without one, its dead letters go to accounts."""
    fed: dict[str, int] = {}
    buried: list[tuple[str, str, str]] = []
    if events is not None:
        async for page in kept_pages(repository, events.table("fed")):
            fed |= dict(page)
        async for page in kept_pages(repository, events.table("dead_letters")):
            buried += [(group, event, failure) for group, _, event, failure in page]
    for name, store in rows.items():
        if settings.events_url:
            await store.write(partial(moving.fit_to_redis, fed_position=fed.get(name, 0)))
        else:
            await store.write(moving.fit_to_rows)
    if not settings.events_url and buried:
        await rows["accounts"].write(partial(moving.bury_again, buried=buried))


async def _restore_file(
    stores: Stores, repository: Repository, file: Mapping[str, Any], advance: Advance
) -> None:
    async def content() -> AsyncIterator[bytes]:
        async for chunk in repository.chunks(file["chunks"]):
            advance("files", len(chunk))
            yield chunk

    blob = await stores.blobs.put(file["key"], content(), size_bytes_max=file["size_bytes"])
    if (blob.size_bytes, blob.sha256) != (file["size_bytes"], file["sha256"]):
        raise BackupDamaged(f"the file `{file['key']}` is not the one that was backed up")


def store_of(stored: Mapping[str, Any]) -> KeptStore:
    """A store as a manifest tells it."""
    tables = [
        KeptTable(**{**table, "columns": tuple(table["columns"]), "chunks": tuple(table["chunks"])})
        for table in stored["tables"]
    ]
    return KeptStore(dict(stored["revisions"]), tuple(tables))


def _write_keys(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())


async def _erase_again(settings: Settings, escrow: Escrow, at_utc: datetime) -> None:
    """Who was erased since the backup goes out of accounts and out of the audit log's names at once; every
    other domain is told, and erases its own when the platform starts."""
    people = list(escrow.vault.shredded)
    pseudonyms = Pseudonyms(kept_secret(settings.keys_path, "audit-pseudonyms"))
    rows = stores_of(settings, timeout_s=TIMEOUT_S).relational

    def erase(connection: Connection) -> None:
        for person in people:
            accounts_store.delete_user(connection, person)
        told = [accounts_events.user_erased(person, at_utc=at_utc) for person in people]
        RelationalOutbox().append(connection, told)

    def forget(connection: Connection) -> None:
        for person in people:
            audit_store.forget_subject(connection, pseudonyms.of(SUBJECT, person))

    async with opened({"accounts": rows["accounts"], "audit": rows["audit"]}):
        await rows["accounts"].write(erase)
        await rows["audit"].write(forget)
