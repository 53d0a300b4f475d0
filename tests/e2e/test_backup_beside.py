"""A backup beside the running platform: it disturbs nobody, survives a kill, brings back what was there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit_platform.client import Caller, log_in
from tests.kit_platform.process import ROOT, environment, run_stadion, stadion_up

RENAME = (
    "mutation U($input: UpdateProfileInput!) { updateProfile(input: $input) { profile { displayName } } }"
)
NAME = "{ me { profile { displayName } } }"
pytestmark = pytest.mark.timeout(180)


def named(caller: Caller) -> str:
    return str(caller.data(NAME)["me"]["profile"]["displayName"])


def test_it_is_taken_while_people_work_survives_a_kill_and_comes_back(tmp_path: Path) -> None:
    data, new = tmp_path / "data", tmp_path / "new"
    place = ("--into", f"file:///{tmp_path}/backups", "--safe", str(tmp_path / "safe"))
    source = ("--from", place[1], *place[2:])
    with stadion_up(data) as up:
        mira = log_in(up.graphql, "mira")
        killed = subprocess.Popen(
            [sys.executable, "-m", "deploy", "backup", *place, "--data", str(data)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while killed.poll() is None and not list(tmp_path.glob("backups/kept/chunks/*/*")):
            mira.data(RENAME, input={"displayName": "Mira before"})
        killed.kill()
        killed.wait(10)
        mira.data(RENAME, input={"displayName": "Mira kept"})
        outcome = run_stadion("backup", *place, "--data", str(data), timeout_s=120)
        assert outcome.returncode == 0, outcome.stderr
        mira.data(RENAME, input={"displayName": "Mira after"})
        assert named(mira) == "Mira after"
        up.kill()
    outcome = run_stadion("restore", *source, "--data", str(new), timeout_s=120)
    assert outcome.returncode == 0, outcome.stderr
    with stadion_up(new) as up:
        assert named(log_in(up.graphql, "mira")) == "Mira kept"
        assert up.stop() == 0
