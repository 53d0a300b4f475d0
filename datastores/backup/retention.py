"""What of the backups is let go: by number and by age, and never what one that is kept needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from datastores.backup.errors import BackupDamaged
from datastores.backup.repository import Entry, Repository

TRIMMED = "trimmed"
"""The kind of entry that tells of segments of a log that went."""
_LABEL = re.compile(rb"START WAL LOCATION: [0-9A-F]+/[0-9A-F]+ \(file ([0-9A-F]{24})\)")
_LABEL_BYTES_MAX = 200
_LOG = "wal/"
_TIMELINE_DIGITS = 8
_SEGMENT_DIGITS = 24


@dataclass(frozen=True, slots=True)
class Retention:
    """Which backups stay: the newest `backups` of each kind, and those of the last `days`; the newest always.

    Of whole clusters also the last one before those days, so that every moment of them can be reached.
    """

    backups: int | None = None
    days: float | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much went."""

    backups: int = 0
    segments: int = 0


async def prune(repository: Repository, retention: Retention, *, at_utc: datetime) -> Pruned:
    """Remove the backups that `retention` does not keep, and the segments of a PostgreSQL's log that no
    cluster that is kept needs. Where no cluster is kept, every segment stays.

    Errors: ValueError where `retention` says nothing; StoreError.
    """
    if retention.backups is None and retention.days is None:
        raise ValueError("say how many backups to keep, or of how many days")
    kinds = {kind: await repository.backups(kind) for kind in ("backup", "base")}
    gone = [entry for kind, entries in kinds.items() for entry in let_go(kind, entries, retention, at_utc)]
    kept = [entry for entries in kinds.values() for entry in entries if entry not in gone]
    await repository.forget(gone, kept=kept)
    bases = [entry for entry in kept if entry.kind == "base"]
    return Pruned(len(gone), await _trim(repository, bases, at_utc))


def let_go(kind: str, entries: Sequence[Entry], retention: Retention, at_utc: datetime) -> list[Entry]:
    """Those of `entries`, oldest first and all of one kind, that are not kept."""
    kept = {entry.backup_id for entry in entries[-max(retention.backups or 0, 1) :]}
    if retention.days is not None:
        since = at_utc - timedelta(days=retention.days)
        older = [entry for entry in entries if datetime.fromisoformat(entry.at_utc) < since]
        kept |= {entry.backup_id for entry in entries[len(older) :]}
        if kind == "base" and older:
            kept.add(older[-1].backup_id)
    return [entry for entry in entries if entry.backup_id not in kept]


async def _trim(repository: Repository, bases: Sequence[Entry], at_utc: datetime) -> int:
    """Remove the segments before the first that one of `bases` begins with, whatever its timeline; histories
    of timelines are small, and stay."""
    if not bases:
        return 0
    needed = min([_place(await first_segment(repository, base)) for base in bases])
    names = [name async for name in repository.list_sealed(_LOG)]
    old = [name for name in names if _is_segment(name) and _place(name.removeprefix(_LOG)) < needed]
    if not old:
        return 0
    told = f"{len(old)} segments of the log before {needed}"
    noted = Entry(TRIMMED, bases[0].backup_id, at_utc.astimezone(UTC).isoformat(), 0.0, ok=True, told=told)
    await repository.note(noted)
    for name in old:
        await repository.delete_sealed(name)
    return len(old)


async def first_segment(repository: Repository, base: Entry) -> str:
    """The first segment of the log that recovery from `base` reads, as its own label says.

    Source: PostgreSQL 15, 26.3.3, on `backup_label`. Errors: BackupDamaged where it has none.
    """
    [part] = (await repository.manifest(base))["blobs"]
    end = b""
    async for chunk in repository.chunks(part["chunks"]):
        if found := _LABEL.search(end + chunk):
            return found[1].decode()
        end = chunk[-_LABEL_BYTES_MAX:]
    raise BackupDamaged(f"the cluster `{base.backup_id}` has no label: nothing of the log is removed")


def _is_segment(name: str) -> bool:
    """Whether it is one, or the note of a cluster in one, rather than a timeline's history."""
    return len(name) >= len(_LOG) + _SEGMENT_DIGITS


def _place(segment: str) -> str:
    """Where in the log a segment is, without its timeline: 16 digits."""
    return segment[_TIMELINE_DIGITS:_SEGMENT_DIGITS]
