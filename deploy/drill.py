"""The drill: a backup restored where it harms nobody, and looked at; so that a restore is no surprise."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.backup.lines import Advance
from datastores.backup.repository import Entry, Repository
from datastores.backup.safe import Escrow, Safe
from datastores.backup.tables import difference
from datastores.errors import StoreError
from datastores.events.outbox import consumers, dead_letters
from datastores.lifecycle import opened
from datastores.relational.port import Relational
from deploy.backup import STORES_IN_ORDER, TIMEOUT_S
from deploy.carried import EMBEDDED, EVENTS, carried_stores
from deploy.drill_servers import drill_target, thrown_away
from deploy.keys import kept_secret
from deploy.restore import restorable, restore, store_of
from deploy.schemas import SCHEMAS
from deploy.settings import Settings
from deploy.stores import Stores, stores_of
from subgraphs.audit import store as audit_store
from subgraphs.audit.model import Seal
from subgraphs.medical import store as medical_store
from subgraphs.medical.tables import resources

_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a drill looked at."""

    what: str
    ok: bool
    told: str


async def drill(
    settings: Settings,
    repository: Repository,
    safe: Safe,
    entry: Entry,
    *,
    servers: Sequence[str] = (),
    advance: Advance = lambda _name, _count: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Finding]:
    """Restore into a throw-away folder, or on `servers` by their URLs, and look at it.

    What was restored on servers is removed afterwards. How it went is noted in the catalogue.
    Errors: StoreUrlProblem for a server that no store can be on.
    """
    begun_s, at, space = time.monotonic(), now(), f"drill-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory(prefix="stadion-drill-") as name:
        target = drill_target(settings, servers, Path(name) / "data")
        try:
            async with thrown_away(target, space=space):
                await restore(target, repository, safe, entry, advance=advance, space=space)
                findings = await _findings(target, repository, entry, await safe.take(), space=space)
        except StoreError as error:
            findings = [Finding("restore", ok=False, told=str(error))]
    failed = [f"{each.what}: {each.told}" for each in findings if not each.ok]
    await repository.note(
        Entry(
            kind="drill",
            backup_id=entry.backup_id,
            at_utc=at.isoformat(),
            took_s=round(time.monotonic() - begun_s, 3),
            ok=not failed,
            told="; ".join(failed),
        )
    )
    return findings


async def _findings(
    settings: Settings, repository: Repository, entry: Entry, escrow: Escrow, *, space: str
) -> list[Finding]:
    stores = stores_of(settings, timeout_s=TIMEOUT_S)
    manifest = await repository.manifest(entry)
    async with opened(stores.in_order()):
        return [
            await _counts(settings, stores, manifest, escrow),
            *await _others(settings, manifest, escrow, repository, space=space),
            await _chain(settings, stores.relational["audit"]),
            await _keys_open(stores, escrow),
            await _erased_stay_closed(stores, escrow),
        ]


async def _counts(settings: Settings, stores: Stores, manifest: Mapping[str, Any], escrow: Escrow) -> Finding:
    rows = 0
    # Whose events are in Redis, before or now, has its outboxes set to where they are fed on from, and gets
    # its dead letters from there; all were compared as they were loaded.
    fitted = EVENTS in manifest["stores"] or settings.events_url is not None
    but = frozenset({consumers.name, dead_letters.name}) if fitted else frozenset()
    for name in STORES_IN_ORDER:
        kept = store_of(manifest["stores"][name])
        # From these, a restore takes out who was erased meanwhile.
        changed = bool(escrow.vault.shredded) and name in {"accounts", "audit"}
        if not changed and (found := await difference(stores.rows()[name], SCHEMAS[name], kept, but=but)):
            return Finding("rows", ok=False, told=found)
        rows += kept.rows
    told = f"{rows} rows and {len(manifest['blobs'])} files, each counted and hashed"
    return Finding("rows and files", ok=True, told=told)


async def _others(
    settings: Settings, manifest: Mapping[str, Any], escrow: Escrow, repository: Repository, *, space: str
) -> list[Finding]:
    """What is beside the rows, a finding a store."""
    kept = {name: store_of(stored) for name, stored in manifest["stores"].items()}
    names, findings = restorable(settings, kept), []
    async with carried_stores(settings, names, space=space) as stores:
        for name, store in stores.items():
            # A restore compares these, and then takes out who was erased meanwhile.
            changed = bool(escrow.vault.shredded) and name in EMBEDDED
            found = "" if changed else await store.difference(kept[name], repository)
            told = found or f"{kept[name].rows} rows, counted and hashed"
            findings.append(Finding(name, ok=not found, told=told))
    if EVENTS in kept and EVENTS not in names:
        told = f"{kept[EVENTS].rows} rows are kept; `--server redis://…` restores and counts them"
        findings.append(Finding(EVENTS, ok=True, told=told))
    return findings


async def _chain(settings: Settings, audit: Relational) -> Finding:
    seal = Seal(kept_secret(settings.keys_path, "audit-seal"))
    report = await audit.read(lambda c: audit_store.check_chain(c, seal))
    if report.damages:
        return Finding("audit chain", ok=False, told=str(report.damages[0]))
    return Finding("audit chain", ok=True, told=f"{report.records} records: intact")


async def _keys_open(stores: Stores, escrow: Escrow) -> Finding:
    values = await stores.vault.read(lambda c: _sealed(c, list(escrow.vault.patients)))
    opened_values = await stores.vault.unseal_each(values)
    closed = sum(value is None for value in opened_values)
    told = f"{len(values)} sealed values tried, {closed} did not open"
    return Finding("clinical values open", ok=closed == 0, told=told)


async def _erased_stay_closed(stores: Stores, escrow: Escrow) -> Finding:
    erased = list(escrow.vault.shredded)
    values = await stores.vault.read(lambda c: _sealed(c, erased))
    readable = sum(value is not None for value in await stores.vault.unseal_each(values))
    told = f"{len(erased)} people erased, {len(values)} sealed values tried, {readable} opened"
    return Finding("erased people stay unreadable", ok=readable == 0, told=told)


def _sealed(connection: Connection, patient_ids: list[str]) -> list[tuple[str, str, bytes]]:
    """Some sealed resources of those people, as the vault takes them."""
    query = sa.select(resources.c.patient_id, resources.c.id, resources.c.sealed)
    query = query.where(resources.c.patient_id.in_(patient_ids[:_SAMPLE])).order_by(resources.c.id)
    rows = connection.execute(query.limit(_SAMPLE))
    return [(row.patient_id, medical_store.resource_context(row.id), row.sealed) for row in rows]
