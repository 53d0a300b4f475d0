"""What a file may be wrong in: errors refuse the file, warnings tell what could not be read of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class WarningCode(StrEnum):
    """What was not read, or not believed, in a file that was imported all the same."""

    CRC_MISMATCH = "CRC_MISMATCH"
    DAMAGED = "DAMAGED"
    TRUNCATED = "TRUNCATED"
    TRAILING_BYTES = "TRAILING_BYTES"
    UNKNOWN_PART = "UNKNOWN_PART"
    NO_SESSION = "NO_SESSION"
    NO_TIMES = "NO_TIMES"
    CLOCK_NOT_SET = "CLOCK_NOT_SET"
    CLOCK_STOPPED = "CLOCK_STOPPED"
    TIMES_IMPLAUSIBLE = "TIMES_IMPLAUSIBLE"
    TIMES_OUT_OF_ORDER = "TIMES_OUT_OF_ORDER"
    TIMES_WITHOUT_ZONE = "TIMES_WITHOUT_ZONE"
    TIMES_FILLED = "TIMES_FILLED"
    VALUE_UNREADABLE = "VALUE_UNREADABLE"
    VALUE_IMPLAUSIBLE = "VALUE_IMPLAUSIBLE"
    POSITION_INVALID = "POSITION_INVALID"
    EMPTY_SEGMENT = "EMPTY_SEGMENT"
    TEXT_NOT_UTF8 = "TEXT_NOT_UTF8"
    TOO_MANY_POINTS = "TOO_MANY_POINTS"
    TOO_MANY_MESSAGES = "TOO_MANY_MESSAGES"
    TOO_MANY_ACTIVITIES = "TOO_MANY_ACTIVITIES"


@dataclass(frozen=True, slots=True)
class FileWarning:
    """One thing that was not read or not believed. `at` is where: `byte 771`, `line 12`, `activity 2`."""

    code: WarningCode
    message: str
    at: str | None = None


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file holds, whether or not that can be an activity. Counts are of the file's own elements."""

    kind: str
    counts: tuple[tuple[str, int], ...] = ()

    def count(self, name: str) -> int:
        """How many `name` there are; 0 for what is not there."""
        return dict(self.counts).get(name, 0)


class FileRefused(Exception):
    """A file of which nothing was imported. Client-visible: `code` is stable, the message says what to do."""

    code = "FILE_REFUSED"

    def __init__(
        self, message: str, *, contents: FileContents | None = None, warnings: tuple[FileWarning, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.contents = contents
        self.warnings = warnings

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes with what it carries."""
        return (_rebuilt, (type(self), self.message, self.contents, self.warnings))


def _rebuilt(
    family: type[FileRefused],
    message: str,
    contents: FileContents | None,
    warnings: tuple[FileWarning, ...],
) -> FileRefused:
    return family(message, contents=contents, warnings=warnings)


class UnknownFileFormat(FileRefused):
    """Neither FIT, GPX nor TCX by its bytes; the name of a file decides nothing."""

    code = "FILE_FORMAT_UNKNOWN"


class FileTooLarge(FileRefused):
    """More bytes than `FileLimits` allows, before or after decompression."""

    code = "FILE_TOO_LARGE"


class UnsafeFile(FileRefused):
    """A document type definition, an entity, too deep nesting: constructs that no device writes."""

    code = "FILE_UNSAFE"


class NotAnActivity(FileRefused):
    """A sound file of another kind: settings, monitoring, workout, weight, a route. `contents` says which."""

    code = "FILE_NOT_AN_ACTIVITY"


class NothingReadable(FileRefused):
    """An activity file so damaged that no record of it could be read."""

    code = "FILE_NOT_READABLE"
