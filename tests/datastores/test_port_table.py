"""What every adapter of every port owes: a place in the table, and a hundred writers at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit_datastores.port_table import PORTS, where_of


def test_every_adapter_of_every_port_meets_a_hundred_writers(request: pytest.FixtureRequest) -> None:
    """Of the ports whose suites are in this run, which are all of them in the gate."""
    found: dict[str, set[str]] = {}
    hundred: dict[str, set[str]] = {}
    for item in request.session.items:
        where = where_of(item)
        if where is not None:
            found.setdefault(where[0], set()).update(where[1])
            if "hundred" in item.name:
                hundred.setdefault(where[0], set()).update(where[1])
    if not found:
        pytest.skip("no contract suite is in this run: run the folder")
    for port, adapters in found.items():
        assert adapters >= PORTS[port]
        assert hundred.get(port, set()) >= PORTS[port]


def test_the_gate_fails_where_an_adapter_is_tried_by_nothing(tmp_path: Path) -> None:
    """A run of its own, with a suite that skips a server, or has none of its tests."""
    (tmp_path / "conftest.py").write_text("from tests.kit_datastores.port_table import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = port\n")
    suite = """
import pytest
pytestmark = pytest.mark.port("blobs")

@pytest.mark.parametrize("store", ["files", "s3"])
def test_it(store):
    if store == "s3" and {skips}:
        pytest.skip("absent")
"""
    for skips, code, told in ((True, 1, "NO TEST PASSED"), (False, 0, "1 passed")):
        (tmp_path / "test_suite.py").write_text(suite.format(skips=skips))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "STADION_TEST_REQUIRE_SERVERS": "1", "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        assert told in done.stdout
