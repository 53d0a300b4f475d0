"""The outer form of a FIT file: one or more parts, each a header, a body and a CRC. Reads no message.

Source: FIT protocol, `File Header` and `CRC`; the polynomial is CRC-16/ARC.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from subgraphs.training.files.problems import FileWarning, WarningCode

HEADER_BYTES_MIN = 12


@dataclass(frozen=True, slots=True)
class FitPart:
    """One FIT file of a chain: where it begins, and its bytes as far as they are there."""

    offset: int
    content: bytes


def looks_like_fit(content: bytes) -> bool:
    """Whether the first header carries the FIT signature."""
    return len(content) >= HEADER_BYTES_MIN and content[8:12] == b".FIT" and content[0] in {12, 14}


def parts_of(content: bytes) -> tuple[list[FitPart], list[FileWarning]]:
    """The parts of a chain, damaged ones too; what follows a damaged header is told, not read."""
    parts: list[FitPart] = []
    warnings: list[FileWarning] = []
    offset = 0
    while offset < len(content):
        rest = content[offset : offset + HEADER_BYTES_MIN]
        if len(rest) < HEADER_BYTES_MIN or rest[8:12] != b".FIT" or rest[0] < HEADER_BYTES_MIN:
            warnings.append(_no_header(offset, len(content)))
            break
        size = rest[0] + int(struct.unpack_from("<I", rest, 4)[0]) + 2
        part = content[offset : offset + size]
        parts.append(FitPart(offset, part))
        warning = _check(part, size, offset)
        if warning is not None:
            warnings.append(warning)
        offset += size
    return parts, warnings


def _no_header(offset: int, size: int) -> FileWarning:
    message = f"{size - offset} bytes after the first part are no FIT file: they were not read"
    return FileWarning(WarningCode.TRAILING_BYTES, message, f"byte {offset}")


def _check(part: bytes, size: int, offset: int) -> FileWarning | None:
    if len(part) < size:
        message = f"the file ends {size - len(part)} bytes too early"
        return FileWarning(WarningCode.TRUNCATED, message, f"byte {offset + len(part)}")
    told = int(struct.unpack_from("<H", part, size - 2)[0])
    if crc16(part[:-2]) == told:
        return _check_header(part, offset)
    message = "the checksum does not fit the bytes: some values may be wrong"
    return FileWarning(WarningCode.CRC_MISMATCH, message, f"byte {offset + size - 2}")


def _check_header(part: bytes, offset: int) -> FileWarning | None:
    """A header of 14 bytes has a checksum of its own; 0 means that its writer made none."""
    told = int(struct.unpack_from("<H", part, 12)[0]) if part[0] >= 14 else 0
    if told in {0, crc16(part[:12])}:
        return None
    message = "the checksum of the header does not fit its bytes"
    return FileWarning(WarningCode.CRC_MISMATCH, message, f"byte {offset + 12}")


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_CRC_TABLE = _table()


def crc16(content: bytes) -> int:
    """CRC-16/ARC. `crc16(b"123456789") == 0xBB3D`."""
    table, value = _CRC_TABLE, 0
    for byte in content:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value
