"""FIT files that are damaged, chained, of several sports, or of clocks that nobody set."""

from __future__ import annotations

import struct

import fitdecode
import numpy as np
import pytest

from subgraphs.training.files.fit_chain import crc16, parts_of
from subgraphs.training.files.imported import FileLimits
from subgraphs.training.files.problems import FileRefused, NothingReadable, WarningCode
from subgraphs.training.files.read import read_file
from subgraphs.training.model import Sport, StreamType
from tests.kit_training.files import content, file_id, fit, message, names, read, record

NOON = 1_129_889_388  # FIT seconds: 2025-10-20T10:09:48Z


def codes(name: str) -> list[WarningCode]:
    return [warning.code for warning in read(name).warnings]


def test_the_checksum_is_crc_16_arc():
    assert crc16(b"123456789") == 0xBB3D


@pytest.mark.parametrize(
    ("name", "code", "at"),
    [
        ("fit/odd-bad-file-crc.fit", WarningCode.CRC_MISMATCH, "byte 769"),
        ("fit/odd-unexpected-eof.fit", WarningCode.TRUNCATED, "byte 768"),
        ("fit/odd-chained-corrupt-second-header.fit", WarningCode.TRAILING_BYTES, "byte 771"),
        ("fit/odd-chained-activity-settings.fit", WarningCode.UNKNOWN_PART, None),
        ("fit/odd-corrupt-local-message-strava-android.fit", WarningCode.DAMAGED, "byte 7471"),
    ],
)
def test_a_damaged_file_says_what_is_wrong_and_where(name, code, at):
    assert (code, at) in [(warning.code, warning.at) for warning in read(name).warnings]


@pytest.mark.parametrize(
    "name",
    [
        "fit/multisport-indoorbike-strength-garmin-fr965.fit",
        "fit/ride-power-garmin-edge530.fit",
        "fit/run-stryd-power-devfields.fit",
        "fit/swim-pool-garmin-fr735xt.fit",
        "fit/triathlon-garmin-fr920xt.fit",
    ],
)
def test_a_sound_file_leaves_no_warning(name):
    assert codes(name) == []


@pytest.mark.parametrize("name", [name for name in names("fit/") if len(content(name)) < 150_000])
def test_a_checksum_is_doubted_exactly_where_fitdecode_doubts_it(name):
    reader = fitdecode.FitReader(content(name), processor=None, check_crc=fitdecode.CrcCheck.RAISE)
    doubted = False
    try:
        for _ in reader:
            pass
    except fitdecode.FitCRCError:
        doubted = True
    except fitdecode.FitError:  # damaged before its checksum
        assert {warning.code for warning in read(name).warnings} & {
            WarningCode.DAMAGED,
            WarningCode.TRUNCATED,
            WarningCode.TRAILING_BYTES,
        }
        return
    try:
        warnings = read(name).warnings
    except FileRefused as refused:
        warnings = refused.warnings
    assert (WarningCode.CRC_MISMATCH in [warning.code for warning in warnings]) == doubted


def test_a_header_has_a_checksum_of_its_own():
    whole = bytearray(fit(file_id(), record(NOON)))
    whole[12] ^= 0xFF
    whole[-2:] = struct.pack("<H", crc16(bytes(whole[:-2])))
    [first, _] = read_file(bytes(whole)).warnings
    assert (first.code, first.at) == (WarningCode.CRC_MISMATCH, "byte 12")


def test_times_of_another_century_are_left_out_and_told():
    file = read("fit/odd-corrupt-local-message-strava-android.fit")
    assert WarningCode.TIMES_IMPLAUSIBLE in [warning.code for warning in file.warnings]
    assert file.activities[0].streams.columns[StreamType.TIME][-1] < 400.0


def test_records_of_one_instant_complete_each_other():
    # The Strava app writes the position and the distance of a moment into two records.
    [activity] = read("fit/odd-corrupt-local-message-strava-android.fit").activities
    for kind in (StreamType.LATITUDE, StreamType.DISTANCE):
        assert np.isfinite(activity.streams.columns[kind]).all()


def test_a_triathlon_becomes_five_activities_each_counting_its_own_way():
    file = read("fit/triathlon-garmin-fr920xt.fit")
    assert [each.sport for each in file.activities] == [
        Sport.SWIMMING,
        Sport.TRANSITION,
        Sport.CYCLING,
        Sport.TRANSITION,
        Sport.RUNNING,
    ]
    assert [len(each.laps) for each in file.activities] == [1, 1, 1, 1, 1]
    for activity in file.activities:
        travelled = np.nanmax(activity.streams.columns[StreamType.DISTANCE])
        assert travelled == pytest.approx(activity.totals.distance_m, rel=0.05)


def test_the_bike_and_the_strength_part_of_one_recording_are_apart():
    bike, strength = read("fit/multisport-indoorbike-strength-garmin-fr965.fit").activities
    assert (bike.sport, strength.sport) == (Sport.CYCLING, Sport.STRENGTH)
    assert bike.streams.get(StreamType.POWER) is not None
    assert strength.streams.get(StreamType.POWER) is None
    assert (len(bike.intervals), len(strength.intervals)) == (0, 83)
    assert np.nanmax(strength.streams.columns[StreamType.DISTANCE]) == 0.0


def test_heart_rates_that_a_strap_stored_under_water_are_found():
    [swim] = read("fit/swim-pool-garmin-fr735xt.fit").activities
    rates = swim.streams.columns[StreamType.HEART_RATE]
    assert np.isfinite(rates).mean() > 0.99
    assert np.nanmax(rates) == swim.totals.heart_rate_max_bpm == 161


def test_the_wall_clock_comes_from_the_activity_message():
    [ride] = read("fit/ride-power-garmin-edge530.fit").activities
    assert ride.utc_offset_s == -5 * 3600
    assert ride.device == "garmin edge_530"


def test_pauses_of_the_timer_are_breaks():
    [ride] = read("fit/ride-power-garmin-edge530.fit").activities
    times = ride.streams.columns[StreamType.TIME]
    stopped = [times[number] - times[number - 1] for number in ride.streams.breaks]
    assert sum(stopped) == pytest.approx(ride.totals.elapsed_s - ride.totals.timer_s, abs=len(stopped) * 2)


def test_a_clock_that_was_never_set_gives_offsets_without_a_start():
    file = read_file(fit(file_id(), record(1_000), record(1_060)))
    [activity] = file.activities
    assert activity.start_utc is None
    assert activity.streams.columns[StreamType.TIME].tolist() == [0.0, 60.0]
    assert [w.code for w in file.warnings] == [WarningCode.NO_SESSION, WarningCode.CLOCK_NOT_SET]


def test_records_out_of_order_are_sorted_and_told():
    file = read_file(fit(file_id(), record(NOON + 5, heart_rate=130), record(NOON, heart_rate=120)))
    assert file.activities[0].streams.columns[StreamType.HEART_RATE].tolist() == [120.0, 130.0]
    assert WarningCode.TIMES_OUT_OF_ORDER in [warning.code for warning in file.warnings]


def test_invalid_utf_8_in_a_name_costs_nothing_but_the_name():
    session = message(
        2, 18, [(253, 0x86, "I", NOON), (2, 0x86, "I", NOON), (110, 0x07, "5s", b"\xff\xfeab\x00")]
    )
    [activity] = read_file(fit(file_id(), record(NOON), session)).activities
    assert activity.streams.samples == 1
    assert activity.name is None or "\x00" not in activity.name


def test_a_session_without_records_has_its_totals_and_start():
    session = message(
        2,
        18,
        [
            (253, 0x86, "I", NOON),
            (2, 0x86, "I", NOON),
            (5, 0x00, "B", 1),
            (7, 0x86, "I", 60_000),
            (9, 0x86, "I", 25_000),
        ],
    )
    file = read_file(fit(file_id(), session))
    [activity] = file.activities
    assert (activity.sport, activity.streams.samples) == (Sport.RUNNING, 0)
    assert activity.start_utc.isoformat() == "2025-10-20T10:09:48+00:00"
    assert (activity.totals.elapsed_s, activity.totals.distance_m) == (60.0, 250.0)
    assert file.warnings == ()


def test_a_settings_part_before_the_activity_does_not_hide_it():
    chain = fit(file_id(2)) + fit(file_id(), record(NOON), record(NOON + 1))
    file = read_file(chain)
    assert [activity.streams.samples for activity in file.activities] == [2]


def test_two_activities_in_one_chain_are_two():
    chain = fit(file_id(), record(NOON)) + fit(file_id(), record(NOON + 86_400))
    assert len(read_file(chain).activities) == 2


def test_an_activity_file_without_a_record_says_that_nothing_could_be_read():
    with pytest.raises(NothingReadable, match="no record"):
        read_file(fit(file_id()))


def test_more_records_than_the_limit_are_cut_and_told():
    records = [record(NOON + second) for second in range(20)]
    file = read_file(fit(file_id(), *records), limits=FileLimits(points_max=12))
    assert file.activities[0].streams.samples == 12
    assert WarningCode.TOO_MANY_POINTS in [warning.code for warning in file.warnings]


def test_messages_without_a_byte_in_them_cannot_be_endless():
    empty = struct.pack("<BBBHB", 0x40, 0, 0, 0xFF00, 0) + b"\x00" * 500
    file = read_file(fit(file_id(), record(NOON), empty), limits=FileLimits(messages_max=100))
    assert WarningCode.TOO_MANY_MESSAGES in [warning.code for warning in file.warnings]


def test_a_part_is_found_at_its_place():
    first = fit(file_id())
    parts, warnings = parts_of(first + fit(file_id(2)))
    assert [part.offset for part in parts] == [0, len(first)]
    assert warnings == []
