"""FIT: documents into activities, one a session; other kinds of FIT file are refused by name."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from subgraphs.training.files.columns import COLUMNS, EARLIEST_S, Timeline, timeline
from subgraphs.training.files.fit_chain import parts_of
from subgraphs.training.files.fit_heart import with_heart_rates
from subgraphs.training.files.fit_laps import intervals_of, laps_of
from subgraphs.training.files.fit_messages import Fields, FitDocument, documents_of, number_of, unix_s
from subgraphs.training.files.imported import FileLimits, ImportedActivity, ImportedFile
from subgraphs.training.files.problems import (
    FileContents,
    FileWarning,
    NotAnActivity,
    NothingReadable,
    WarningCode,
)
from subgraphs.training.files.sports import sport_of
from subgraphs.training.model import DeviceTotals, FloatArray, StreamType

DISTANCE_COLUMN = COLUMNS.index(StreamType.DISTANCE)
KINDS = {
    "settings": "device settings",
    "monitoring_a": "daily monitoring",
    "monitoring_b": "daily monitoring",
    "monitoring_daily": "daily monitoring",
    "workout": "a structured workout",
    "course": "a course",
    "schedules": "a schedule",
    "weight": "weight-scale readings",
    "blood_pressure": "blood-pressure readings",
    "totals": "totals",
    "goals": "goals",
    "sport": "sport settings",
    "device": "a device description",
    "segment": "a segment",
}


def read_fit(content: bytes, *, sha256: str, limits: FileLimits) -> ImportedFile:
    """The activities of a FIT file or chain.

    Errors: NotAnActivity naming what the file is; NothingReadable where no record survived.
    """
    parts, warnings = parts_of(content)
    documents, damage = documents_of(parts, limits)
    warnings += damage
    chosen = [each for each in documents if len(each.rows) or each.of("session")]
    contents = _contents(documents)
    if not chosen:
        _refuse(documents, contents, warnings)
    warnings += [_passed_over(each) for each in documents if each not in chosen]
    activities: list[ImportedActivity] = []
    for document in chosen:
        made, told = _activities(document, first=len(activities) + 1)
        activities += made
        warnings += told
    return ImportedFile(
        format="FIT",
        sha256=sha256,
        size_bytes=len(content),
        contents=contents,
        activities=tuple(activities),
        warnings=tuple(warnings),
    )


def _contents(documents: list[FitDocument]) -> FileContents:
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(document.counts)
    kind = str(documents[0].identity.get("type", "unknown")) if documents else "unknown"
    return FileContents(kind, tuple(sorted(counts.items())))


def _refuse(documents: list[FitDocument], contents: FileContents, warnings: list[FileWarning]) -> None:
    kind = contents.kind
    if kind in KINDS:
        message = f"this FIT file holds {KINDS[kind]}, not an activity"
        raise NotAnActivity(message, contents=contents, warnings=tuple(warnings))
    if kind in {"activity", "unknown"} or not documents:
        message = "no record could be read of this FIT file"
        raise NothingReadable(message, contents=contents, warnings=tuple(warnings))
    message = f"this FIT file is of type `{kind}`, not an activity"
    raise NotAnActivity(message, contents=contents, warnings=tuple(warnings))


def _passed_over(document: FitDocument) -> FileWarning:
    kind = str(document.identity.get("type", "unknown"))
    message = (
        f"a part of the file holds {KINDS.get(kind, 'nothing that belongs to an activity')}: passed over"
    )
    return FileWarning(WarningCode.UNKNOWN_PART, message)


@dataclass(frozen=True, slots=True)
class _Span:
    """A session and the clock times that belong to it: from `begins_s` up to `ends_s`, Unix time."""

    session: Fields
    begins_s: float
    ends_s: float
    zero_s: float | None


def _spans(document: FitDocument) -> list[_Span]:
    """Sessions by their start; the first takes all that is earlier, each ends where the next begins."""
    sessions = sorted(document.of("session"), key=_start_or_last)
    if not sessions:
        return [_Span({}, -math.inf, math.inf, None)]
    starts = [unix_s(session.get("start_time")) for session in sessions]
    edges = [-math.inf, *(start if math.isfinite(start) else math.inf for start in starts[1:]), math.inf]
    return [
        _Span(
            session,
            edges[number],
            edges[number + 1],
            starts[number] if math.isfinite(starts[number]) else None,
        )
        for number, session in enumerate(sessions)
    ]


def _start_or_last(session: Fields) -> float:
    start = unix_s(session.get("start_time"))
    return start if math.isfinite(start) else math.inf


def _activities(document: FitDocument, *, first: int) -> tuple[list[ImportedActivity], list[FileWarning]]:
    warnings: list[FileWarning] = []
    if not document.of("session"):
        warnings.append(
            FileWarning(WarningCode.NO_SESSION, "no session was found: totals come from the records")
        )
    rows = with_heart_rates(document.rows.matrix(), document.of("hr"), warnings)
    spans = _spans(document)
    made: list[ImportedActivity] = []
    travelled_m = 0.0
    for number, span in enumerate(spans):
        inside, travelled_m = _from_zero(_rows_inside(rows, span, alone=len(spans) == 1), travelled_m)
        where = f"activity {first + number}" if first + number > 1 or len(spans) > 1 else None
        line = timeline(inside, _breaks(inside, document), at=where, zero_s=span.zero_s)
        warnings += line.warnings
        made.append(_activity(document, span, line))
    return made, warnings


def _rows_inside(rows: FloatArray, span: _Span, *, alone: bool) -> FloatArray:
    if alone:
        return rows
    return rows[(rows[:, 0] >= span.begins_s) & (rows[:, 0] < span.ends_s)]


def _from_zero(rows: FloatArray, travelled_m: float) -> tuple[FloatArray, float]:
    """`rows` with distances that count from where the session before ended, and where this one ends.

    Multisport devices count distance on over all sessions; a device that starts anew is left as it is.
    """
    distances = rows[:, DISTANCE_COLUMN]
    if not np.isfinite(distances).any():
        return rows, travelled_m
    first, last = float(np.nanmin(distances)), float(np.nanmax(distances))
    if travelled_m == 0.0 or first < travelled_m:
        return rows, last
    moved = rows.copy()
    moved[:, DISTANCE_COLUMN] -= travelled_m
    return moved, last


def _breaks(rows: FloatArray, document: FitDocument) -> list[int]:
    """Where the timer was started again: the first sample at or after each start that follows a stop."""
    starts: list[float] = []
    stopped = False
    for event in document.of("event"):
        if event.get("event") == "timer":
            if event.get("event_type") == "start" and stopped:
                starts.append(unix_s(event.get("timestamp")))
            stopped = event.get("event_type") != "start"
    if not len(rows) or not starts:
        return []
    times = np.maximum.accumulate(np.nan_to_num(rows[:, 0], nan=-np.inf))
    found = {int(number) for number in np.searchsorted(times, sorted(starts))}
    return sorted(number for number in found if 0 < number < len(rows))


def _activity(document: FitDocument, span: _Span, line: Timeline) -> ImportedActivity:
    session = span.session
    sport_words = document.of("sport")
    sport, sub_sport = session.get("sport"), session.get("sub_sport")
    if sport is None and sport_words:
        sport, sub_sport = sport_words[0].get("sport"), sport_words[0].get("sub_sport")
    kept = str(sub_sport) if isinstance(sub_sport, str) and sub_sport != "generic" else None
    start = line.start_utc
    if start is None and not line.streams.samples and span.zero_s is not None and span.zero_s >= EARLIEST_S:
        start = datetime.fromtimestamp(span.zero_s, UTC)
    zero_s = start.timestamp() if start else span.zero_s
    return ImportedActivity(
        sport=sport_of(kept, sport),
        sub_sport=kept,
        name=_text(session.get("sport_profile_name")),
        device=_device(document.identity),
        start_utc=start,
        utc_offset_s=_offset(document),
        streams=line.streams,
        totals=_totals(session),
        laps=laps_of(document, span.begins_s, span.ends_s, zero_s),
        intervals=intervals_of(document, span.begins_s, span.ends_s, zero_s),
    )


def _offset(document: FitDocument) -> int | None:
    """The wall clock's distance from UTC, as the `activity` message tells it, in whole quarter hours."""
    for message in document.of("activity"):
        here, there = message.get("local_timestamp"), message.get("timestamp")
        if isinstance(here, int) and isinstance(there, int) and abs(here - there) <= 15 * 3600:
            return round((here - there) / 900) * 900
    return None


def _device(identity: Fields) -> str | None:
    maker = identity.get("manufacturer")
    product = identity.get("garmin_product") or identity.get("product_name") or identity.get("product")
    words = [str(word) for word in (maker, product) if word is not None]
    return _text(" ".join(words))


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(letter for letter in value if letter.isprintable()).strip()[:200] or None


def _totals(session: Fields) -> DeviceTotals:
    def told(*names: str) -> float | None:
        value = number_of(session, *names)
        return value if math.isfinite(value) else None

    return DeviceTotals(
        elapsed_s=told("total_elapsed_time"),
        timer_s=told("total_timer_time"),
        distance_m=told("total_distance"),
        ascent_m=told("total_ascent"),
        descent_m=told("total_descent"),
        calories_kcal=told("total_calories"),
        heart_rate_average_bpm=told("avg_heart_rate") or None,
        heart_rate_max_bpm=told("max_heart_rate") or None,
        power_average_w=told("avg_power"),
        normalised_power_w=told("normalized_power"),
        cadence_average_rpm=told("avg_cadence", "avg_running_cadence", "avg_swimming_cadence"),
        pool_length_m=told("pool_length"),
    )
