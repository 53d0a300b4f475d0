"""Tracks as others see them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.training.metrics.motion import haversine_m
from subgraphs.training.track import (
    POINTS_MAX,
    Positions,
    bounds,
    encoded_polyline,
    positions_of,
    simplified,
    without_ends,
)
from tests.kit_training.files import read


def line(*places: tuple[float, float]) -> Positions:
    columns = np.array(places, dtype=np.float64).reshape(-1, 2)
    return Positions(columns[:, 0], columns[:, 1], np.arange(len(places), dtype=np.float64))


def test_the_polyline_of_the_format_s_own_example():
    example = line((38.5, -120.2), (40.7, -120.95), (43.252, -126.453))
    assert encoded_polyline(example) == "_p~iF~ps|U_ulLnnqC_mqNvxq`@"


def test_a_straight_line_is_simplified_to_its_ends():
    straight = line(*((46.0 + step / 1000, 14.0) for step in range(50)))
    assert simplified(straight, 1.0).latitudes.tolist() == pytest.approx([46.0, 46.049])


def test_a_corner_stays():
    corner = line((46.0, 14.0), (46.01, 14.0), (46.01, 14.01))
    assert len(simplified(corner, 10.0).latitudes) == 3


@pytest.mark.parametrize("tolerance_m", [1.0, 5.0, 25.0])
def test_no_left_out_place_is_further_than_the_tolerance(tolerance_m):
    [ride] = read("gpx/ride-hr-garmin-connect.gpx").activities
    whole = positions_of(ride.streams)
    thin = simplified(whole, tolerance_m)
    assert len(thin.latitudes) < len(whole.latitudes)
    kept = set(thin.offsets_s.tolist())
    edges = [number for number, offset in enumerate(whole.offsets_s.tolist()) if offset in kept]
    for first, last in pairwise(edges):
        a, b = ((whole.latitudes[k], whole.longitudes[k]) for k in (first, last))
        share = np.linspace(0, 1, 400)
        latitudes, longitudes = a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
        for k in range(first + 1, last):
            away = haversine_m(
                np.full(400, whole.latitudes[k]), np.full(400, whole.longitudes[k]), latitudes, longitudes
            )
            assert away.min() <= tolerance_m * 1.02 + 0.5


def test_a_trimmed_track_is_nowhere_near_its_ends():
    [ride] = read("fit/ride-power-garmin-edge530.fit").activities
    whole = positions_of(ride.streams)
    trimmed = without_ends(whole)
    assert 0 < len(trimmed.latitudes) < len(whole.latitudes)
    for end in (0, -1):
        away = haversine_m(
            trimmed.latitudes, trimmed.longitudes, whole.latitudes[[end]], whole.longitudes[[end]]
        )
        assert away.min() > 200.0


def test_a_walk_around_the_house_has_nothing_left():
    around = line(*((46.0 + np.sin(k) / 1000, 14.0 + np.cos(k) / 1000) for k in np.linspace(0, 60, 2000)))
    assert len(without_ends(around).latitudes) == 0


def test_trimming_comes_out_the_same_after_thinning_or_safer():
    [ride] = read("gpx/ride-hr-garmin-connect.gpx").activities
    trimmed = without_ends(simplified(positions_of(ride.streams), 50.0))
    start = positions_of(ride.streams)
    away = haversine_m(trimmed.latitudes, trimmed.longitudes, start.latitudes[[0]], start.longitudes[[0]])
    assert away.min() > 200.0


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=40))
def test_a_box_holds_every_place(places):
    south, west, north, east = bounds(line(*places))
    for latitude, longitude in places:
        assert south <= latitude <= north
        assert (west <= longitude <= east) if west <= east else (longitude >= west or longitude <= east)


def test_a_long_track_is_thinned_to_the_limit():
    many = line(*((46.0, 14.0 + step / 1e5) for step in range(POINTS_MAX + 500)))
    assert len(simplified(many, 0.0).latitudes) == POINTS_MAX
