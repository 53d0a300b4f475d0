"""Starting again, starting wrongly, stopping, being killed: one clear line each, and nothing is lost."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit_platform.client import log_in
from tests.kit_platform.process import ROOT, run_stadion, stadion_up

FIT = ROOT / "tests" / "data" / "activities" / "fit" / "run-garmin-vivoactive-hr.fit"
COUNT = "{ me { activities { totalCount } } }"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder after its first start, stopped by Ctrl-C."""
    folder = tmp_path_factory.mktemp("seeded") / "data"
    with stadion_up(folder) as up:
        assert up.stop() == 0
    yield folder


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file's content: what must not change. The lock names its last holder, so it is left out."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "LOCK"
    }


def refused(*arguments: str) -> str:
    """The one line that a start refuses with."""
    outcome = run_stadion("up", *arguments)
    assert outcome.returncode == 1, outcome.stdout
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    assert outcome.stdout == ""
    return outcome.stderr


def test_the_second_start_keeps_everything(seeded: Path) -> None:
    with stadion_up(seeded) as up:
        assert not any("Seeding" in line for line in up.lines)
        mira = log_in(up.graphql, "mira")
        assert mira.data(COUNT)["me"]["activities"]["totalCount"] == 4
        assert up.stop() == 0


def test_a_busy_port_is_one_line(seeded: Path) -> None:
    before = snapshot(seeded)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused("--port", str(taken.getsockname()[1]), "--data", str(seeded))
    assert "cannot listen on" in line
    assert "another port" in line
    assert snapshot(seeded) == before


def test_a_data_folder_of_a_newer_version_is_one_line_and_stays_as_it_is(seeded: Path) -> None:
    version = (seeded / "VERSION").read_text()
    (seeded / "VERSION").write_text("9999\n")
    try:
        before = snapshot(seeded)
        line = refused("--port", "0", "--data", str(seeded))
        assert "is of a newer Stadion" in line
        assert snapshot(seeded) == before
    finally:
        (seeded / "VERSION").write_text(version)


def test_an_unwritable_data_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused("--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert "cannot be written" in line


def test_reset_deletes_demo_folders_only(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    line = refused("--port", "0", "--data", str(tmp_path), "--reset-demo")
    assert "was not made by the demo" in line
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_no_demo_means_nobody_can_log_in(tmp_path: Path) -> None:
    with stadion_up(tmp_path / "data", "--no-demo") as up:
        assert not any("Demo logins" in line for line in up.lines)
        with pytest.raises(AssertionError, match="BAD_CREDENTIALS"):
            log_in(up.graphql, "mira")


def test_a_killed_process_keeps_what_it_acknowledged(seeded: Path) -> None:
    with stadion_up(seeded) as up:
        mira = log_in(up.graphql, "mira")
        query = "mutation($f: Upload!) { uploadActivityFile(file: $f) { activities { id } } }"
        answer = mira.upload(query, FIT, "f")
        acknowledged = {each["id"] for each in answer["data"]["uploadActivityFile"]["activities"]}
        assert acknowledged
        up.kill()
    with stadion_up(seeded) as up:
        mira = log_in(up.graphql, "mira")
        nodes = mira.data("{ me { activities(first: 100) { nodes { id } } } }")["me"]["activities"]["nodes"]
        assert acknowledged <= {each["id"] for each in nodes}


def test_ctrl_c_ends_within_its_drain_time(seeded: Path) -> None:
    with stadion_up(seeded) as up:
        begun = time.monotonic()
        assert up.stop() == 0
        assert time.monotonic() - begun < 10
