"""The real activity files, by name, and the smallest GPX and FIT files that a test may need."""

from __future__ import annotations

import gzip
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

from subgraphs.training.files.fit_chain import crc16
from subgraphs.training.files.imported import ImportedFile
from subgraphs.training.files.read import read_file

FOLDER = Path(__file__).parent.parent / "data" / "activities"


@cache
def expected() -> dict[str, dict[str, Any]]:
    """The independent libraries' facts, by file name such as `fit/run-garmin-fenix2.fit`."""
    files: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())["files"]
    return files


@cache
def content(name: str) -> bytes:
    """The bytes of a file as its device wrote them."""
    packed = FOLDER / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (FOLDER / name).read_bytes()


@cache
def read(name: str) -> ImportedFile:
    """What we read of a file; values are frozen, so tests may share them."""
    return read_file(content(name))


def names(prefix: str = "") -> list[str]:
    """All file names that begin so."""
    return sorted(name for name in expected() if name.startswith(prefix))


def gpx(body: str, *, prologue: str = "", root: str = 'version="1.1" creator="test"') -> bytes:
    """A GPX file around `body`."""
    return f'<?xml version="1.0" encoding="UTF-8"?>{prologue}<gpx {root}>{body}</gpx>'.encode()


def track(*points: tuple[float, float, str], kind: str = "running") -> str:
    """A `<trk>` of one segment of (latitude, longitude, time) points."""
    inside = "".join(
        f'<trkpt lat="{lat}" lon="{lon}">' + (f"<time>{time}</time>" if time else "") + "</trkpt>"
        for lat, lon, time in points
    )
    return f"<trk><type>{kind}</type><trkseg>{inside}</trkseg></trk>"


def fit(*messages: bytes) -> bytes:
    """A FIT file around encoded messages, with a right header and CRC."""
    body = b"".join(messages)
    header = struct.pack("<BBHI4s", 14, 0x20, 2132, len(body), b".FIT")
    header += struct.pack("<H", crc16(header))
    whole = header + body
    return whole + struct.pack("<H", crc16(whole))


def message(local: int, number: int, fields: list[tuple[int, int, str, Any]]) -> bytes:
    """A definition and one data message. A field is (number, base type, struct letter, value)."""
    sizes = [struct.calcsize(f"<{letter}") for _, _, letter, _ in fields]
    definition = struct.pack("<BBBHB", 0x40 | local, 0, 0, number, len(fields))
    for (field, base, _, _), size in zip(fields, sizes, strict=True):
        definition += struct.pack("<BBB", field, size, base)
    values = b"".join(struct.pack(f"<{letter}", value) for _, _, letter, value in fields)
    return definition + bytes([local]) + values


def file_id(kind: int = 4) -> bytes:
    """A `file_id` message; 4 is an activity, 2 settings."""
    return message(0, 0, [(0, 0x00, "B", kind)])


def record(time: int, *, heart_rate: int = 120) -> bytes:
    """A `record` message with a heart rate."""
    return message(1, 20, [(253, 0x86, "I", time), (3, 0x02, "B", heart_rate)])
