"""Whatever happens to a file: a typed refusal or what was before the damage; never another error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subgraphs.training.files.imported import ImportedFile
from subgraphs.training.files.problems import FileRefused
from subgraphs.training.files.read import read_file
from subgraphs.training.metrics.compute import measure
from subgraphs.training.model import StreamType
from tests.kit_training.files import content, names, read

# Small enough that a hundred damaged copies are read in a second or two.
SMALL = [name for name in names() if len(content(name)) < 25_000]
LARGE = [name for name in names() if 25_000 <= len(content(name)) < 150_000]


def survives(data: bytes) -> ImportedFile | None:
    """Read and measure; every step holds on whatever was read."""
    try:
        file = read_file(data)
    except FileRefused as refused:
        assert refused.message
        return None
    for activity in file.activities:
        measured = measure(activity.streams, activity.totals, activity.sport, barometer=True)
        for metric in measured.metrics:
            assert metric.value is None or np.isfinite(metric.value), metric
    return file


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=25, deadline=None)
@given(damage=st.data())
def test_a_small_file_cut_anywhere_keeps_what_came_before(name, damage):
    check_cut(name, damage.draw(st.integers(0, len(content(name)) - 1)))


@pytest.mark.parametrize("name", LARGE)
@settings(max_examples=3, deadline=None)
@given(damage=st.data())
def test_a_large_file_cut_anywhere_keeps_what_came_before(name, damage):
    check_cut(name, damage.draw(st.integers(0, len(content(name)) - 1)))


def check_cut(name: str, size: int) -> None:
    file = survives(content(name)[:size])
    if file is None:
        return
    whole = read(name)
    # Records that were wholly in the part that is left are all there; how many follows from the share of
    # bytes only roughly, so the streams themselves are compared where the file is of one activity.
    if len(whole.activities) == len(file.activities) == 1 and not whole.contents.count("hr"):
        left, all_of_it = file.activities[0].streams, whole.activities[0].streams
        if left.samples == 0 or np.isnan(all_of_it.columns[StreamType.TIME]).all():
            return
        for kind in (StreamType.LATITUDE, StreamType.POWER, StreamType.ALTITUDE):
            ours, theirs = left.get(kind), all_of_it.get(kind)
            if ours is not None and theirs is not None:
                known = np.isfinite(ours[:-1])
                assert np.array_equal(ours[:-1][known], theirs[: left.samples - 1][known])


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=25, deadline=None)
@given(damage=st.data())
def test_a_small_file_with_wrong_bytes_is_survived(name, damage):
    check_wrong_bytes(name, damage)


@pytest.mark.parametrize("name", LARGE)
@settings(max_examples=3, deadline=None)
@given(damage=st.data())
def test_a_large_file_with_wrong_bytes_is_survived(name, damage):
    check_wrong_bytes(name, damage)


def check_wrong_bytes(name: str, damage: st.DataObject) -> None:
    data = bytearray(content(name))
    places = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), min_size=1, max_size=12)
    changed = damage.draw(places)
    for place, byte in changed:
        data[place] = byte
    survives(bytes(data))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_after_a_fit_header_are_survived(body):
    header = bytes([14, 0x20, 0, 0]) + len(body).to_bytes(4, "little") + b".FIT\x00\x00"
    survives(header + body)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_inside_a_gpx_is_survived(text):
    survives(f"<gpx><trk><trkseg>{text}</trkseg></trk></gpx>".encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", [name for name in SMALL if name.startswith("fit/")])
def test_records_before_a_wrong_message_are_all_kept(name):
    """An undefined local message after the body's middle: every record that ended before it is read."""
    try:
        whole = read(name)
    except FileRefused:
        return
    data = content(name)
    total = whole.contents.count("record")
    kept = [count_at(data, size) for size in range(len(data) // 4, len(data) - 2, max(1, len(data) // 12))]
    assert kept == sorted(kept)
    assert kept[-1] <= total


def count_at(data: bytes, size: int) -> int:
    try:
        return read_file(data[:size]).contents.count("record")
    except FileRefused as refused:
        return refused.contents.count("record") if refused.contents else 0
