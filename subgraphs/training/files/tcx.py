"""TCX: each `<Activity>` into an activity with its laps; courses and workouts are told by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from subgraphs.training.files.columns import Rows, Timeline, timeline
from subgraphs.training.files.imported import FileLimits, ImportedActivity, ImportedFile
from subgraphs.training.files.points import PointReader, moment, number, offset_s
from subgraphs.training.files.problems import FileContents, FileWarning, NotAnActivity, NothingReadable
from subgraphs.training.files.sports import sport_of
from subgraphs.training.files.xml_events import read_elements
from subgraphs.training.model import DeviceTotals, Lap, Sport

WORD_CHARACTERS_MAX = 32


@dataclass(slots=True)
class _LapTexts:
    """One `<Lap>`."""

    start: str | None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _ActivityTexts:
    """One `<Activity>`."""

    sport_word: str
    rows: Rows = field(default_factory=Rows)
    laps: list[_LapTexts] = field(default_factory=list)
    device: str | None = None
    notes: str | None = None
    identity: str | None = None


class _TcxElements:
    """Follows the elements of a TCX file."""

    def __init__(self, limits: FileLimits) -> None:
        self.points = PointReader(limits)
        self.activities: list[_ActivityTexts] = []
        self.counts = dict.fromkeys(("activities", "laps", "courses", "workouts"), 0)
        self.root_seen = False
        self._path: list[str] = []
        self._point: dict[str, str] | None = None

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """An activity, a lap, a track or a point begins."""
        self._path.append(name)
        counted = _COUNTED.get(name)
        if counted:
            self.counts[counted] += 1
        if name == "TrainingCenterDatabase":
            self.root_seen = True
        elif name == "Activity":
            self.activities.append(_ActivityTexts(attributes.get("Sport", "")))
        elif name == "Lap" and self.activities:
            self.activities[-1].laps.append(_LapTexts(attributes.get("StartTime")))
        elif name == "Track" and self.activities:
            self.activities[-1].rows.begin_segment()
        elif name == "Trackpoint":
            self._point = {}

    def end(self, name: str, text: str) -> None:
        """A text or a point is complete."""
        self._path.pop()
        if not self.activities:
            return
        current = self.activities[-1]
        if name == "Trackpoint":
            texts, self._point = self._point, None
            self.points.add(current.rows, texts or {})
        elif self._point is not None:
            self._point_text(name, text)
        elif text and self._path:
            self._activity_text(current, name, text)

    def _point_text(self, name: str, text: str) -> None:
        if text and self._point is not None:
            # `<HeartRateBpm><Value>`: the value stands in a child.
            key = self._path[-1] if name == "Value" and self._path else name
            self._point.setdefault(key.lower(), text)

    def _activity_text(self, current: _ActivityTexts, name: str, text: str) -> None:
        parent = self._path[-1]
        if parent == "Lap" and current.laps:
            current.laps[-1].texts.setdefault(name, text)
        elif name == "Value" and current.laps:
            current.laps[-1].texts.setdefault(parent, text)
        elif name == "AvgWatts" and current.laps:
            current.laps[-1].texts.setdefault(name, text)
        elif parent == "Creator" and name == "Name":
            current.device = text
        elif parent == "Activity" and name == "Id":
            current.identity = text


_COUNTED = {"Activity": "activities", "Lap": "laps", "Course": "courses", "Workout": "workouts"}


def read_tcx(content: bytes, *, sha256: str, limits: FileLimits) -> ImportedFile:
    """The activities of a TCX file. Errors: NotAnActivity for courses and workouts, NothingReadable."""
    elements = _TcxElements(limits)
    warnings = read_elements(content, elements, limits)
    contents = FileContents("tcx", (*elements.counts.items(), ("track_points", elements.points.total)))
    readable = [each for each in elements.activities if len(each.rows) or each.laps]
    if not readable:
        _refuse(elements, contents, warnings)
    warnings += elements.points.report()
    activities = []
    for position, texts in enumerate(readable):
        where = f"activity {position + 1}" if len(readable) > 1 else None
        made = timeline(texts.rows.matrix(), list(texts.rows.breaks), at=where)
        warnings += made.warnings
        activities.append(_activity(texts, made))
    return ImportedFile(
        format="TCX",
        sha256=sha256,
        size_bytes=len(content),
        contents=contents,
        activities=tuple(activities),
        warnings=tuple(warnings),
    )


def _refuse(elements: _TcxElements, contents: FileContents, warnings: list[FileWarning]) -> None:
    if warnings or not elements.root_seen:
        raise NothingReadable(
            "no activity could be read of this TCX file", contents=contents, warnings=tuple(warnings)
        )
    kind = (
        "a course"
        if elements.counts["courses"]
        else "a workout"
        if elements.counts["workouts"]
        else "nothing"
    )
    raise NotAnActivity(f"this TCX file holds {kind}, not an activity", contents=contents)


def _activity(texts: _ActivityTexts, made: Timeline) -> ImportedActivity:
    sport = sport_of(texts.sport_word)
    first = texts.laps[0].start if texts.laps else texts.identity
    start = made.start_utc or (None if made.streams.samples else _utc(first))
    return ImportedActivity(
        sport=sport,
        sub_sport=texts.sport_word or None if sport is Sport.OTHER else None,
        device=texts.device,
        start_utc=start,
        utc_offset_s=offset_s(first),
        streams=made.streams,
        totals=_totals(texts.laps),
        laps=_laps(texts.laps),
    )


def _utc(text: str | None) -> datetime | None:
    at = moment(text)
    return at.astimezone(UTC) if at else None


def _word(text: str | None) -> str | None:
    """One of TCX's enumerated words; anything longer is none of them."""
    return text if text and len(text) <= WORD_CHARACTERS_MAX else None


def _sum(laps: list[_LapTexts], name: str) -> float | None:
    values = [number(lap.texts.get(name)) for lap in laps]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _totals(laps: list[_LapTexts]) -> DeviceTotals:
    return DeviceTotals(
        timer_s=_sum(laps, "TotalTimeSeconds"),
        distance_m=_sum(laps, "DistanceMeters"),
        calories_kcal=_sum(laps, "Calories"),
    )


def _laps(texts: list[_LapTexts]) -> tuple[Lap, ...]:
    """Laps by the time that they name, after the first one's; without times, one after the other."""
    starts = [moment(lap.start) for lap in texts]
    zero = next((start for start in starts if start is not None), None)
    laps, clock_s = [], 0.0
    for index, (lap, start) in enumerate(zip(texts, starts, strict=True)):
        start_s = (start - zero).total_seconds() if start and zero else clock_s
        duration_s = number(lap.texts.get("TotalTimeSeconds"))
        clock_s = start_s + (duration_s or 0.0)
        laps.append(
            Lap(
                index=index,
                start_s=start_s,
                timer_s=duration_s,
                distance_m=number(lap.texts.get("DistanceMeters")),
                heart_rate_average_bpm=number(lap.texts.get("AverageHeartRateBpm")),
                heart_rate_max_bpm=number(lap.texts.get("MaximumHeartRateBpm")),
                power_average_w=number(lap.texts.get("AvgWatts")),
                cadence_average_rpm=number(lap.texts.get("Cadence")),
                trigger=_word(lap.texts.get("TriggerMethod")),
            )
        )
    return tuple(laps)
