"""Streams on a one-second grid that knows its gaps: what is not recorded is NaN, never invented."""

from __future__ import annotations

import numpy as np

from subgraphs.training.model import BoolArray, FloatArray, Streams, StreamType

GAP_S_MAX = 30.0
"""Samples further apart than this have a pause between them; smart recording stays well below."""
SECONDS_MAX = 14 * 86_400
"""No grid is longer than this; a longer recording is measured up to here."""


def has_times(streams: Streams) -> bool:
    """Whether the streams run on a clock."""
    return streams.samples > 0 and bool(np.isfinite(streams.columns[StreamType.TIME]).all())


def steps(streams: Streams) -> tuple[FloatArray, BoolArray]:
    """Seconds from each sample to the next, and whether recording ran on between them.

    Shapes: n samples → n-1 steps. A step over a break or over GAP_S_MAX is a pause.
    """
    times = streams.columns[StreamType.TIME]
    lengths = np.diff(times)
    return lengths, (lengths <= GAP_S_MAX) & ~broken(streams, lengths)


def broken(streams: Streams, lengths: FloatArray) -> BoolArray:
    """Which steps lead over a break; one shorter than two seconds is the device's own restart, no rest."""
    over = np.zeros(len(lengths), dtype=np.bool_)
    for number in streams.breaks:
        if 0 < number <= len(lengths):
            over[number - 1] = lengths[number - 1] >= 2.0
    return over


def one_hertz(streams: Streams, kind: StreamType) -> FloatArray | None:
    """A value for each whole second: interpolated while recording ran, NaN in pauses.

    None without clock or without the stream. Units: as the stream.
    """
    values = streams.get(kind)
    if values is None or not has_times(streams):
        return None
    times = streams.columns[StreamType.TIME]
    known = np.isfinite(values)
    if not known.any():
        return None
    seconds: FloatArray = (
        np.arange(min(int(times[-1] - times[0]), SECONDS_MAX) + 1, dtype=np.float64) + times[0]
    )
    grid = np.interp(seconds, times[known], values[known])
    grid[~_recorded(streams, seconds, known)] = np.nan
    return grid


def _recorded(streams: Streams, seconds: FloatArray, known: BoolArray) -> BoolArray:
    """Which seconds lie between two samples with a value that follow without pause."""
    times = streams.columns[StreamType.TIME]
    _, running = steps(streams)
    pauses_before = np.concatenate(([0], np.cumsum(~running)))
    places = np.flatnonzero(known)
    after = np.searchsorted(times[places], seconds, side="left").clip(0, len(places) - 1)
    exact = times[places[after]] == seconds
    before = (after - 1).clip(0)
    near = times[places[after]] - times[places[before]] <= GAP_S_MAX
    unbroken = pauses_before[places[after]] == pauses_before[places[before]]
    inside = (seconds >= times[places[0]]) & (seconds <= times[places[-1]])
    recorded: BoolArray = exact | (inside & near & unbroken & (after > 0))
    return recorded


def recorded_only(grid: FloatArray) -> FloatArray:
    """The grid without its gaps, put end to end: the recorded seconds."""
    return grid[np.isfinite(grid)]
