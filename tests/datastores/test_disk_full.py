"""A disk that is full, a small tmpfs: nothing acknowledged is lost, and with room again all goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from datastores.blobs.files import FileBlobs
from datastores.documents.mongodb import MongodbDocuments
from datastores.documents.port import Document
from datastores.errors import NotFound, Unavailable
from datastores.relational.port import Relational
from datastores.relational.postgresql import PostgresqlRelational
from datastores.relational.sqlite import SqliteRelational
from datastores.series.port import AT_MS_MAX, Sample
from datastores.series.relational import RelationalSeries
from tests.kit_datastores.small_disk import MEGABYTE, Ballast, small_disk
from tests.servers.absent import absent
from tests.servers.ferretdb import running_ferretdb
from tests.servers.postgresql import NoPostgresql, running_postgresql
from tests.servers.programs import ServerAbsent

INSERT = sa.text("INSERT INTO t VALUES (:number, :body)")


async def fill(rows: Relational) -> set[int]:
    """Numbers that were acknowledged until there was no room any more."""
    acknowledged: set[int] = set()
    for number in range(200):
        body = {"number": number, "body": os.urandom(MEGABYTE // 4)}
        try:
            await rows.write(lambda c, b=body: c.execute(INSERT, b))  # type: ignore[misc]
        except Unavailable:
            return acknowledged
        acknowledged.add(number)
    raise AssertionError("the disk was never full")


async def numbers(rows: Relational) -> set[int]:
    query = sa.text("SELECT number FROM t")
    return set(await rows.read(lambda c: c.execute(query).scalars().all()))


async def goes_on(rows: Relational, acknowledged: set[int]) -> None:
    """Full and then not: what was acknowledged is there, alone, and a write works again."""
    more = {"number": 1_000, "body": b"x"}
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable):
                await rows.write(lambda c: c.execute(INSERT, more))
                break
            await asyncio.sleep(0.05)
    kept = await numbers(rows)
    assert acknowledged <= kept
    assert len(kept - acknowledged - {1_000}) <= 1  # the one that was refused may have been written


async def test_sqlite_on_a_full_disk_is_unavailable_and_goes_on_with_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        rows = SqliteRelational(disk / "t.db")
        await rows.open()
        await rows.write(lambda c: c.execute(sa.text("CREATE TABLE t (number INT, body BLOB)")))
        ballast = Ballast(disk, leaving_bytes=3 * MEGABYTE)
        acknowledged = await fill(rows)
        assert acknowledged
        assert await numbers(rows) == acknowledged
        ballast.throw_off()
        await goes_on(rows, acknowledged)
        check = await rows.read(lambda c: c.execute(sa.text("PRAGMA integrity_check")).scalar())
        assert check == "ok"
        await rows.close()


async def test_series_on_a_full_disk_keep_samples_and_rollups_together(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12) as disk:
        series = RelationalSeries(SqliteRelational(disk / "s.db"))
        await series.open()
        ballast = Ballast(disk, leaving_bytes=MEGABYTE)
        kept = 0
        for turn in range(200):
            samples = [Sample("hr", (turn * 2_000 + at) * 1_000, 1.0) for at in range(2_000)]
            try:
                await series.append(samples)
            except Unavailable:
                break
            kept += 2_000
        else:
            raise AssertionError("the disk was never full")
        ballast.throw_off()
        await series.append([Sample("hr", kept * 1_000, 1.0)])
        found = (await series.buckets(["hr"], start_ms=0, end_ms=AT_MS_MAX, step_ms=86_400_000_000))["hr"]
        assert sum(bucket.samples for bucket in found) == kept + 1
        await series.close()


async def test_files_on_a_full_disk_are_whole_or_not_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        blobs = FileBlobs(disk)
        await blobs.open()

        async def content(megabytes: int) -> AsyncIterator[bytes]:
            for _ in range(megabytes):
                yield bytes(MEGABYTE)

        await blobs.put("first", content(2), size_bytes_max=10 * MEGABYTE)
        with pytest.raises(Unavailable, match="the disk is full"):
            await blobs.put("second", content(3), size_bytes_max=10 * MEGABYTE)
        assert [key async for key in blobs.list_keys()] == ["first"]
        with pytest.raises(NotFound):
            await anext(blobs.get("second"))
        await blobs.delete("first")
        assert (
            await blobs.put("second", content(3), size_bytes_max=10 * MEGABYTE)
        ).size_bytes == 3 * MEGABYTE
        await blobs.close()


async def test_postgresql_on_a_full_disk_is_unavailable_and_goes_on_with_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A short path, for its socket's name, and one that the server's own account may pass through.
    with tempfile.TemporaryDirectory() as short, small_disk(Path(short) / "disk", 160) as disk:
        Path(short).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        try:
            with running_postgresql() as server:
                rows = PostgresqlRelational(make_url(server.url))
                await rows.open()
                await rows.write(lambda c: c.execute(sa.text("CREATE TABLE t (number INT, body BYTEA)")))
                ballast = Ballast(disk, leaving_bytes=6 * MEGABYTE)
                acknowledged = await fill(rows)
                assert acknowledged
                ballast.throw_off()
                # Out of room for its log it stops itself, as it must; then its supervisor starts it again.
                if server.has_ended():
                    await asyncio.to_thread(server.start)
                await goes_on(rows, acknowledged)
                await rows.close()
        except NoPostgresql as why:
            absent(why)


async def test_documents_on_a_full_disk_are_unavailable_and_go_on_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        try:
            with running_ferretdb() as server:
                documents = MongodbDocuments(f"{server.url}/full")
                await documents.open()
                await documents.insert("n", [Document("first", {"n": 1})])
                ballast = Ballast(disk, leaving_bytes=2 * MEGABYTE)
                acknowledged = {"first"}
                for number in range(100):
                    try:
                        big = Document(f"d{number}", {"text": os.urandom(MEGABYTE // 8).hex()})
                        await documents.insert("n", [big])
                    except Unavailable:
                        break
                    acknowledged.add(f"d{number}")
                else:
                    raise AssertionError("the disk was never full")
                ballast.throw_off()
                await documents.insert("n", [Document("after", {"n": 1})])
                kept = {each.id for each in await documents.find("n")}
                assert acknowledged | {"after"} <= kept
                assert len(kept - acknowledged - {"after"}) <= 1
                await documents.close()
        except ServerAbsent as why:
            absent(why)
