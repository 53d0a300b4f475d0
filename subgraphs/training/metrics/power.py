"""Power: normalised power and work."""

from __future__ import annotations

import numpy as np

from subgraphs.training.model import FloatArray

WINDOW_S = 30


def normalised_power_w(watts: FloatArray) -> float | None:
    """Normalised power of recorded seconds put end to end; None under 30 s.

    Worked: constant 200 W gives 200; 30 s at 0 then 30 s at 300 W has rolling means of 0, 10 … 300, so
    ⁴√(Σ(10 k)⁴ / 31) = 203.1.
    """
    if len(watts) < WINDOW_S:
        return None
    sums = np.concatenate(([0.0], np.cumsum(watts)))
    means = (sums[WINDOW_S:] - sums[:-WINDOW_S]) / WINDOW_S
    return float(np.mean(means**4) ** 0.25)


def work_kj(watts: FloatArray) -> float:
    """Mechanical work in kilojoules of recorded seconds."""
    return float(watts.sum() / 1000.0)
