"""FIT messages, decoded by fitdecode and gathered by kind; survives what damaged bytes make it raise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fitdecode

from subgraphs.training.files.columns import NAN, Rows
from subgraphs.training.files.fit_chain import FitPart
from subgraphs.training.files.imported import FileLimits
from subgraphs.training.files.problems import FileWarning, WarningCode

Fields = Mapping[str, Any]

KEPT = frozenset(
    {"file_id", "session", "lap", "length", "set", "event", "activity", "device_info", "sport", "hr"}
)
"""Messages whose fields are kept as they are; records go straight into rows."""
DEGREES = 180.0 / 2**31
RECORD_FIELDS: tuple[tuple[str, ...], ...] = (
    ("timestamp",),
    ("position_lat",),
    ("position_long",),
    ("enhanced_altitude", "altitude"),
    ("distance",),
    ("heart_rate",),
    ("power",),  # developer fields called `Power` are of any unit: none is believed
    ("cadence",),
    ("enhanced_speed", "speed"),
    ("temperature",),
)
FIT_EPOCH_S = 631_065_600
"""1989-12-31T00:00:00Z in Unix time: FIT counts seconds from here."""


@dataclass(slots=True)
class FitDocument:
    """What belongs to one `file_id`, over all parts of the chain that continue it."""

    identity: Fields = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    rows: Rows = field(default_factory=Rows)
    messages: dict[str, list[Fields]] = field(default_factory=dict)

    def of(self, name: str) -> list[Fields]:
        """The kept messages of a kind, in the file's order."""
        return self.messages.get(name, [])


def unix_s(fit_s: Any) -> float:
    """Unix time of a FIT timestamp; a time since power-on stays as small as it is."""
    if not isinstance(fit_s, int | float):
        return NAN
    return float(fit_s) + FIT_EPOCH_S if fit_s >= 0x10000000 else float(fit_s)


def documents_of(parts: list[FitPart], limits: FileLimits) -> tuple[list[FitDocument], list[FileWarning]]:
    """The documents of a chain: a part without `file_id` continues the one before it."""
    documents: list[FitDocument] = []
    warnings: list[FileWarning] = []
    budget = _Budget(limits)
    for part in parts:
        current: FitDocument | None = None
        for name, fields in _messages(part, warnings):
            if name == "file_id" or (current is None and not documents):
                current = FitDocument()
                documents.append(current)
            elif current is None:
                current = documents[-1]
            if not budget.spend(name, warnings, part.offset):
                return documents, warnings
            _take(current, name, fields)
    return documents, warnings


@dataclass(slots=True)
class _Budget:
    limits: FileLimits
    messages: int = 0
    records: int = 0

    def spend(self, name: str, warnings: list[FileWarning], offset: int) -> bool:
        self.messages += 1
        self.records += name == "record"
        if self.records > self.limits.points_max:
            message = f"only the first {self.limits.points_max} records were read"
            warnings.append(FileWarning(WarningCode.TOO_MANY_POINTS, message, f"byte {offset}"))
            return False
        if self.messages > self.limits.messages_max:
            message = f"only the first {self.limits.messages_max} messages were read"
            warnings.append(FileWarning(WarningCode.TOO_MANY_MESSAGES, message, f"byte {offset}"))
            return False
        return True


def _messages(part: FitPart, warnings: list[FileWarning]) -> Iterator[tuple[str, Fields]]:
    """The data messages of one part up to its end or its damage."""
    reader = fitdecode.FitReader(
        part.content,
        processor=None,
        check_crc=fitdecode.CrcCheck.DISABLED,
        error_handling=fitdecode.ErrorHandling.IGNORE,
    )
    frames = iter(reader)
    while True:
        try:
            frame = next(frames)
            if not isinstance(frame, fitdecode.FitDataMessage):
                continue
            item = (str(frame.name), _fields(frame))
        except StopIteration:
            return
        except Exception as error:  # the decoder raises nearly anything on damaged bytes
            if not _told_by_the_outer_form(error, part):
                warnings.append(_damage(error, part, reader))
            return
        yield item


def _fields(frame: Any) -> Fields:
    """Field values by name, the first of a name; enumerations as words, times as FIT seconds.

    Components (`event_timestamp` out of `event_timestamp_12`) have no definition of their own in the file
    and never hide a field that has.
    """
    fields: dict[str, Any] = {}
    for each in frame.fields:
        if each.value is not None:
            fields.setdefault(each.name, each.value)
    return fields


def _told_by_the_outer_form(error: Exception, part: FitPart) -> bool:
    """A cut body was already reported when the chain was walked."""
    if not isinstance(error, fitdecode.FitEOFError):
        return False
    declared = part.content[0] + int.from_bytes(part.content[4:8], "little") + 2
    return declared > len(part.content)


def _damage(error: Exception, part: FitPart, reader: Any) -> FileWarning:
    inside = getattr(error, "offset", None)
    if not isinstance(inside, int):
        inside = min(int(getattr(reader, "_read_offset", 0)), len(part.content))
    message = "a message is damaged here: the rest of this part was not read"
    return FileWarning(WarningCode.DAMAGED, message, f"byte {part.offset + inside}")


def _take(document: FitDocument, name: str, fields: Fields) -> None:
    document.counts[name] += 1
    if name == "record":
        document.rows.values.extend(_row(fields))
    elif name in KEPT:
        document.messages.setdefault(name, []).append(fields)
        if name == "file_id":
            document.identity = fields


def _row(fields: Fields) -> list[float]:
    row = [number_of(fields, *names) for names in RECORD_FIELDS]
    row[0] = unix_s(fields.get("timestamp"))
    row[1] *= DEGREES
    row[2] *= DEGREES
    fraction = fields.get("fractional_cadence")
    if isinstance(fraction, int | float):
        row[7] += fraction
    return row


def number_of(fields: Fields, *names: str) -> float:
    """The first of `names` that holds one number, else NaN."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return NAN
