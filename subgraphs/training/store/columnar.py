"""Streams as compressed columns: one row a stream, scaled to whole numbers where that loses nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from subgraphs.training.model import FloatArray, Streams, StreamType

EXACT = "f8-zlib"
"""Float64, little-endian, transposed by byte place so that equal exponents stand together; zlib."""
HISTOGRAM = "i4-pairs-zlib"
BREAKS = "i4-zlib"
BREAKS_KIND = "BREAKS"
HISTOGRAM_KIND = "RATE_SECONDS"
STREAM_BYTES_MAX = 8 * 1_000_000
"""A million samples: the most that a file may bring, and so the most that is inflated."""


def encode(column: FloatArray) -> bytes:
    """Bytes of a column; `decode` gives the same numbers, bit by bit."""
    planes = np.ascontiguousarray(column, dtype="<f8").view(np.uint8).reshape(-1, 8).T
    return zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)


def decode(body: bytes) -> FloatArray:
    """The column of `encode`.  Errors: ValueError for bytes that it never wrote."""
    raw = _inflate(body)
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(8, -1).T
    column: FloatArray = np.ascontiguousarray(planes).reshape(-1).view("<f8").astype(np.float64)
    return column


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    raw = inflater.decompress(body, STREAM_BYTES_MAX)
    if inflater.unconsumed_tail:
        raise ValueError("a stored stream is longer than any file may bring")
    return raw


@dataclass(frozen=True, slots=True)
class EncodedColumn:
    """A column ready to be stored. Encoding takes longer than writing: do it before the transaction."""

    kind: str
    samples: int
    encoding: str
    body: bytes


def encoded(streams: Streams | None, seconds_by_rate: Mapping[int, int]) -> tuple[EncodedColumn, ...]:
    """What keeps `streams`, with their breaks, and the heart-rate histogram of an activity."""
    made: list[EncodedColumn] = []
    if streams is not None and streams.samples:
        for kind, column in streams.columns.items():
            made.append(EncodedColumn(kind.value, len(column), EXACT, encode(column)))
        if streams.breaks:
            packed = zlib.compress(np.array(streams.breaks, dtype="<i4").tobytes())
            made.append(EncodedColumn(BREAKS_KIND, len(streams.breaks), BREAKS, packed))
    if seconds_by_rate:
        pairs = np.array(sorted(seconds_by_rate.items()), dtype="<i4")
        made.append(EncodedColumn(HISTOGRAM_KIND, len(pairs), HISTOGRAM, zlib.compress(pairs.tobytes())))
    return tuple(made)


def streams_of(rows: Iterable[tuple[str, bytes]]) -> Streams | None:
    """The streams of (kind, body) pairs; None without any."""
    columns: dict[StreamType, FloatArray] = {}
    breaks: tuple[int, ...] = ()
    for kind, body in rows:
        if kind == BREAKS_KIND:
            breaks = tuple(int(number) for number in np.frombuffer(_inflate(body), dtype="<i4"))
        elif kind != HISTOGRAM_KIND:
            columns[StreamType(kind)] = decode(body)
    return Streams(columns, breaks) if columns else None


def histogram_of(body: bytes) -> dict[int, int]:
    """Whole bpm → seconds, as `encoded` keeps it."""
    pairs = np.frombuffer(_inflate(body), dtype="<i4").reshape(-1, 2)
    return {int(rate): int(seconds) for rate, seconds in pairs}
