"""Each formula against numbers that were worked out by hand or by the device that recorded the file."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.training.metrics.compute import derive, measure
from subgraphs.training.metrics.efforts import POWER_WINDOWS_S, best_distances, best_powers, fastest
from subgraphs.training.metrics.heart import hr_tss, seconds_by_rate, trimp
from subgraphs.training.metrics.load import LoadModel, daily_loads
from subgraphs.training.metrics.motion import (
    climb_m,
    distance_along_m,
    haversine_m,
    moving_time_s,
    recorded_time_s,
)
from subgraphs.training.metrics.power import normalised_power_w, work_kj
from subgraphs.training.metrics.series import one_hertz
from subgraphs.training.model import DeviceTotals, Sport, Streams, StreamType, ThresholdsAt
from tests.kit_training.files import expected, names, read

NAN = float("nan")


def streams(times: list[float], breaks: tuple[int, ...] = (), **columns: list[float]) -> Streams:
    made = {StreamType.TIME: np.array(times, dtype=np.float64)}
    made |= {StreamType[name.upper()]: np.array(values, dtype=np.float64) for name, values in columns.items()}
    return Streams(made, breaks)


def metric(found, name):
    return next(each for each in found if each.name == name)


# --- way and time


def test_a_degree_of_latitude_is_111_195_metres():
    one = haversine_m(np.array([0.0]), np.array([0.0]), np.array([1.0]), np.array([0.0]))[0]
    assert one == pytest.approx(6_371_008.8 * math.pi / 180.0)
    assert one == pytest.approx(111_195.08, abs=0.01)


def test_the_way_to_the_antipode_is_half_the_earth():
    half = haversine_m(np.array([0.0]), np.array([0.0]), np.array([0.0]), np.array([180.0]))[0]
    assert half == pytest.approx(math.pi * 6_371_008.8)


def test_a_distance_that_steps_back_is_held():
    told = streams([0, 1, 2, 3], distance=[0.0, 10.0, 5.0, 12.0])
    assert distance_along_m(told).tolist() == [0.0, 10.0, 10.0, 12.0]


def test_no_way_is_counted_over_a_break():
    line = streams([0, 60, 120], breaks=(1,), latitude=[0.0, 1.0, 1.001], longitude=[0.0, 0.0, 0.0])
    assert distance_along_m(line).tolist() == pytest.approx([0.0, 0.0, 111.195], abs=0.01)


def test_standing_at_a_light_is_not_moving():
    # 10 s at 5 m/s, 20 s still, 10 s at 5 m/s
    along = [*range(0, 55, 5), *[50] * 20, *range(55, 105, 5)]
    ride = streams(list(range(len(along))), distance=along)
    assert moving_time_s(ride, Sport.CYCLING) == 20.0
    assert recorded_time_s(ride) == 40.0


def test_walking_pace_moves_a_walker_and_not_a_rider():
    stroll = streams(list(range(101)), distance=[0.5 * second for second in range(101)])
    assert moving_time_s(stroll, Sport.WALKING) == 100.0
    assert moving_time_s(stroll, Sport.CYCLING) is None


def test_a_pool_length_a_sample_is_moving_time():
    [swim] = read("tcx/swim-pool.tcx").activities
    assert moving_time_s(swim.streams, Sport.SWIMMING) == pytest.approx(1530.668, rel=0.02)


def test_a_pause_of_the_timer_is_neither_moving_nor_recorded():
    ride = streams([0, 1, 2, 600, 601], breaks=(3,), distance=[0, 8, 16, 16, 24])
    assert moving_time_s(ride, Sport.CYCLING) == 3.0
    assert recorded_time_s(ride) == 3.0


@pytest.mark.parametrize(
    ("heights", "band", "ascent", "descent"),
    [
        ([0, 2, 0, 2, 0], 3, 0, 0),
        ([0, 4, 3, 8], 3, 8, 0),
        ([100, 110, 90, 120], 3, 40, 20),
        ([0, 2.9], 3, 0, 0),
        ([5], 3, 0, 0),
        ([NAN, 0, NAN, 10, NAN], 3, 10, 0),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 3, 10, 0),
        ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 3, 0, 10),
        ([0, 9, 0], 10, 0, 0),
    ],
)
def test_climbing_counts_past_a_dead_band_and_then_whole(heights, band, ascent, descent):
    assert climb_m(np.array(heights, dtype=np.float64), band) == pytest.approx((ascent, descent))


@given(st.lists(st.floats(-100, 5000), min_size=1, max_size=60))
def test_ascent_less_descent_is_the_height_gained_within_the_band(heights):
    ascent, descent = climb_m(np.array(heights), 3.0)
    assert ascent >= 0 and descent >= 0
    assert abs((ascent - descent) - (heights[-1] - heights[0])) <= 6.0


# --- power


def test_constant_power_is_its_own_normalised_power():
    assert normalised_power_w(np.full(3600, 200.0)) == pytest.approx(200.0)


def test_half_a_minute_at_rest_then_at_300_w():
    # Rolling means 0, 10, … 300: the fourth root of Σ(10 k)⁴/31 for k = 0…30.
    by_hand = (sum((10 * k) ** 4 for k in range(31)) / 31) ** 0.25
    watts = np.concatenate((np.zeros(30), np.full(30, 300.0)))
    assert normalised_power_w(watts) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(203.1, abs=0.05)


def test_less_than_half_a_minute_has_no_normalised_power():
    assert normalised_power_w(np.full(29, 200.0)) is None


@given(st.lists(st.floats(0, 1500), min_size=30, max_size=200))
def test_normalised_power_lies_between_the_least_and_the_largest(watts):
    made = normalised_power_w(np.array(watts))
    assert min(watts) - 1e-6 <= made <= max(watts) + 1e-6


def test_an_hour_at_100_w_is_360_kj():
    assert work_kj(np.full(3600, 100.0)) == pytest.approx(360.0)


@pytest.mark.parametrize("name", names("fit/ride-power-garmin") + names("fit/multisport"))
def test_normalised_power_is_what_the_garmin_computed_itself(name):
    for activity, session in zip(read(name).activities, expected()[name]["sessions"], strict=True):
        if "normalized_power" in session:
            measured = measure(activity.streams, activity.totals, activity.sport, barometer=True)
            ours = metric(measured.metrics, "normalisedPower").value
            assert ours == pytest.approx(session["normalized_power"], rel=0.01)
            assert metric(measured.metrics, "powerAverage").value == pytest.approx(
                session["avg_power"], rel=0.01
            )


def test_an_hour_at_threshold_is_100_tss():
    hour = streams(list(range(3600)), power=[250.0] * 3600)
    derived = derive(measure(hour, DeviceTotals(), Sport.CYCLING, barometer=True), ThresholdsAt(ftp_w=250.0))
    assert metric(derived, "intensityFactor").value == pytest.approx(1.0)
    assert metric(derived, "tss").value == pytest.approx(100.0)
    assert metric(derived, "load").value == pytest.approx(100.0)
    assert metric(derived, "load").inputs == {"of": "tss"}


def test_half_an_hour_at_120_percent_is_72_tss():
    half = streams(list(range(1800)), power=[300.0] * 1800)
    derived = derive(measure(half, DeviceTotals(), Sport.CYCLING, barometer=True), ThresholdsAt(ftp_w=250.0))
    assert metric(derived, "tss").value == pytest.approx(0.5 * 1.44 * 100)


def test_the_vector_ride_at_an_ftp_of_300_w():
    [ride] = read("fit/ride-power-garmin-edge810-vector.fit").activities
    derived = derive(
        measure(ride.streams, ride.totals, ride.sport, barometer=True), ThresholdsAt(ftp_w=300.0)
    )
    # Garmin: 301 W normalised over 4700 s.
    assert metric(derived, "tss").value == pytest.approx(4700 / 3600 * (301 / 300) ** 2 * 100, rel=0.01)


def test_without_a_threshold_there_is_no_tss_and_a_reason():
    hour = streams(list(range(3600)), power=[250.0] * 3600, heart_rate=[150.0] * 3600)
    derived = derive(measure(hour, DeviceTotals(), Sport.CYCLING, barometer=True), ThresholdsAt())
    for name in ("intensityFactor", "tss", "trimp", "hrTss", "load"):
        found = metric(derived, name)
        assert found.value is None
        assert found.reason


# --- heart rate


def test_an_hour_at_half_the_reserve_is_50_trimp():
    by_hand = 60 * 0.5 * 0.64 * math.exp(1.92 * 0.5)
    assert trimp({120: 3600}, rest_bpm=60, max_bpm=180) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(50.14, abs=0.01)


def test_rates_outside_the_reserve_count_as_its_ends():
    assert trimp({40: 3600}, rest_bpm=60, max_bpm=180) == 0.0
    assert trimp({200: 60}, rest_bpm=60, max_bpm=180) == trimp({180: 60}, rest_bpm=60, max_bpm=180)


def test_a_maximum_below_rest_is_no_reserve():
    with pytest.raises(ValueError, match="above"):
        trimp({100: 60}, rest_bpm=100, max_bpm=100)


def test_an_hour_at_lthr_is_100_and_half_an_hour_50():
    thresholds = {"rest_bpm": 50.0, "max_bpm": 190.0, "lthr_bpm": 170.0}
    assert hr_tss({170: 3600}, **thresholds) == pytest.approx(100.0)
    assert hr_tss({170: 1800}, **thresholds) == pytest.approx(50.0)
    # ΔHR 0.5 against 6/7: (0.5 · e^0.96) / (0.857 · e^1.646)
    by_hand = 100 * (0.5 * math.exp(0.96)) / (6 / 7 * math.exp(1.92 * 6 / 7))
    assert hr_tss({120: 3600}, **thresholds) == pytest.approx(by_hand)


def test_a_threshold_outside_the_reserve_gives_no_load():
    assert hr_tss({120: 60}, rest_bpm=50, max_bpm=160, lthr_bpm=170) is None


def test_seconds_at_each_rate_add_up_to_the_recorded_time():
    [ride] = read("fit/ride-power-garmin-edge530.fit").activities
    seconds = seconds_by_rate(ride.streams)
    assert sum(seconds.values()) == pytest.approx(ride.totals.timer_s, rel=0.01)
    assert max(seconds) == 172


# --- best efforts


def test_the_best_five_seconds_are_found_where_they_are():
    watts = [100.0] * 100
    watts[40:45] = [600.0] * 5
    found = {effort.size: effort for effort in best_powers(streams(list(range(100)), power=watts))}
    assert (found[5].value, found[5].start_s) == (600.0, 40.0)
    assert found[15].value == pytest.approx((5 * 600 + 10 * 100) / 15)
    assert set(found) == {1.0, 5.0, 15.0, 30.0, 60.0}


def test_a_window_never_reaches_over_a_pause():
    times = [*range(20), *range(1000, 1020)]
    found = best_powers(streams(times, power=[200.0] * 40))
    assert max(effort.size for effort in found) == 15.0


@pytest.mark.parametrize("name", names("fit/ride-power"))
def test_mean_maximal_work_rises_with_time(name):
    for activity in read(name).activities:
        efforts = best_powers(activity.streams)
        work = [effort.value * effort.size for effort in efforts]
        assert work == sorted(work)
        assert {effort.size for effort in efforts} <= set(map(float, POWER_WINDOWS_S))


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=120))
def test_the_best_mean_is_that_of_trying_every_window(watts):
    found = {e.size: e.value for e in best_powers(streams(list(range(len(watts))), power=watts))}
    for window in (1, 5, 15, 30, 60):
        if window <= len(watts):
            tried = max(sum(watts[k : k + window]) / window for k in range(len(watts) - window + 1))
            assert found[window] == pytest.approx(tried)


def test_the_fastest_hundred_metres_of_three_points():
    assert fastest(np.array([0.0, 30.0, 50.0]), np.array([0.0, 100.0, 200.0]), 100.0) == (30.0, 20.0)


def test_the_fastest_stretch_may_begin_between_samples():
    # 0–100 m in 10 s, 100–300 m in 100 s: the fastest 150 m is the first 100 and 50 of the slow part.
    start, seconds = fastest(np.array([0.0, 10.0, 110.0]), np.array([0.0, 100.0, 300.0]), 150.0)
    assert (start, seconds) == pytest.approx((0.0, 35.0))


def test_a_way_that_is_too_short_has_no_effort():
    assert fastest(np.array([0.0, 10.0]), np.array([0.0, 99.0]), 100.0) is None


@given(
    st.lists(st.tuples(st.floats(0.5, 30), st.floats(0.5, 80)), min_size=2, max_size=40), st.floats(1, 500)
)
def test_no_stretch_from_any_sample_is_faster(steps, distance):
    times = np.concatenate(([0.0], np.cumsum([step[0] for step in steps])))
    along = np.concatenate(([0.0], np.cumsum([step[1] for step in steps])))
    found = fastest(times, along, distance)
    if along[-1] < distance:
        assert found is None
        return
    for number in range(len(times)):
        if along[number] + distance <= along[-1]:
            tried = float(np.interp(along[number] + distance, along, times)) - times[number]
            assert found[1] <= tried + 1e-6


def test_a_steady_ten_kilometres_has_a_record_at_every_distance():
    # 4 m/s
    run = streams(list(range(2501)), distance=[4.0 * second for second in range(2501)])
    found = {effort.size: effort.value for effort in best_distances(run, Sport.RUNNING)}
    assert found == pytest.approx(
        {400.0: 100.0, 1000.0: 250.0, 1609.344: 402.336, 3000.0: 750.0, 5000.0: 1250.0, 10_000.0: 2500.0}
    )


# --- load


def test_one_day_of_100_from_nothing():
    monday = date(2026, 3, 2)
    first, second = daily_loads({monday: (100.0, 0)}, monday, monday + timedelta(days=1))
    assert (first.ctl, first.atl, first.tsb) == pytest.approx((2.3529, 13.3122, 0.0), abs=0.001)
    assert second.tsb == pytest.approx(first.ctl - first.atl)
    assert second.ctl == pytest.approx(2.3529 * math.exp(-1 / 42), abs=0.001)


def test_a_hundred_a_day_for_years_is_a_fitness_of_100_and_a_form_of_0():
    start = date(2020, 1, 1)
    loads = {start + timedelta(days=day): (100.0, 0) for day in range(700)}
    [last] = daily_loads(loads, start + timedelta(days=699), start + timedelta(days=699))
    assert (last.ctl, last.atl, last.tsb) == pytest.approx((100.0, 100.0, 0.0), abs=0.001)


def test_days_before_the_range_count_and_are_not_shown():
    start = date(2026, 3, 2)
    loads = {start: (80.0, 0), start + timedelta(days=3): (60.0, 1)}
    whole = daily_loads(loads, start, start + timedelta(days=5))
    part = daily_loads(loads, start + timedelta(days=4), start + timedelta(days=5))
    assert whole[4:] == part
    assert [day.unknown for day in whole] == [0, 0, 0, 1, 0, 0]


def test_seeds_and_constants_are_the_callers():
    monday = date(2026, 3, 2)
    [day] = daily_loads(
        {}, monday, monday, model=LoadModel(ctl_days=10, atl_days=5, ctl_seed=50, atl_seed=20)
    )
    assert (day.ctl, day.atl, day.tsb) == pytest.approx((50 * math.exp(-0.1), 20 * math.exp(-0.2), 30.0))


# --- all of one activity


def test_every_metric_names_its_algorithm_unit_and_version():
    for name in names():
        if name.startswith("fit/ride") or name == "gpx/ride-hr-garmin-connect.gpx":
            file = read(name)
            for activity in file.activities:
                measured = measure(activity.streams, activity.totals, activity.sport, barometer=True)
                thresholds = ThresholdsAt(250.0, 165.0, 190.0, 50.0)
                for each in (*measured.metrics, *derive(measured, thresholds)):
                    assert each.algorithm.id and each.algorithm.version >= 1 and each.algorithm.source
                    assert each.unit
                    assert (each.value is None) == (each.reason is not None)


def test_the_ascent_of_the_edge_530_is_near_its_barometers():
    [ride] = read("fit/ride-power-garmin-edge530.fit").activities
    ascent, descent = climb_m(ride.streams.columns[StreamType.ALTITUDE], 3.0)
    assert ascent == pytest.approx(ride.totals.ascent_m, rel=0.15)
    assert descent == pytest.approx(ride.totals.descent_m, rel=0.15)


def test_a_second_without_a_sample_lies_between_its_neighbours():
    grid = one_hertz(streams([0, 4], power=[100.0, 200.0]), StreamType.POWER)
    assert grid.tolist() == [100.0, 125.0, 150.0, 175.0, 200.0]


def test_a_long_gap_is_not_bridged():
    grid = one_hertz(streams([0, 1, 60, 61], power=[100.0, 100.0, 200.0, 200.0]), StreamType.POWER)
    assert np.isfinite(grid).sum() == 4
    assert len(grid) == 62


def test_an_activity_of_no_samples_has_the_devices_totals():
    measured = measure(None, DeviceTotals(elapsed_s=60.0, distance_m=100.0), Sport.RUNNING, barometer=True)
    assert (measured.elapsed_s, measured.distance_m, measured.metrics) == (60.0, 100.0, ())
