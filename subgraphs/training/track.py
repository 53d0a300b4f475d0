"""Tracks as others see them: thinned by shape, without their ends, as an encoded polyline. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subgraphs.training.metrics.motion import EARTH_RADIUS_M, distance_along_m, haversine_m
from subgraphs.training.model import BoolArray, FloatArray, Streams, StreamType

ENDS_M = 200.0
"""How much of both ends a trimmed track lacks: enough that no street of the start is told."""
POINTS_MAX = 20_000
SIMPLIFY_M_MAX = 1000.0


@dataclass(frozen=True, slots=True)
class Positions:
    """Places in degrees and their offsets from the start (NaN without clock), in order."""

    latitudes: FloatArray
    longitudes: FloatArray
    offsets_s: FloatArray

    def kept(self, keep: BoolArray) -> Positions:
        """Those places."""
        return Positions(self.latitudes[keep], self.longitudes[keep], self.offsets_s[keep])


def positions_of(streams: Streams) -> Positions | None:
    """The samples that have a place; None without any."""
    latitude, longitude = streams.get(StreamType.LATITUDE), streams.get(StreamType.LONGITUDE)
    if latitude is None or longitude is None:
        return None
    known = np.isfinite(latitude) & np.isfinite(longitude)
    found = Positions(latitude, longitude, streams.columns[StreamType.TIME]).kept(known)
    return found if len(found.latitudes) else None


def without_ends(positions: Positions, *, ends_m: float = ENDS_M) -> Positions:
    """The places more than `ends_m` along the way from both ends, and as far from them in a straight line.

    The second condition keeps a loop, or a walk around the house, from telling what the first one cut.
    """
    latitude, longitude = positions.latitudes, positions.longitudes
    legs = haversine_m(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
    along = np.concatenate(([0.0], np.cumsum(legs)))
    keep: BoolArray = (along > ends_m) & (along < along[-1] - ends_m)
    for end in (0, -1):
        keep &= haversine_m(latitude, longitude, latitude[end], longitude[end]) > ends_m
    return positions.kept(keep)


def heights_without_ends(altitude: FloatArray, streams: Streams, *, ends_m: float = ENDS_M) -> FloatArray:
    """The altitude with NaN within `ends_m` along the way of both ends; all NaN where no way is known."""
    along = distance_along_m(streams)
    if along is None:
        return np.full_like(altitude, np.nan)
    inside = (along > ends_m) & (along < along[-1] - ends_m)
    return np.where(inside, altitude, np.nan)


def simplified(positions: Positions, tolerance_m: float) -> Positions:
    """Douglas-Peucker on a local plane: no left-out place is further than `tolerance_m` from the line."""
    # First of all bounded: a malicious zigzag costs the square of its length.
    positions = _thinned(positions)
    count = len(positions.latitudes)
    if count < 3 or tolerance_m <= 0.0:
        return positions
    middle = np.radians(float(positions.latitudes.mean()))
    unwound = np.unwrap(np.radians(positions.longitudes))
    plane = np.column_stack((unwound * np.cos(middle), np.radians(positions.latitudes))) * EARTH_RADIUS_M
    keep = np.zeros(count, dtype=np.bool_)
    keep[[0, -1]] = True
    spans = [(0, count - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        far = _distances_m(plane[first + 1 : last], plane[first], plane[last])
        worst = int(np.argmax(far))
        if far[worst] > tolerance_m:
            middle_place = first + 1 + worst
            keep[middle_place] = True
            spans += [(first, middle_place), (middle_place, last)]
    return positions.kept(keep)


def _distances_m(points: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """From points to the segment between `start` and `end`."""
    line = end - start
    length_squared = float(line @ line)
    if length_squared == 0.0:
        nearest: FloatArray = np.broadcast_to(start, points.shape)
    else:
        share = np.clip((points - start) @ line / length_squared, 0.0, 1.0)
        nearest = start + share[:, None] * line
    distances: FloatArray = np.hypot(*(points - nearest).T)
    return distances


def _thinned(positions: Positions) -> Positions:
    count = len(positions.latitudes)
    if count <= POINTS_MAX:
        return positions
    keep = np.zeros(count, dtype=np.bool_)
    keep[np.linspace(0, count - 1, POINTS_MAX).astype(int)] = True
    return positions.kept(keep)


def encoded_polyline(positions: Positions) -> str:
    """Google's encoded polyline with five decimals: (38.5, -120.2) alone is `_p~iF~ps|U`."""
    pairs = np.column_stack((positions.latitudes, positions.longitudes))
    steps = np.diff(np.rint(pairs * 1e5).astype(np.int64), axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
    return "".join(_encoded(int(step)) for step in steps.reshape(-1))


def _encoded(number: int) -> str:
    rest = ~(number << 1) if number < 0 else number << 1
    letters = []
    while rest >= 0x20:
        letters.append(chr((0x20 | (rest & 0x1F)) + 63))
        rest >>= 5
    letters.append(chr(rest + 63))
    return "".join(letters)


def bounds(positions: Positions) -> tuple[float, float, float, float]:
    """South, west, north, east of the smallest box; `west` is over `east` where it crosses 180°."""
    longitudes = np.sort(positions.longitudes)
    gaps = np.diff(longitudes, append=longitudes[0] + 360.0)
    widest = int(np.argmax(gaps))
    west = longitudes[(widest + 1) % len(longitudes)]
    return (
        float(positions.latitudes.min()),
        float(west),
        float(positions.latitudes.max()),
        float(longitudes[widest]),
    )
