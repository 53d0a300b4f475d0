# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""What is kept in this process's own files: values beside AES-GCM, samples beside SQLite, files beside calls."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from datastores.blobs.files import FileBlobs
from datastores.relational.sqlite import SqliteRelational
from datastores.series import sqlite as statements
from datastores.series.opening import open_series
from datastores.series.port import DAY_MS, HOUR_MS, Points, Sample
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from tests.benchmarks.datastore_pairs.pair import Pair, times
from tests.benchmarks.datastore_pairs.sqlite import driver_of

_TABLES = (
    "CREATE TABLE series_samples (key INT, at_ms INT, value REAL, PRIMARY KEY (key, at_ms)) WITHOUT ROWID;"
    "CREATE TABLE series_rollups (width_ms INT, key INT, start_ms INT, count INT, total REAL, low REAL,"
    " high REAL, PRIMARY KEY (width_ms, key, start_ms)) WITHOUT ROWID"
)
_READ = "SELECT at_ms, value FROM series_samples WHERE key = 1 AND at_ms >= ? AND at_ms < ? ORDER BY at_ms"


@asynccontextmanager
async def sealing(folder: Path) -> AsyncIterator[list[Pair]]:
    """The vault: both sides seal into one value, nonce and text, and open what was sealed so."""
    vault = SealedVault(SqliteRelational(folder / "v.db"), FileKeyProvider(folder / "keys" / "v.json"))
    await vault.open()
    cipher = AESGCM(os.urandom(32))
    values = [(f"notes:body:{n}", os.urandom(1_000)) for n in range(100)]

    async def bare_seal(_: int) -> list[bytes]:
        sealed = []
        for context, value in values:
            nonce = os.urandom(12)
            sealed.append(nonce + cipher.encrypt(nonce, value, context.encode()))
        return sealed

    async def bare_open(_: int) -> list[bytes]:
        return [cipher.decrypt(sealed[:12], sealed[12:], context.encode()) for context, sealed in bare]

    contexts = [context for context, _ in values]
    ours = list(zip(contexts, await vault.seal("ann", values), strict=True))
    bare = list(zip(contexts, await bare_seal(0), strict=True))
    yield [
        Pair("vault", "sqlite", "seal 100 values of 1 kB, beside AES-GCM", 20,
             times(20, lambda n: vault.seal("ann", values)), times(20, bare_seal)),
        Pair("vault", "sqlite", "open 100 values of 1 kB, beside AES-GCM", 20,
             times(20, lambda n: vault.unseal("ann", ours)), times(20, bare_open)),
    ]  # fmt: skip
    await vault.close()


class Hours:
    """An hour of seconds after the other, each given out once."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = values
        self._turn = 0

    def points(self) -> Points:
        """The next hour as columns."""
        self._turn += 1
        start_ms = self._turn * HOUR_MS
        return Points(list(range(start_ms, start_ms + HOUR_MS, 1_000)), self._values)


@asynccontextmanager
async def samples(folder: Path) -> AsyncIterator[list[Pair]]:
    """Series: the same rows put, rollups summed up and committed by the driver, one hop to a thread."""
    loop, executor = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    series = open_series(f"sqlite:///{folder}/s.db")
    await series.open()
    driver = driver_of(folder / "b.db")
    driver.executescript(_TABLES)
    numbers = [100.0 + at % 60 for at in range(3_600)]
    ours, bare = Hours(numbers), Hours(numbers)

    async def append_samples(_: int) -> None:
        points = ours.points()
        await series.append(list(map(Sample, repeat("p"), points.times_ms, points.values)))

    def bare_append_samples() -> None:
        points = bare.points()
        _append(driver, list(zip(repeat(1), points.times_ms, points.values)), points.times_ms[0])

    def bare_append() -> None:
        points = bare.points()
        _append(driver, zip(repeat(1), points.times_ms, points.values), points.times_ms[0])

    def bare_read() -> Any:
        return driver.execute(_READ, (HOUR_MS, 2 * HOUR_MS)).fetchall()

    yield [
        Pair("series", "sqlite", "append an hour of seconds as columns, with rollups", 3,
             times(3, lambda n: series.append({"p": ours.points()})),
             times(3, lambda n: loop.run_in_executor(executor, bare_append))),
        Pair("series", "sqlite", "append an hour of seconds as samples, with rollups", 3,
             times(3, append_samples), times(3, lambda n: loop.run_in_executor(executor, bare_append_samples))),
        Pair("series", "sqlite", "read an hour of seconds", 10,
             times(10, lambda n: series.read(["p"], start_ms=HOUR_MS, end_ms=2 * HOUR_MS)),
             times(10, lambda n: loop.run_in_executor(executor, bare_read))),
    ]  # fmt: skip
    await series.close()
    executor.shutdown()
    driver.close()


def _append(driver: sqlite3.Connection, rows: Any, start_ms: int) -> None:
    day_ms = start_ms - start_ms % DAY_MS
    driver.execute("BEGIN IMMEDIATE")
    driver.executemany(statements._INSERT, rows)
    driver.execute(statements._FROM_SAMPLES, (60_000, 1, start_ms, start_ms + HOUR_MS))
    driver.execute(statements._FROM_ROLLUPS, (HOUR_MS, 1, start_ms, start_ms + HOUR_MS, 60_000))
    driver.execute(statements._FROM_ROLLUPS, (DAY_MS, 1, day_ms, day_ms + DAY_MS, HOUR_MS))
    driver.execute("COMMIT")


@asynccontextmanager
async def files(folder: Path) -> AsyncIterator[list[Pair]]:
    """Files: the same system calls on content that comes in the same four parts."""
    blobs = FileBlobs(folder / "blobs")
    await blobs.open()
    content = os.urandom(1_000_000)
    turn = {"ours": 0, "bare": 0}

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 250_000):
            yield content[at : at + 250_000]

    async def put(_: int) -> None:
        turn["ours"] += 1
        await blobs.put(f"a/{turn['ours']}", parts(), size_bytes_max=1_000_000)

    async def bare_put(_: int) -> None:
        turn["bare"] += 1
        await asyncio.to_thread(_write, folder / f"bare{turn['bare']}", [part async for part in parts()])

    yield [
        Pair("blobs", "files", "put 1 MB, hashed and on disk", 10, times(10, put), times(10, bare_put)),
    ]  # fmt: skip
    await blobs.close()


def _write(place: Path, parts: list[bytes]) -> str:
    digest = hashlib.sha256()
    with place.with_suffix(".new").open("wb", buffering=0) as file:
        for part in parts:
            digest.update(part)
            file.write(part)
        os.fsync(file.fileno())
    place.with_suffix(".new").rename(place)
    descriptor = os.open(place.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return digest.hexdigest()
