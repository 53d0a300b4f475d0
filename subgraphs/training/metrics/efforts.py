"""Best efforts: most power over a time, least time over a distance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from subgraphs.training.metrics.motion import distance_along_m
from subgraphs.training.metrics.series import has_times, one_hertz
from subgraphs.training.model import BestEffort, EffortKind, FloatArray, Sport, Streams, StreamType

POWER_WINDOWS_S: tuple[int, ...] = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 18000)
DISTANCES_M: Mapping[Sport, tuple[float, ...]] = {
    Sport.RUNNING: (400.0, 1000.0, 1609.344, 3000.0, 5000.0, 10_000.0, 15_000.0, 21_097.5, 42_195.0),
    Sport.WALKING: (1000.0, 5000.0, 10_000.0),
    Sport.HIKING: (1000.0, 5000.0, 10_000.0),
    Sport.CYCLING: (5000.0, 10_000.0, 20_000.0, 40_000.0, 50_000.0, 100_000.0, 160_934.4),
    Sport.SWIMMING: (100.0, 200.0, 400.0, 800.0, 1500.0, 3800.0),
    Sport.ROWING: (500.0, 1000.0, 2000.0, 5000.0, 10_000.0),
}


def best_powers(streams: Streams) -> tuple[BestEffort, ...]:
    """The largest mean power over each window that fits into one unbroken stretch."""
    grid = one_hertz(streams, StreamType.POWER)
    if grid is None:
        return ()
    first_s = float(streams.columns[StreamType.TIME][0])
    known = np.isfinite(grid)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, grid, 0.0))))
    counts = np.concatenate(([0], np.cumsum(known)))
    found = []
    for window in POWER_WINDOWS_S:
        if window > len(grid):
            break
        whole = counts[window:] - counts[:-window] == window
        if not whole.any():
            break
        means = np.where(whole, (sums[window:] - sums[:-window]) / window, -np.inf)
        start = int(np.argmax(means))
        found.append(BestEffort(EffortKind.POWER, float(window), float(means[start]), first_s + float(start)))
    return tuple(found)


def best_distances(streams: Streams, sport: Sport) -> tuple[BestEffort, ...]:
    """The least time over each of the sport's distances. Pauses count: the clock does not stop."""
    along = distance_along_m(streams)
    if along is None or not has_times(streams) or sport not in DISTANCES_M:
        return ()
    times = streams.columns[StreamType.TIME]
    moved = np.concatenate(([True], np.diff(along) > 0))
    found = []
    for distance in DISTANCES_M[sport]:
        best = fastest(times[moved], along[moved], distance)
        if best is not None:
            found.append(BestEffort(EffortKind.DISTANCE, distance, best[1], best[0]))
    return tuple(found)


def fastest(times: FloatArray, along: FloatArray, distance_m: float) -> tuple[float, float] | None:
    """(start s, seconds) of the fastest `distance_m`; `along` rises strictly. None where it is too short.

    The fastest stretch begins or ends at a sample: both families are tried, the other end interpolated.
    Worked: 0, 100, 200 m at 0, 30, 50 s: the fastest 100 m takes 20 s from 30 s on.
    """
    if len(along) < 2 or along[-1] - along[0] < distance_m:
        return None
    from_sample = along <= along[-1] - distance_m
    ends = np.interp(along[from_sample] + distance_m, along, times)
    forward = ends - times[from_sample]
    to_sample = along >= along[0] + distance_m
    starts = np.interp(along[to_sample] - distance_m, along, times)
    backward = times[to_sample] - starts
    first, second = int(np.argmin(forward)), int(np.argmin(backward))
    if forward[first] <= backward[second]:
        return float(times[from_sample][first]), float(forward[first])
    return float(starts[second]), float(backward[second])
