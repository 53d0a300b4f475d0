"""GPX and TCX: what is refused, what is cut short, what is read in spite of how it is written."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from subgraphs.training.files.imported import FileLimits
from subgraphs.training.files.problems import (
    FileTooLarge,
    NothingReadable,
    UnknownFileFormat,
    UnsafeFile,
    WarningCode,
)
from subgraphs.training.files.read import read_file
from subgraphs.training.metrics.motion import distance_along_m
from subgraphs.training.model import Sport, StreamType
from subgraphs.training.track import bounds, positions_of
from tests.kit_training.files import content, gpx, read, track

TWO = track((46.0, 14.0, "2026-03-01T08:00:00Z"), (46.001, 14.0, "2026-03-01T08:01:00Z"))


def codes(data: bytes, **limits: int) -> list[WarningCode]:
    return [warning.code for warning in read_file(data, limits=FileLimits(**limits)).warnings]


@pytest.mark.parametrize(
    "prologue",
    [
        "<!DOCTYPE gpx>",
        '<!DOCTYPE gpx SYSTEM "http://127.0.0.1:9/gpx.dtd">',
        '<!DOCTYPE gpx [<!ENTITY lol "lol">]>',
        '<!DOCTYPE gpx [<!ENTITY file SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE gpx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE gpx [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x">%p;]>',
    ],
)
def test_a_document_type_definition_is_refused(prologue):
    with pytest.raises(UnsafeFile, match="document type definition"):
        read_file(gpx(TWO, prologue=prologue))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_definition_is_refused_in_other_encodings_too(encoding):
    text = gpx(TWO, prologue='<!DOCTYPE gpx [<!ENTITY a "b">]>').decode().replace("UTF-8", "UTF-16")
    mark = "" if encoding == "utf-16" else "\ufeff"
    with pytest.raises(UnsafeFile):
        read_file((mark + text).encode(encoding))


def test_an_undeclared_entity_ends_the_reading_and_expands_to_nothing():
    after = track((47.0, 14.0, "2026-03-01T08:02:00Z"))
    file = read_file(gpx(TWO + "<name>&secret;</name>" + after))
    assert [warning.code for warning in file.warnings] == [WarningCode.DAMAGED]
    assert file.activities[0].streams.samples == 2


def test_deep_nesting_is_refused():
    with pytest.raises(UnsafeFile, match="deeper than 48"):
        read_file(gpx("<a>" * 60 + "</a>" * 60))


def test_a_point_over_the_limit_is_not_read_and_told():
    points = [(46.0, 14.0 + second / 1e4, f"2026-03-01T08:00:{second:02}Z") for second in range(40)]
    file = read_file(gpx(track(*points)), limits=FileLimits(points_max=25))
    assert file.activities[0].streams.samples == 25
    assert [warning.code for warning in file.warnings] == [WarningCode.TOO_MANY_POINTS]


def test_a_million_points_are_the_limit():
    assert FileLimits().points_max == 1_000_000


def test_more_bytes_than_the_limit_are_refused():
    with pytest.raises(FileTooLarge, match="at most 100"):
        read_file(gpx(TWO), limits=FileLimits(file_bytes_max=100))


def test_a_gzipped_file_is_read():
    packed = gzip.compress(gpx(TWO))
    assert read_file(packed).activities[0].streams.samples == 2


def test_a_gzip_bomb_is_refused_before_it_unfolds():
    bomb = gzip.compress(b"<gpx>" + b" " * 40_000_000)
    with pytest.raises(FileTooLarge, match="unpacks to more than"):
        read_file(bomb)


def test_a_gzip_of_a_gzip_is_no_activity():
    with pytest.raises(UnknownFileFormat):
        read_file(gzip.compress(gzip.compress(gpx(TWO))))


def test_damaged_gzip_is_told():
    with pytest.raises(UnknownFileFormat, match="gzip"):
        read_file(b"\x1f\x8b" + zlib.compress(b"x" * 100))


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"PK\x03\x04rest", b"<html></html>", b"GIF89a", b"{}"])
def test_what_is_none_of_the_formats_is_told(data):
    with pytest.raises(UnknownFileFormat):
        read_file(data)


def test_a_byte_order_mark_is_no_obstacle():
    assert read_file(b"\xef\xbb\xbf" + gpx(TWO)).activities[0].streams.samples == 2


def test_extensions_without_namespace_are_read():
    point = (
        '<trk><trkseg><trkpt lat="46" lon="14"><time>2026-03-01T08:00:00Z</time><extensions>'
        "<hr>141</hr><power>250</power><cad>88</cad><atemp>21.5</atemp></extensions></trkpt></trkseg></trk>"
    )
    columns = read_file(gpx(point)).activities[0].streams.columns
    assert columns[StreamType.HEART_RATE].tolist() == [141.0]
    assert columns[StreamType.POWER].tolist() == [250.0]
    assert columns[StreamType.CADENCE].tolist() == [88.0]
    assert columns[StreamType.TEMPERATURE].tolist() == [21.5]


def test_a_prefix_that_nobody_declared_loses_only_what_comes_after():
    point = '<trkpt lat="46" lon="14"><extensions><ns9:hr>150</ns9:hr></extensions></trkpt>'
    file = read_file(gpx(f"{TWO}<trk><trkseg>{point}</trkseg></trk>"))
    assert file.activities[0].streams.samples == 2


def test_a_file_that_ends_in_the_middle_keeps_its_points():
    whole = content("gpx/ride-hr-garmin-connect.gpx")
    file = read_file(whole[: len(whole) // 2])
    assert [warning.code for warning in file.warnings] == [WarningCode.TRUNCATED]
    [activity], [complete] = file.activities, read("gpx/ride-hr-garmin-connect.gpx").activities
    count = activity.streams.samples
    assert 460 < count < 470
    for kind, column in activity.streams.columns.items():
        assert column.tolist() == complete.streams.columns[kind][:count].tolist()


def test_a_file_that_ends_before_its_first_point_is_refused():
    with pytest.raises(NothingReadable):
        read_file(content("gpx/ride-hr-garmin-connect.gpx")[:600])


def test_points_without_time_between_timed_ones_get_one():
    data = gpx(
        track((46.0, 14.0, "2026-03-01T08:00:00Z"), (46.1, 14.0, ""), (46.2, 14.0, "2026-03-01T08:00:20Z"))
    )
    file = read_file(data)
    assert file.activities[0].streams.columns[StreamType.TIME].tolist() == [0.0, 10.0, 20.0]
    assert [warning.code for warning in file.warnings] == [WarningCode.TIMES_FILLED]


def test_a_track_without_times_has_its_way_and_no_start():
    file = read_file(gpx(track((46.0, 14.0, ""), (46.001, 14.0, ""))))
    assert file.activities[0].start_utc is None
    assert distance_along_m(file.activities[0].streams)[-1] == pytest.approx(111.2, abs=0.1)
    assert [warning.code for warning in file.warnings] == [WarningCode.NO_TIMES]


def test_points_of_1901_that_all_have_one_time_have_none():
    file = read("gpx/odd-time-1901.gpx")
    assert [warning.code for warning in file.warnings] == [WarningCode.CLOCK_STOPPED]
    assert file.activities[0].start_utc is None
    assert np.isnan(file.activities[0].streams.columns[StreamType.TIME]).all()


def test_times_without_a_zone_are_utc_and_told():
    times = ("2026-03-01T08:00:00", "2026-03-01T08:00:30")
    data = gpx(track(*((46.0, 14.0 + place, time) for place, time in enumerate(times))))
    assert codes(data) == [WarningCode.TIMES_WITHOUT_ZONE]


def test_an_offset_in_the_times_is_the_wall_clock():
    data = gpx(track((46.0, 14.0, "2026-03-01T08:00:00+01:00"), (46.0, 14.1, "2026-03-01T08:01:00+01:00")))
    [activity] = read_file(data).activities
    assert activity.utc_offset_s == 3600
    assert activity.start_utc.isoformat() == "2026-03-01T07:00:00+00:00"


@pytest.mark.parametrize(
    "time", ["yesterday", "2026-02-30T08:00:00Z", "2026-03-01T08:00:60Z", "0001-01-01T00:00:00Z"]
)
def test_a_time_of_no_calendar_is_left_out(time):
    data = gpx(
        track((46.0, 14.0, "2026-03-01T08:00:00Z"), (46.1, 14.0, time), (46.2, 14.0, "2026-03-01T08:00:20Z"))
    )
    assert read_file(data).activities[0].streams.columns[StreamType.TIME].tolist() == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("lat", "lon"), [("91", "14"), ("NaN", "14"), ("46", "inf"), ("46", "181"), ("a", "b"), ("1e999", "14")]
)
def test_a_place_off_the_globe_is_left_out_and_told(lat, lon):
    point = f'<trkpt lat="{lat}" lon="{lon}"><time>2026-03-01T08:00:30Z</time></trkpt>'
    file = read_file(gpx(TWO.replace("</trkseg>", f"{point}</trkseg>")))
    latitudes = file.activities[0].streams.columns[StreamType.LATITUDE]
    assert int(np.isfinite(latitudes).sum()) == 2
    assert {warning.code for warning in file.warnings} & {
        WarningCode.POSITION_INVALID,
        WarningCode.VALUE_UNREADABLE,
    }


def test_a_track_over_the_antimeridian_is_short_and_has_a_narrow_box():
    times = ("2026-03-01T08:00:00Z", "2026-03-01T08:05:00Z")
    [activity] = read_file(gpx(track((-17.0, 179.999, times[0]), (-17.0, -179.999, times[1])))).activities
    assert distance_along_m(activity.streams)[-1] == pytest.approx(212.7, abs=0.2)
    south, west, north, east = bounds(positions_of(activity.streams))
    assert (south, north) == (-17.0, -17.0)
    assert (west, east) == (179.999, -179.999)


def test_tracks_that_continue_within_half_an_hour_are_one_outing():
    first = track((46.0, 14.0, "2026-03-01T08:00:00Z"), (46.01, 14.0, "2026-03-01T08:10:00Z"))
    near = track((46.02, 14.0, "2026-03-01T08:40:00Z"), (46.03, 14.0, "2026-03-01T08:50:00Z"))
    far = track((46.02, 14.0, "2026-03-01T09:20:01Z"), (46.03, 14.0, "2026-03-01T09:30:00Z"))
    [activity] = read_file(gpx(first + near)).activities
    assert activity.streams.breaks == (2,)
    # No way is counted between two tracks: nobody knows it.
    assert distance_along_m(activity.streams)[-1] == pytest.approx(2 * 1111.95, abs=0.5)
    assert len(read_file(gpx(first + far)).activities) == 2


def test_tracks_of_two_sports_are_two_activities():
    run = track((46.0, 14.0, "2026-03-01T08:00:00Z"), (46.1, 14.0, "2026-03-01T08:30:00Z"), kind="Run")
    ride = track((46.1, 14.0, "2026-03-01T08:31:00Z"), (46.2, 14.0, "2026-03-01T09:00:00Z"), kind="cycling")
    assert [each.sport for each in read_file(gpx(run + ride)).activities] == [Sport.RUNNING, Sport.CYCLING]


def test_a_tcx_course_is_told_by_name():
    data = b"<TrainingCenterDatabase><Courses><Course/></Courses></TrainingCenterDatabase>"
    with pytest.raises(Exception, match="holds a course") as refused:
        read_file(data)
    assert refused.value.code == "FILE_NOT_AN_ACTIVITY"


def test_tcx_laps_begin_where_their_track_begins():
    [walk] = read("tcx/walk.tcx").activities
    times = walk.streams.columns[StreamType.TIME]
    starts = [lap.start_s for lap in walk.laps]
    assert starts[0] == 0.0
    for start, number in zip(starts[1:], walk.streams.breaks, strict=True):
        assert times[number] == pytest.approx(start, abs=15.0)


def test_more_activities_than_the_limit_are_cut_and_told():
    tracks = "".join(track((46.0, 14.0, f"2026-03-{day:02}T08:00:00Z")) for day in range(1, 8))
    file = read_file(gpx(tracks), limits=FileLimits(activities_max=5))
    assert len(file.activities) == 5
    assert [warning.code for warning in file.warnings] == [WarningCode.TOO_MANY_ACTIVITIES]
