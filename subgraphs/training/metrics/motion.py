"""Time, distance and climb of a recording."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from subgraphs.training.metrics.series import broken, has_times, steps
from subgraphs.training.model import FloatArray, Sport, Streams, StreamType

EARTH_RADIUS_M = 6_371_008.8
"""IUGG mean radius; good to 0.5 % anywhere."""
BAROMETER_DEAD_BAND_M = 3.0
GPS_DEAD_BAND_M = 10.0

# Slower than this is standing still: a metre in the time that GPS drifts one.
GATES_M_S: Mapping[Sport, float] = {
    Sport.CYCLING: 0.7,
    Sport.RUNNING: 0.5,
    Sport.WALKING: 0.3,
    Sport.HIKING: 0.2,
    Sport.SWIMMING: 0.15,
    Sport.ROWING: 0.3,
    Sport.SKIING: 0.4,
}
GATE_M_S_DEFAULT = 0.3
SPARSE_S_MAX = 300.0
"""Samples further apart than this say nothing of what was between them."""


def haversine_m(
    latitude: FloatArray, longitude: FloatArray, latitude_to: FloatArray, longitude_to: FloatArray
) -> FloatArray:
    """Great-circle distances in metres between points in degrees; right across the antimeridian."""
    phi, phi_to = np.radians(latitude), np.radians(latitude_to)
    half_phi = (phi_to - phi) / 2
    half_lambda = np.radians(longitude_to - longitude) / 2
    chord = np.sin(half_phi) ** 2 + np.cos(phi) * np.cos(phi_to) * np.sin(half_lambda) ** 2
    distances: FloatArray = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(chord, 0.0, 1.0)))
    return distances


def distance_along_m(streams: Streams) -> FloatArray | None:
    """Metres travelled up to each sample: the device's own, else along the track; None with neither.

    Never falls: a device's distance that steps back is held. Nothing is added across breaks.
    """
    told = streams.get(StreamType.DISTANCE)
    if told is not None and np.nanmax(told) > 0.0:
        known = np.isfinite(told)
        numbers = np.arange(len(told), dtype=np.float64)
        return np.maximum.accumulate(np.interp(numbers, numbers[known], told[known]))
    latitude, longitude = streams.get(StreamType.LATITUDE), streams.get(StreamType.LONGITUDE)
    if latitude is None or longitude is None:
        return None
    places = np.flatnonzero(np.isfinite(latitude) & np.isfinite(longitude))
    legs = haversine_m(
        latitude[places[:-1]], longitude[places[:-1]], latitude[places[1:]], longitude[places[1:]]
    )
    for number in streams.breaks:
        # The leg that ends at the first place at or after the break.
        leg = int(np.searchsorted(places, number)) - 1
        if 0 <= leg < len(legs):
            legs[leg] = 0.0
    along = np.zeros(streams.samples)
    along[places[1:]] = legs
    return np.cumsum(along)


def moving_time_s(streams: Streams, sport: Sport) -> float | None:
    """Seconds in which the athlete moved at the sport's gate or faster; None without clock or way.

    A sparse recording (a pool length a sample) counts whole where its mean speed passes the gate.
    """
    along = distance_along_m(streams)
    if not has_times(streams) or along is None or streams.samples < 2 or float(along[-1]) <= 0.0:
        return None
    lengths = np.diff(streams.columns[StreamType.TIME])
    with np.errstate(divide="ignore", invalid="ignore"):
        speeds = np.where(lengths > 0, np.diff(along) / lengths, 0.0)
    gate = GATES_M_S.get(sport, GATE_M_S_DEFAULT)
    counted = (speeds >= gate) & (lengths <= SPARSE_S_MAX) & ~broken(streams, lengths)
    moving = float(lengths[counted].sum())
    return moving if moving > 0.0 else None


def recorded_time_s(streams: Streams) -> float | None:
    """Seconds between samples that follow one another without pause; None without clock."""
    if not has_times(streams):
        return None
    lengths, running = steps(streams)
    return float(lengths[running].sum())


def climb_m(altitude: FloatArray, dead_band_m: float) -> tuple[float, float]:
    """(ascent, descent) in metres: the legs between turning points, where a turn is a way back of at least
    `dead_band_m`.  Worked: 0 2 0 2 0 with a band of 3 climbs nothing; 0 4 3 8 climbs 8.
    """
    ascent = descent = 0.0
    direction = 0
    low = high = turn = None
    for height in altitude[np.isfinite(altitude)].tolist():
        if low is None or high is None or turn is None:
            low = high = turn = height
            continue
        low, high = min(low, height), max(high, height)
        if direction <= 0 and height - low >= dead_band_m:
            descent += turn - low if direction else 0.0
            direction, turn, high = 1, low, height
        elif direction >= 0 and high - height >= dead_band_m:
            ascent += high - turn if direction else 0.0
            direction, turn, low = -1, high, height
    if direction > 0 and high is not None and turn is not None:
        ascent += high - turn
    elif direction < 0 and low is not None and turn is not None:
        descent += turn - low
    return ascent, descent
