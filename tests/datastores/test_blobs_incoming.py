"""Several processes over one folder of files: nobody sweeps what somebody else is writing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datastores.blobs.files import FileBlobs
from datastores.blobs.incoming import LOCK, STRAY_KEPT_S
from datastores.errors import NotFound, Unavailable

# Writes one chunk of 2 MB to the disk, says so, and goes on when it is told to.
WRITER = """
import asyncio, sys
from pathlib import Path
from datastores.blobs.files import FileBlobs

async def content():
    yield bytes(2_000_000)
    print("half", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    yield b"the rest"

async def run():
    blobs = FileBlobs(Path(sys.argv[1]))
    await blobs.open()
    blob = await blobs.put("slow", content(), size_bytes_max=3_000_000)
    print(blob.size_bytes, flush=True)
    await blobs.close()

asyncio.run(run())
"""


@contextmanager
def writer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has written half of a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def written(folder: Path) -> list[Path]:
    """What lies below `incoming` but locks."""
    return [path for path in (folder / "incoming").rglob("*") if path.is_file() and path.name != LOCK]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_second_process_that_opens_the_folder_leaves_an_upload_in_progress_alone(
    tmp_path: Path,
) -> None:
    with writer(tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        [half] = written(tmp_path)
        for _ in range(2):
            blobs = FileBlobs(tmp_path)
            await blobs.open()
            await blobs.put("mine", chunks(b"x"), size_bytes_max=1)
            await blobs.close()
        assert written(tmp_path) == [half]
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "2000008\n"
        assert process.wait(30) == 0
    assert len([chunk async for chunk in blobs.get("slow")]) > 5
    assert written(tmp_path) == []


async def test_opening_sweeps_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert len(written(tmp_path)) == 1
    blobs = FileBlobs(tmp_path)
    await blobs.open()
    await blobs.ready()
    assert written(tmp_path) == []
    assert [key async for key in blobs.list_keys()] == []
    await blobs.close()
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == [LOCK]


async def test_stray_files_of_an_earlier_program_are_swept_when_they_are_a_day_old(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    old, new = (tmp_path / "incoming" / name for name in ("old", "new"))
    for file in (old, new):
        file.write_bytes(b"half")
    past_s = time.time() - STRAY_KEPT_S - 60
    os.utime(old, (past_s, past_s))
    blobs = FileBlobs(tmp_path)
    await blobs.open()
    assert written(tmp_path) == [new]
    await blobs.close()


async def test_a_store_that_is_not_open_takes_nothing(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    with pytest.raises(Unavailable):
        await blobs.put("k", chunks(b"x"), size_bytes_max=1)
    await blobs.open()
    await blobs.open()
    await blobs.put("k", chunks(b"x"), size_bytes_max=1)
    await blobs.close()
    await blobs.close()
    with pytest.raises(Unavailable):
        await blobs.put("l", chunks(b"x"), size_bytes_max=1)


async def test_a_caller_who_leaves_while_a_write_goes_on_leaves_no_file_and_no_other_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FileBlobs(tmp_path)
    await blobs.open()
    writes, go_on = threading.Event(), threading.Event()
    write = os.write

    def slow_write(descriptor: int, content: bytes) -> int:
        writes.set()
        assert go_on.wait(30)
        os.fstat(descriptor)  # open still: nobody has closed it under us
        return write(descriptor, content)

    async def content() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000

    monkeypatch.setattr(os, "write", slow_write)
    putting = asyncio.create_task(blobs.put("a", content(), size_bytes_max=3_000_000))
    assert await asyncio.to_thread(writes.wait, 30)
    putting.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert written(tmp_path) == []
    with pytest.raises(NotFound):
        await blobs.size_bytes("a")
    await blobs.close()
