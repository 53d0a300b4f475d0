"""The door for files: bytes in, format by content, limits kept, one `ImportedFile` or one refusal out."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace

from subgraphs.training.files.fit import read_fit
from subgraphs.training.files.fit_chain import looks_like_fit
from subgraphs.training.files.gpx import read_gpx
from subgraphs.training.files.imported import FileLimits, ImportedFile
from subgraphs.training.files.problems import FileTooLarge, FileWarning, UnknownFileFormat, WarningCode
from subgraphs.training.files.tcx import read_tcx

GZIP_SIGNATURE = b"\x1f\x8b"
ZIP_SIGNATURE = b"PK\x03\x04"
PROLOGUE_BYTES_MAX = 4096
"""The root element of a GPX or TCX file begins within this."""


def read_file(content: bytes, *, limits: FileLimits | None = None) -> ImportedFile:
    """The activities of a FIT, GPX or TCX file, plain or gzipped; `sha256` is of the bytes as they came.

    Pure and CPU-bound (about 0.1 s an hour of recording): callers on an event loop run it elsewhere.
    Errors: FileRefused in one of its kinds; never anything else, whatever the bytes.
    """
    kept = limits or FileLimits()
    if len(content) > kept.file_bytes_max:
        raise FileTooLarge(f"the file has {len(content)} bytes: at most {kept.file_bytes_max} are read")
    sha256 = hashlib.sha256(content).hexdigest()
    return _within(_read(content, sha256, kept), kept)


def _read(content: bytes, sha256: str, kept: FileLimits) -> ImportedFile:
    plain = _inflated(content, kept) if content[:2] == GZIP_SIGNATURE else content
    if looks_like_fit(plain):
        return read_fit(plain, sha256=sha256, limits=kept)
    root = _root(plain)
    if root == "gpx":
        return read_gpx(plain, sha256=sha256, limits=kept)
    if root == "tcx":
        return read_tcx(plain, sha256=sha256, limits=kept)
    if plain[:4] == ZIP_SIGNATURE:
        raise UnknownFileFormat("this is a ZIP archive: unpack it and import the files in it")
    raise UnknownFileFormat("the file is neither FIT nor GPX nor TCX")


def _within(file: ImportedFile, limits: FileLimits) -> ImportedFile:
    """The file with its first activities, and a warning where there are more."""
    count = len(file.activities)
    if count <= limits.activities_max:
        return file
    message = f"only the first {limits.activities_max} of {count} activities were taken"
    told = FileWarning(WarningCode.TOO_MANY_ACTIVITIES, message)
    return replace(file, activities=file.activities[: limits.activities_max], warnings=(*file.warnings, told))


def _inflated(content: bytes, limits: FileLimits) -> bytes:
    """Gunzipped, with the size and the ratio bounded before the bytes exist."""
    allowed = min(limits.file_bytes_max, len(content) * limits.expansion_ratio_max)
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(content, allowed + 1)
    except zlib.error as error:
        raise UnknownFileFormat("the gzip compression of the file is damaged") from error
    if len(plain) > allowed:
        raise FileTooLarge(f"the file unpacks to more than {allowed} bytes")
    return plain


def _root(content: bytes) -> str | None:
    """Which XML format the beginning looks like, in UTF-8 or UTF-16; the parser decides what it is."""
    opening = content[:PROLOGUE_BYTES_MAX].replace(b"\x00", b"").lower()
    if b"<gpx" in opening:
        return "gpx"
    if b"<trainingcenterdatabase" in opening:
        return "tcx"
    return None
