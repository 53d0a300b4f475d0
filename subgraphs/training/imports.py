"""A file becomes activities: read, measure, keep the bytes, write the rows and the event, in this order.

INVARIANT: the bytes are stored before the rows that name them, and the rows with their event in one
transaction. A process that dies in between leaves at most bytes without rows; the same import mends it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection

from subgraphs.training.events import ACTIVITY_ADDED, activity_event
from subgraphs.training.files.imported import FileLimits, ImportedActivity, ImportedFile
from subgraphs.training.files.problems import FileRefused, FileTooLarge, FileWarning, WarningCode
from subgraphs.training.files.read import GZIP_SIGNATURE, read_file
from subgraphs.training.metrics.compute import Measurement, derive, measure
from subgraphs.training.model import Activity, Metric, Threshold, thresholds_on
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import activities as rows
from subgraphs.training.store.columnar import EncodedColumn, encoded
from subgraphs.training.store.doomed import spare
from subgraphs.training.store.thresholds import history

FUTURE_MAX = timedelta(hours=24)
CHUNK_BYTES = 256 * 1024
NAME_CHARACTERS_MAX = 200


class ImportState(StrEnum):
    """How an import ended."""

    IMPORTED = "IMPORTED"
    ALREADY_THERE = "ALREADY_THERE"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of one file. `activities` are all of the file, `added` those that were not there before.

    A refused file has `code` and `message`, and nothing was written.
    """

    file_name: str | None
    state: ImportState
    sha256: str | None = None
    activities: tuple[Activity, ...] = ()
    added: tuple[str, ...] = ()
    warnings: tuple[FileWarning, ...] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """A file that was read, with what was measured of each activity; made off the event loop."""

    file: ImportedFile
    measured: tuple[Measurement, ...]
    columns: tuple[tuple[EncodedColumn, ...], ...]


def read_and_measure(content: bytes, limits: FileLimits) -> MeasuredFile:
    """The CPU-bound part of an import.  Errors: FileRefused."""
    file = read_file(content, limits=limits)
    barometer = file.format == "FIT"
    measured = tuple(
        measure(each.streams, each.totals, each.sport, barometer=barometer) for each in file.activities
    )
    columns = tuple(
        encoded(each.streams, found.seconds_by_rate)
        for each, found in zip(file.activities, measured, strict=True)
    )
    return MeasuredFile(file, measured, columns)


def blob_key(athlete_id: str, sha256: str) -> str:
    """Where an athlete's file is kept: per athlete, so that deleting hers takes nobody else's."""
    owner = hashlib.sha256(athlete_id.encode()).hexdigest()[:32]
    return f"activities/{owner}/{sha256}"


async def import_content(
    ports: TrainingPorts, athlete_id: str, content: bytes, *, file_name: str | None = None
) -> ImportOutcome:
    """Import one file's bytes. The same bytes again give the same activities, and nothing new.

    Errors: Unavailable where a store is gone; what is wrong with the file is in the outcome.
    """
    try:
        async with ports.reading:
            made = await ports.off_the_loop(read_and_measure, content, ports.limits)
    except FileRefused as refused:
        return ImportOutcome(
            file_name,
            ImportState.REFUSED,
            warnings=refused.warnings,
            code=refused.code,
            message=refused.message,
        )
    file, now = made.file, ports.clock()
    drafts, clock_warnings = _drafts(ports, athlete_id, made, now)
    warnings = (*file.warnings, *clock_warnings)
    kept = rows.KeptFile(
        athlete_id=athlete_id,
        sha256=file.sha256,
        size_bytes=len(content),
        format=f"{file.format}.GZ" if content[:2] == GZIP_SIGNATURE else file.format,
        name=_short(file_name, NAME_CHARACTERS_MAX),
        warnings=tuple((warning.code.value, warning.message, warning.at) for warning in warnings),
        imported_at_utc=now,
    )

    key = blob_key(athlete_id, file.sha256)

    def write(connection: Connection) -> tuple[list[str], list[Activity]]:
        known = history(connection, athlete_id)
        rows.keep_file(connection, kept)
        spare(connection, [key])
        added = [
            draft.activity.id
            for draft in (_derived(each, known) for each in drafts)
            if rows.add(connection, draft, now=now)
        ]
        ports.outbox.append(
            connection,
            [
                activity_event(ACTIVITY_ADDED, activity_id=each, athlete_id=athlete_id, at_utc=now)
                for each in added
            ],
        )
        return added, rows.of_file(connection, athlete_id, file.sha256)

    async with ports.files_lock:
        await ports.blobs.put(key, _chunks(content), size_bytes_max=ports.limits.file_bytes_max)
        added, there = await ports.relational.write(write)
    state = ImportState.IMPORTED if added else ImportState.ALREADY_THERE
    return ImportOutcome(
        file_name, state, file.sha256, activities=tuple(there), added=tuple(added), warnings=warnings
    )


async def import_file(ports: TrainingPorts, athlete_id: str, path: Path) -> ImportOutcome:
    """Import a file of this machine. What cannot be read of the disk is a refusal too."""
    try:
        content = await ports.off_the_loop(_read_whole, path, ports.limits.file_bytes_max)
    except FileRefused as refused:
        return ImportOutcome(path.name, ImportState.REFUSED, code=refused.code, message=refused.message)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return ImportOutcome(path.name, ImportState.REFUSED, code="FILE_NOT_READABLE", message=message)
    return await import_content(ports, athlete_id, content, file_name=path.name)


async def import_files(
    ports: TrainingPorts, athlete_id: str, paths: Sequence[Path]
) -> AsyncIterator[ImportOutcome]:
    """One outcome a file as soon as it is written; a bad file never ends the batch."""
    for path in paths:
        yield await import_file(ports, athlete_id, path)


def _read_whole(path: Path, bytes_max: int) -> bytes:
    size = path.stat().st_size
    if size > bytes_max:
        raise FileTooLarge(f"the file has {size} bytes: at most {bytes_max} are read")
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise FileTooLarge(f"the file has more than {bytes_max} bytes")
    return content


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]


def _drafts(
    ports: TrainingPorts, athlete_id: str, made: MeasuredFile, now: datetime
) -> tuple[list[rows.NewActivity], list[FileWarning]]:
    drafts: list[rows.NewActivity] = []
    warnings: list[FileWarning] = []
    parts = zip(made.file.activities, made.measured, made.columns, strict=True)
    for index, (imported, measured, columns) in enumerate(parts):
        start = imported.start_utc
        if start is not None and start > now + FUTURE_MAX:
            message = "the file's times lie in the future: the time of the import is used"
            where = f"activity {index + 1}" if len(made.measured) > 1 else None
            warnings.append(FileWarning(WarningCode.TIMES_IMPLAUSIBLE, message, where))
            start = None
        origin = (made.file.sha256, index)
        activity = _activity(
            imported,
            measured,
            activity_id=ports.new_id(),
            athlete_id=athlete_id,
            origin=origin,
            start=start or now,
        )
        drafts.append(
            rows.NewActivity(
                activity=activity if start else _without_start(activity),
                measured=measured,
                derived=(),
                columns=columns,
                laps=imported.laps,
                intervals=imported.intervals,
            )
        )
    return drafts, warnings


def _activity(
    imported: ImportedActivity,
    measured: Measurement,
    *,
    activity_id: str,
    athlete_id: str,
    origin: tuple[str, int],
    start: datetime,
) -> Activity:
    return Activity(
        id=activity_id,
        athlete_id=athlete_id,
        sport=imported.sport,
        started_at_utc=start,
        utc_offset_s=imported.utc_offset_s,
        sub_sport=_short(imported.sub_sport, 64),
        name=_short(imported.name, NAME_CHARACTERS_MAX),
        device=_short(imported.device, NAME_CHARACTERS_MAX),
        elapsed_s=measured.elapsed_s,
        moving_s=measured.moving_s,
        distance_m=measured.distance_m,
        ascent_m=measured.ascent_m,
        descent_m=measured.descent_m,
        calories_kcal=imported.totals.calories_kcal,
        file_sha256=origin[0],
        file_index=origin[1],
    )


def _short(text: str | None, characters_max: int) -> str | None:
    """What a file calls something, as it can be shown: no control and no direction characters."""
    if not text:
        return None
    shown = "".join(letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", text))
    return " ".join(shown.split())[:characters_max] or None


def _without_start(activity: Activity) -> Activity:
    return replace(activity, start_known=False, utc_offset_s=None)


def _derived(draft: rows.NewActivity, known: list[Threshold]) -> rows.NewActivity:
    made: tuple[Metric, ...] = derive(draft.measured, thresholds_on(known, rows.local_day(draft.activity)))
    load = next((metric.value for metric in made if metric.name == "load"), None)
    return replace(draft, activity=replace(draft.activity, load=load), derived=made)
