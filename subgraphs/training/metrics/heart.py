"""Heart rate: how long at each rate, and the training impulse of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from subgraphs.training.metrics.series import one_hertz, recorded_only
from subgraphs.training.model import Streams, StreamType

TRIMP_FACTOR = 0.64
TRIMP_EXPONENT = 1.92
"""Morton's coefficients for men. Those for women (0.86, 1.67) need the athlete's sex, which is not ours."""


def seconds_by_rate(streams: Streams) -> dict[int, int]:
    """Whole bpm → recorded seconds. All that load by heart rate needs to know of a stream."""
    grid = one_hertz(streams, StreamType.HEART_RATE)
    if grid is None:
        return {}
    rates, seconds = np.unique(np.rint(recorded_only(grid)).astype(int), return_counts=True)
    return {int(rate): int(count) for rate, count in zip(rates, seconds, strict=True)}


def trimp(seconds: Mapping[int, int], *, rest_bpm: float, max_bpm: float) -> float:
    """Banister's training impulse; a rate under rest counts nothing, over the maximum as the maximum.

    Worked: 60 min at ΔHR 0.5 is 60 · 0.5 · 0.64 · e^0.96 = 50.1.  Errors: ValueError unless max > rest.
    """
    if max_bpm <= rest_bpm:
        raise ValueError("the maximum heart rate is above the resting one")
    total = 0.0
    for rate, count in seconds.items():
        reserve = min(1.0, max(0.0, (rate - rest_bpm) / (max_bpm - rest_bpm)))
        total += count / 60.0 * reserve * TRIMP_FACTOR * math.exp(TRIMP_EXPONENT * reserve)
    return total


def hr_tss(seconds: Mapping[int, int], *, rest_bpm: float, max_bpm: float, lthr_bpm: float) -> float | None:
    """TRIMP scaled so that one hour at LTHR is 100; None unless rest < LTHR ≤ max."""
    if not rest_bpm < lthr_bpm <= max_bpm:
        return None
    hour = trimp({round(lthr_bpm): 3600}, rest_bpm=rest_bpm, max_bpm=max_bpm)
    return 100.0 * trimp(seconds, rest_bpm=rest_bpm, max_bpm=max_bpm) / hour
