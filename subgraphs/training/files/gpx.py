"""GPX 1.0 and 1.1: tracks into activities; waypoints and routes are counted, not imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from subgraphs.training.files.columns import Rows, Timeline, timeline
from subgraphs.training.files.imported import FileLimits, ImportedActivity, ImportedFile
from subgraphs.training.files.points import PointReader, offset_s
from subgraphs.training.files.problems import (
    FileContents,
    FileWarning,
    NotAnActivity,
    NothingReadable,
    WarningCode,
)
from subgraphs.training.files.sports import sport_of
from subgraphs.training.files.xml_events import read_elements
from subgraphs.training.model import DeviceTotals, FloatArray, Sport

SAME_OUTING_S_MAX = 1800.0
"""A track that begins within this after the one before, of the same type, continues its activity."""


@dataclass(slots=True)
class _Track:
    """One `<trk>`."""

    rows: Rows = field(default_factory=Rows)
    name: str | None = None
    sport_word: str | None = None
    first_time: str | None = None
    empty_segments: int = 0


class _GpxElements:
    """Follows the elements of a GPX file."""

    def __init__(self, limits: FileLimits) -> None:
        self.points = PointReader(limits)
        self.tracks: list[_Track] = []
        self.counts = dict.fromkeys(("tracks", "segments", "routes", "route_points", "waypoints"), 0)
        self.creator: str | None = None
        self.root_seen = False
        self._path: list[str] = []
        self._texts: dict[str, str] | None = None
        self._segment_began = 0

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """A track, a segment or a point begins."""
        self._path.append(name)
        counted = _COUNTED.get(name)
        if counted:
            self.counts[counted] += 1
        if name == "gpx":
            self.root_seen = True
            self.creator = attributes.get("creator")
        elif name == "trk":
            self.tracks.append(_Track())
        elif name == "trkseg" and self.tracks:
            self.tracks[-1].rows.begin_segment()
            self._segment_began = len(self.tracks[-1].rows)
        elif name == "trkpt":
            self._texts = {
                "latitudedegrees": attributes.get("lat", ""),
                "longitudedegrees": attributes.get("lon", ""),
            }

    def end(self, name: str, text: str) -> None:
        """A text or a point is complete."""
        self._path.pop()
        if name == "trkpt":
            self._end_point()
        elif self._texts is not None:
            if text:
                self._texts.setdefault(name.lower(), text)
        elif name == "trkseg" and self.tracks:
            self.tracks[-1].empty_segments += self._segment_began == len(self.tracks[-1].rows)
        elif self._path and self._path[-1] == "trk" and self.tracks:
            if name == "name":
                self.tracks[-1].name = text or None
            elif name == "type":
                self.tracks[-1].sport_word = text if any(letter.isalnum() for letter in text) else None

    def _end_point(self) -> None:
        if self._texts is None or not self.tracks:
            return
        texts, self._texts = self._texts, None
        track = self.tracks[-1]
        if track.first_time is None:
            track.first_time = texts.get("time")
        self.points.add(track.rows, texts)


_COUNTED = {
    "trk": "tracks",
    "trkseg": "segments",
    "rte": "routes",
    "rtept": "route_points",
    "wpt": "waypoints",
}


def read_gpx(content: bytes, *, sha256: str, limits: FileLimits) -> ImportedFile:
    """The activities of a GPX file.

    Errors: NotAnActivity without track points; NothingReadable; UnsafeFile.
    """
    elements = _GpxElements(limits)
    warnings = read_elements(content, elements, limits)
    contents = FileContents("gpx", (*elements.counts.items(), ("track_points", elements.points.total)))
    if not elements.points.total:
        _refuse(elements, contents, warnings)
    empty = sum(track.empty_segments for track in elements.tracks)
    if empty:
        warnings.append(FileWarning(WarningCode.EMPTY_SEGMENT, f"{empty} track segments have no points"))
    warnings += elements.points.report()
    activities = []
    for number, outing in enumerate(_outings(elements.tracks)):
        where = f"activity {number + 1}" if number else None
        made = timeline(*_rows(outing), at=where)
        warnings += made.warnings
        activities.append(_activity(outing, made, elements.creator))
    return ImportedFile(
        format="GPX",
        sha256=sha256,
        size_bytes=len(content),
        contents=contents,
        activities=tuple(activities),
        warnings=tuple(warnings),
    )


def _refuse(elements: _GpxElements, contents: FileContents, warnings: list[FileWarning]) -> None:
    if warnings or not elements.root_seen:
        raise NothingReadable(
            "no track point could be read of this GPX file", contents=contents, warnings=tuple(warnings)
        )
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in elements.counts.items() if count]
    held = " and ".join(parts) or "nothing"
    raise NotAnActivity(
        f"this GPX file holds {held} but no track points: there is no activity in it", contents=contents
    )


def _outings(tracks: list[_Track]) -> list[list[_Track]]:
    """Tracks that continue one another, together."""
    outings: list[list[_Track]] = []
    for track in tracks:
        if not len(track.rows):
            continue
        if outings and _continues(outings[-1][-1], track):
            outings[-1].append(track)
        else:
            outings.append([track])
    return outings


def _continues(earlier: _Track, later: _Track) -> bool:
    ends, begins = earlier.rows.matrix()[:, 0], later.rows.matrix()[:, 0]
    if np.isnan(ends).all() or np.isnan(begins).all():
        return False
    pause = float(np.nanmin(begins)) - float(np.nanmax(ends))
    return earlier.sport_word == later.sport_word and 0.0 <= pause <= SAME_OUTING_S_MAX


def _rows(outing: list[_Track]) -> tuple[FloatArray, list[int]]:
    breaks: list[int] = []
    before = 0
    for track in outing:
        breaks += [before] if before else []
        breaks += [before + number for number in track.rows.breaks if number]
        before += len(track.rows)
    return np.concatenate([track.rows.matrix() for track in outing]), breaks


def _activity(outing: list[_Track], made: Timeline, creator: str | None) -> ImportedActivity:
    first = outing[0]
    sport = sport_of(first.sport_word)
    return ImportedActivity(
        sport=sport,
        sub_sport=first.sport_word if sport is Sport.OTHER else None,
        name=first.name,
        device=creator,
        start_utc=made.start_utc,
        utc_offset_s=offset_s(first.first_time),
        streams=made.streams,
        totals=DeviceTotals(),
    )
