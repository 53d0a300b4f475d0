"""Heart rate that a chest strap stored under water and handed over afterwards in FIT `hr` messages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from subgraphs.training.files.fit_messages import Fields, unix_s
from subgraphs.training.files.problems import FileWarning, WarningCode
from subgraphs.training.model import FloatArray

TICKS_PER_S = 1024.0
HEART_RATE_COLUMN = 5
NEAREST_S_MAX = 10.0
"""A record takes the straps' value only where one lies within this."""


def with_heart_rates(rows: FloatArray, messages: list[Fields], warnings: list[FileWarning]) -> FloatArray:
    """`rows` with heart rates from `hr` messages where a record itself has none."""
    if not messages or not len(rows):
        return rows
    samples = np.array(list(_samples(messages)), dtype=np.float64).reshape(-1, 2)
    samples = samples[np.isfinite(samples).all(axis=1) & (samples[:, 1] > 0) & (samples[:, 1] < 255)]
    if not len(samples):
        message = "the heart rates that the strap handed over could not be read"
        warnings.append(FileWarning(WarningCode.VALUE_UNREADABLE, message))
        return rows
    samples = samples[np.argsort(samples[:, 0], kind="stable")]
    filled = rows.copy()
    empty = np.isnan(filled[:, HEART_RATE_COLUMN]) & np.isfinite(filled[:, 0])
    times = filled[empty, 0]
    after = np.searchsorted(samples[:, 0], times).clip(0, len(samples) - 1)
    before = (after - 1).clip(0)
    near_before = np.abs(samples[before, 0] - times) <= np.abs(samples[after, 0] - times)
    nearest = np.where(near_before, before, after)
    close = np.abs(samples[nearest, 0] - times) <= NEAREST_S_MAX
    filled[empty, HEART_RATE_COLUMN] = np.where(close, samples[nearest, 1], np.nan)
    return filled


def _samples(messages: list[Fields]) -> Iterator[tuple[float, float]]:
    """(Unix time, bpm). A message with `timestamp` ties the strap's clock to the watch's; the next ones
    count on in twelve bits.  Source: FIT SDK, plugin `HR to record mesgs`."""
    zero_s = ticks = math.nan
    for message in messages:
        rates = _list(message.get("filtered_bpm"))
        if "timestamp" in message:
            tied = _list(message.get("event_timestamp"))
            if not tied or not isinstance(tied[0], int | float):
                continue
            fraction = message.get("fractional_timestamp")
            seconds = fraction if isinstance(fraction, int | float) else 0.0
            ticks = round(float(tied[0]) * TICKS_PER_S)
            zero_s = unix_s(message["timestamp"]) + seconds - ticks / TICKS_PER_S
            if rates and isinstance(rates[0], int):
                yield zero_s + ticks / TICKS_PER_S, float(rates[0])
        elif math.isfinite(zero_s):
            for low_bits, rate in zip(_twelve_bits(message.get("event_timestamp_12")), rates, strict=False):
                ticks = _counted_on(int(ticks), low_bits)
                if isinstance(rate, int):
                    yield zero_s + ticks / TICKS_PER_S, float(rate)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, tuple | list) else [value]


def _twelve_bits(packed: Any) -> list[int]:
    """Numbers of twelve bits, packed low bits first, two in three bytes."""
    packed_bytes = [byte for byte in _list(packed) if isinstance(byte, int) and 0 <= byte <= 255]
    numbers = []
    for first in range(0, len(packed_bytes) - 2, 3):
        low, middle, high = packed_bytes[first : first + 3]
        numbers += [low | (middle & 0x0F) << 8, middle >> 4 | high << 4]
    return numbers


def _counted_on(ticks: int, low_bits: int) -> int:
    counted = (ticks & ~0xFFF) | low_bits
    return counted if counted >= ticks else counted + 0x1000
