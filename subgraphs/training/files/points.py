"""The text of one track point, as GPX and TCX spell it, made into numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from subgraphs.training.files.columns import NAN, Rows
from subgraphs.training.files.imported import FileLimits
from subgraphs.training.files.problems import FileWarning, WarningCode
from subgraphs.training.files.xml_events import EnoughRead

# Local names in lower case, in the order of `columns.COLUMNS` after the time; the first that is there counts.
SPELLINGS: tuple[tuple[str, ...], ...] = (
    ("latitudedegrees",),
    ("longitudedegrees",),
    ("ele", "altitudemeters"),
    ("distancemeters",),
    ("hr", "heartrate", "heartratebpm"),
    ("power", "watts", "powerinwatts"),
    ("cad", "cadence", "runcadence", "bikecadence"),
    ("speed",),
    ("atemp", "temp", "temperature"),
)


def number(text: str | None) -> float | None:
    """A finite decimal number, or None."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def moment(text: str | None) -> datetime | None:
    """An ISO 8601 time with date, or None; without zone it is taken as UTC."""
    if not text or len(text) < 16:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def offset_s(text: str | None) -> int | None:
    """The offset that a time spells out; None for `Z` and for none, which say nothing of the place."""
    if not text or text.endswith(("Z", "z")):
        return None
    at = moment(text)
    offset = at.utcoffset() if at else None
    return int(offset.total_seconds()) if offset else None


@dataclass(slots=True)
class PointReader:
    """Gathers points into rows and counts what could not be read of them."""

    limits: FileLimits
    total: int = 0
    unreadable: int = 0
    zoneless: int = 0
    warnings: list[FileWarning] = field(default_factory=list)

    def add(self, rows: Rows, texts: Mapping[str, str]) -> None:
        """One point, its texts by lower-case local name. EnoughRead past `points_max`."""
        if self.total >= self.limits.points_max:
            message = f"only the first {self.limits.points_max} points were read"
            self.warnings.append(FileWarning(WarningCode.TOO_MANY_POINTS, message))
            raise EnoughRead
        self.total += 1
        rows.values.append(self._time(texts.get("time")))
        for names in SPELLINGS:
            text = next((texts[name] for name in names if texts.get(name)), None)
            value = number(text)
            if text is not None and value is None:
                self.unreadable += 1
            rows.values.append(NAN if value is None else value)

    def _time(self, text: str | None) -> float:
        if not text:
            return NAN
        at = moment(text)
        if at is None:
            self.unreadable += 1
            return NAN
        if at.year < 2 or at.year > 9998:
            return NAN
        if text[-1] not in "Zz" and "+" not in text and "-" not in text[10:]:
            self.zoneless += 1
        return at.timestamp()

    def report(self) -> list[FileWarning]:
        """What `add` counted, as warnings."""
        found = list(self.warnings)
        if self.unreadable:
            message = f"{self.unreadable} values are not numbers or times and were left out"
            found.append(FileWarning(WarningCode.VALUE_UNREADABLE, message))
        if self.zoneless:
            message = f"{self.zoneless} times have no zone and were taken as UTC"
            found.append(FileWarning(WarningCode.TIMES_WITHOUT_ZONE, message))
        return found
