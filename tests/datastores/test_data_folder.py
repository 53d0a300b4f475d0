"""The data folder: one process, a known version, one clear line otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastores.blobs.files import FileBlobs
from datastores.errors import SchemaTooNew, StoreError, Unavailable
from datastores.folder import FOLDER_VERSION, DataFolder, is_private
from datastores.relational.sqlite import SqliteRelational
from datastores.vault.keys import FileKeyProvider

NOBODY = 65_534

HOLDER = """
import sys, signal
from pathlib import Path
from datastores.folder import DataFolder
DataFolder(Path(sys.argv[1])).claim()
print("claimed", flush=True)
signal.pause()
"""


def test_a_fresh_folder_is_made_private_and_gets_its_version(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "b")
    folder.claim()
    assert (folder.path / "VERSION").read_text() == f"{FOLDER_VERSION}\n"
    assert folder.path.stat().st_mode & 0o077 == 0
    folder.release()
    folder.claim()
    folder.release()


def test_a_second_process_is_refused_with_the_first_ones_number_until_that_dies(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "claimed\n"
        with pytest.raises(Unavailable, match=rf"in use by process {holder.pid}: stop it or choose another"):
            DataFolder(tmp_path).claim()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    folder = DataFolder(tmp_path)
    folder.claim()
    folder.release()


def test_a_folder_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    with pytest.raises(SchemaTooNew, match=r"layout 99, this one knows 1\): start the newer version"):
        DataFolder(tmp_path).claim()
    assert (tmp_path / "VERSION").read_text() == "99\n"


def test_a_version_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("soon\n")
    with pytest.raises(StoreError, match="holds no version number"):
        DataFolder(tmp_path).claim()


def test_a_refused_claim_holds_no_lock(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99")
    with pytest.raises(SchemaTooNew):
        DataFolder(tmp_path).claim()
    (tmp_path / "VERSION").write_text("1")
    folder = DataFolder(tmp_path)
    folder.claim()
    folder.release()


def test_a_place_that_cannot_be_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"the data folder `.*` cannot be written: "):
        DataFolder(tmp_path / "file" / "data").claim()


@pytest.fixture
def unwritable() -> Iterator[Path]:
    """A folder that we may enter and not write, also where the tests are run by root."""
    with tempfile.TemporaryDirectory(prefix="stadion-") as name:
        folder = Path(name)
        folder.chmod(0o500)
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o700)


def test_an_unwritable_folder_is_refused_in_one_line(unwritable: Path) -> None:
    with pytest.raises(Unavailable, match=r"the data folder `.*` cannot be written: Permission denied"):
        DataFolder(unwritable).claim()
    with pytest.raises(Unavailable, match="cannot make the folder"):
        asyncio.run(SqliteRelational(unwritable / "new" / "x.db").open())
    with pytest.raises(Unavailable, match="the file cannot be opened"):
        asyncio.run(SqliteRelational(unwritable / "x.db").open())
    with pytest.raises(Unavailable, match="Permission denied"):
        asyncio.run(FileBlobs(unwritable / "blobs").open())
    with pytest.raises(Unavailable, match="cannot be written: Permission denied"):
        asyncio.run(FileKeyProvider(unwritable / "keys.json").open(create=True))
    assert list(unwritable.iterdir()) == []


def test_parts_of_one_platform_share_a_folder_each_once_and_prepare_in_turn(tmp_path: Path) -> None:
    accounts, training, whole = (DataFolder(tmp_path) for _ in range(3))
    accounts.claim(beside="accounts")
    accounts.prepared()
    training.claim(beside="training")
    for refused, beside in ((DataFolder(tmp_path), "training"), (whole, None)):
        with pytest.raises(Unavailable, match="in use by process"):
            refused.claim(beside=beside)
    accounts.release()
    training.release()
    whole.claim()
    with pytest.raises(Unavailable, match="in use by process"):
        training.claim(beside="training")
    whole.release()


@pytest.mark.parametrize(
    ("mode", "owner", "us", "private"),
    [
        (0o600, 10_001, 10_001, True),
        (0o400, 0, 0, True),
        (0o440, 0, 10_001, True),  # as a cluster lays a secret before a program: root's, for its group
        (0o440, 0, 0, False),
        (0o440, 10_001, 10_001, False),
        (0o444, 0, 10_001, False),
        (0o460, 0, 10_001, False),
        (0o604, 10_001, 10_001, False),
    ],
)
def test_who_may_read_a_file_of_secrets(
    mode: int, owner: int, us: int, private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: us)
    status = os.stat_result((0o100000 | mode, 1, 1, 1, owner, 10_001, 0, 0, 0, 0))
    assert is_private(status) is private
