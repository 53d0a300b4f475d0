"""What we read of 41 real files agrees with what independent libraries read of them."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np
import pytest

from subgraphs.training.files.imported import ImportedActivity, ImportedFile
from subgraphs.training.files.problems import FileRefused, NotAnActivity
from subgraphs.training.metrics.motion import distance_along_m
from subgraphs.training.model import IntervalKind, StreamType
from tests.kit_training.files import content, expected, names, read

ACTIVITY_FITS = [name for name in names("fit/") if expected()[name]["file_type"] == "activity"]
OTHER_FITS = [name for name in names("fit/") if name not in ACTIVITY_FITS]
TRACK_GPXS = [name for name in names("gpx/") if expected()[name]["track_points"]]
OTHER_GPXS = [name for name in names("gpx/") if name not in TRACK_GPXS]


def samples(file: ImportedFile, kind: StreamType) -> np.ndarray:
    columns = [each.streams.get(kind) for each in file.activities]
    found = [column[np.isfinite(column)] for column in columns if column is not None]
    return np.concatenate(found) if found else np.array([])


def test_there_are_41_files_and_none_was_changed():
    assert len(names()) == 41
    for name in names():
        assert hashlib.sha256(content(name)).hexdigest() == expected()[name]["sha256"], name


@pytest.mark.parametrize("name", ACTIVITY_FITS)
def test_a_fit_file_has_the_messages_that_others_count(name):
    facts = expected()[name]
    file = read(name)
    for message in ("record", "session", "lap", "length", "set", "hr", "event", "device_info", "file_id"):
        assert file.contents.count(message) == facts["message_counts"].get(message, 0), message
    assert file.contents.kind == "activity"
    assert file.sha256 == facts["sha256"]
    assert len(file.activities) == len(facts["sessions"])


@pytest.mark.parametrize("name", ACTIVITY_FITS)
def test_a_fit_session_has_the_totals_that_others_read(name):
    file = read(name)
    for activity, session in zip(file.activities, expected()[name]["sessions"], strict=True):
        told = datetime.fromisoformat(session["start_time"])
        assert abs((activity.start_utc - told).total_seconds()) <= 1.0
        for ours, theirs in (
            ("elapsed_s", "total_elapsed_time"),
            ("timer_s", "total_timer_time"),
            ("distance_m", "total_distance"),
            ("ascent_m", "total_ascent"),
            ("calories_kcal", "total_calories"),
            ("power_average_w", "avg_power"),
            ("normalised_power_w", "normalized_power"),
            ("cadence_average_rpm", "avg_cadence"),
            ("pool_length_m", "pool_length"),
        ):
            assert getattr(activity.totals, ours) == pytest.approx(session.get(theirs), abs=0.01), ours
        assert (activity.totals.heart_rate_average_bpm or 0) == session.get("avg_heart_rate", 0)
        assert activity.sub_sport == (
            session.get("sub_sport") if session.get("sub_sport") != "generic" else None
        )


@pytest.mark.parametrize("name", ACTIVITY_FITS)
def test_fit_streams_have_the_samples_that_others_count(name):
    facts = expected()[name]["records"]
    file = read(name)
    lost = 1 if name == "fit/odd-corrupt-local-message-strava-android.fit" else 0
    assert len(samples(file, StreamType.LATITUDE)) == facts["with_position"] - lost
    for kind, word in ((StreamType.POWER, "power"), (StreamType.CADENCE, "cadence")):
        values = samples(file, kind)
        assert len(values) == facts[f"with_{word}"]
        if len(values) and word == "power":
            assert values.mean() == pytest.approx(facts["avg_power"], abs=0.001)
            assert values.max() == facts["max_power"]
    if facts["first_position_deg"]:
        first = next(a for a in file.activities if a.streams.get(StreamType.LATITUDE) is not None)
        latitude, longitude = (first.streams.columns[k] for k in (StreamType.LATITUDE, StreamType.LONGITUDE))
        place = np.flatnonzero(np.isfinite(latitude))[0]
        assert [latitude[place], longitude[place]] == pytest.approx(facts["first_position_deg"], abs=1e-6)


@pytest.mark.parametrize("name", ACTIVITY_FITS)
def test_fit_heart_rates_are_those_that_others_read(name):
    facts = expected()[name]["records"]
    file = read(name)
    values = samples(file, StreamType.HEART_RATE)
    if expected()[name]["message_counts"].get("hr"):
        assert len(values) > facts["with_heart_rate"]  # those that the strap handed over afterwards
    elif facts["max_heart_rate"]:
        assert len(values) == facts["with_heart_rate"]
        assert values.mean() == pytest.approx(facts["avg_heart_rate"], abs=0.001)
        assert values.max() == facts["max_heart_rate"]
    else:
        assert not len(values)  # a heart rate of 0 throughout is no heart rate


@pytest.mark.parametrize("name", ACTIVITY_FITS)
def test_fit_intervals_are_those_that_others_count(name):
    facts = expected()[name]
    intervals = [each for activity in read(name).activities for each in activity.intervals]
    sets = [each for each in intervals if each.kind is IntervalKind.SET]
    lengths = [each for each in intervals if each.kind is IntervalKind.LENGTH]
    assert len(sets) == facts.get("sets", {}).get("count", 0)
    assert sum(each.active for each in sets) == facts.get("sets", {}).get("active", 0)
    assert sum(each.repetitions or 0 for each in sets if each.active) == facts.get("sets", {}).get(
        "active_repetitions_total", 0
    )
    assert len(lengths) == facts.get("lengths", {}).get("count", 0)
    assert sum(each.active for each in lengths) == facts.get("lengths", {}).get("active", 0)


@pytest.mark.parametrize(
    ("name", "word"), list(zip(OTHER_FITS, ("monitoring", "settings", "weight", "workout"), strict=True))
)
def test_a_fit_file_that_is_no_activity_is_told_by_name(name, word):
    with pytest.raises(NotAnActivity, match=word) as refused:
        read(name)
    facts = expected()[name]
    assert refused.value.contents.kind == facts["file_type"]
    for message, count in facts["message_counts"].items():
        assert refused.value.contents.count(message) == count


def first_and_last(file: ImportedFile) -> tuple[datetime | None, float | None]:
    timed = [a for a in file.activities if a.start_utc is not None]
    if not timed:
        return None, None
    start = min(a.start_utc for a in timed)
    end = max(a.start_utc.timestamp() + a.streams.columns[StreamType.TIME][-1] for a in timed)
    return start, end - start.timestamp()


@pytest.mark.parametrize("name", TRACK_GPXS)
def test_a_gpx_file_has_the_points_lengths_and_times_that_others_read(name):
    facts = expected()[name]
    file = read(name)
    for ours, theirs in (
        ("tracks", "tracks"),
        ("segments", "segments"),
        ("routes", "routes"),
        ("route_points", "route_points"),
        ("waypoints", "waypoints"),
        ("track_points", "track_points"),
    ):
        assert file.contents.count(ours) == facts[theirs], ours
    assert sum(a.streams.samples for a in file.activities) == facts["track_points"]
    length = sum(float(distance_along_m(a.streams)[-1]) for a in file.activities)
    assert length == pytest.approx(facts["length_2d_m"], rel=0.002, abs=0.5)
    start, elapsed = first_and_last(file)
    if name == "gpx/odd-time-1901.gpx":
        assert start is None
    else:
        told = datetime.fromisoformat(facts["start_time"])
        assert abs(start.timestamp() - told.replace(tzinfo=told.tzinfo or start.tzinfo).timestamp()) < 0.001
        assert elapsed == pytest.approx(facts["elapsed_s"], abs=0.001)


@pytest.mark.parametrize("name", TRACK_GPXS)
def test_a_gpx_file_has_the_heart_rates_and_cadences_that_others_read(name):
    facts = expected()[name]
    file = read(name)
    for kind, word in ((StreamType.HEART_RATE, "hr"), (StreamType.CADENCE, "cadence")):
        values = samples(file, kind)
        assert len(values) == facts[f"points_with_{word}"]
        if len(values):
            assert values.mean() == pytest.approx(facts[f"avg_{word}"], abs=0.001)


@pytest.mark.parametrize("name", OTHER_GPXS)
def test_a_gpx_file_without_track_points_is_told_by_what_it_holds(name):
    with pytest.raises(FileRefused) as refused:
        read(name)
    assert isinstance(refused.value, NotAnActivity)
    facts = expected()[name]
    for word in ("waypoints", "routes", "route_points"):
        assert refused.value.contents.count(word) == facts[word]
        if facts[word]:
            assert f"{facts[word]} {word.replace('_', ' ')}" in refused.value.message


@pytest.mark.parametrize("name", names("tcx/"))
def test_a_tcx_file_has_the_points_laps_and_totals_that_others_read(name):
    facts = expected()[name]
    file = read(name)
    [activity] = file.activities
    assert file.contents.count("track_points") == facts["trackpoints"] == activity.streams.samples
    assert len(activity.laps) == facts["laps"]
    assert activity.totals.distance_m == pytest.approx(facts["total_distance_m"], abs=0.01)
    assert activity.totals.timer_s == pytest.approx(facts["total_time_s"], abs=0.001)
    assert (activity.totals.calories_kcal or 0) == facts["calories"]
    assert len(samples(file, StreamType.LATITUDE)) == facts["trackpoints_with_position"]
    assert activity.start_utc == datetime.fromisoformat(facts["first_time"])
    last = datetime.fromisoformat(facts["last_time"])
    assert activity.streams.columns[StreamType.TIME][-1] == (last - activity.start_utc).total_seconds()


@pytest.mark.parametrize("name", names("tcx/"))
def test_tcx_streams_have_the_samples_that_others_count(name):
    facts = expected()[name]
    file = read(name)
    for kind, count, mean in (
        (StreamType.HEART_RATE, "points_with_hr", "avg_hr"),
        (StreamType.POWER, "points_with_watts", "avg_watts"),
        (StreamType.CADENCE, "points_with_cadence", "avg_cadence"),
    ):
        values = samples(file, kind)
        assert len(values) == facts[count]
        if len(values):
            assert values.mean() == pytest.approx(facts[mean], abs=0.001)


@pytest.mark.parametrize("name", [*ACTIVITY_FITS, *TRACK_GPXS, *names("tcx/")])
def test_every_stream_is_a_column_of_equal_length_and_time_never_falls(name):
    def check(activity: ImportedActivity) -> None:
        lengths = {len(column) for column in activity.streams.columns.values()}
        assert lengths == {activity.streams.samples}
        times = activity.streams.columns[StreamType.TIME]
        assert np.isnan(times).all() or (np.isfinite(times).all() and (np.diff(times) >= 0).all())
        assert all(0 < number < activity.streams.samples for number in activity.streams.breaks)

    for activity in read(name).activities:
        check(activity)
