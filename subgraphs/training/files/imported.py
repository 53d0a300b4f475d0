"""The one value that every file format becomes, and the limits that reading keeps to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from subgraphs.training.files.problems import FileContents, FileWarning
from subgraphs.training.model import DeviceTotals, Interval, Lap, Sport, Streams


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much of a file is read. Past bytes or depth the file is refused, past the rest it is cut short."""

    file_bytes_max: int = 64 * 1024 * 1024
    expansion_ratio_max: int = 60
    points_max: int = 1_000_000
    messages_max: int = 2_000_000
    depth_max: int = 48
    text_characters_max: int = 10_000
    activities_max: int = 50


@dataclass(frozen=True, slots=True)
class ImportedActivity:
    """One activity of a file. `start_utc` is None where the file tells no believable time."""

    sport: Sport
    streams: Streams
    start_utc: datetime | None = None
    utc_offset_s: int | None = None
    sub_sport: str | None = None
    name: str | None = None
    device: str | None = None
    totals: DeviceTotals = field(default_factory=DeviceTotals)
    laps: tuple[Lap, ...] = ()
    intervals: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """All that was read of one file. `contents` counts the file's own elements, read or not believed."""

    format: str
    sha256: str
    size_bytes: int
    contents: FileContents
    activities: tuple[ImportedActivity, ...]
    warnings: tuple[FileWarning, ...] = ()
