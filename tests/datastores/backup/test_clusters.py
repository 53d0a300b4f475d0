"""A whole PostgreSQL with its log: back to the last transaction, or to a moment before a mistake."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from datastores.backup.clusters import keep_base, keep_segment, restore_base
from datastores.backup.repository import Entry, Repository
from datastores.backup.retention import Pruned, Retention, first_segment, let_go, prune
from datastores.blobs.files import FileBlobs
from datastores.errors import Conflict, Unavailable
from datastores.relational.copying import TargetNotEmpty
from datastores.vault.keys import FileKeyProvider
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, PostgresqlServer, running_postgresql
from tests.servers.programs import free_port

SEGMENT = re.compile(r"[0-9A-F]{24}")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    try:
        with running_postgresql() as server:
            yield server
    except NoPostgresql as why:
        absent(why)


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[Repository]:
    repository = Repository(
        FileBlobs(tmp_path / "backups"), FileKeyProvider(tmp_path / "safe" / "backup.json")
    )
    await repository.open(create=True)
    yield repository
    await repository.close()


async def sql(url: str, *statements: str) -> object:
    """The last statement's first value."""
    engine = create_async_engine(make_url(url), isolation_level="AUTOCOMMIT")
    value = None
    async with engine.connect() as connection:
        for statement in statements:
            found = await connection.execute(sa.text(statement))
            value = found.scalar() if found.returns_rows else None
    await engine.dispose()
    return value


async def archive(server: PostgresqlServer, repository: Repository) -> None:
    """What the server's `archive_command` does with each finished segment."""
    # Exactly at a boundary, the current segment is told as the one before it: a commit is written out.
    await sql(server.url, "SELECT pg_switch_wal()", "SELECT pg_logical_emit_message(true, 'on', 'wards')")
    current = await sql(server.url, "SELECT pg_walfile_name(pg_current_wal_lsn())")
    for file in sorted((server.folder / "cluster" / "pg_wal").iterdir()):
        if SEGMENT.fullmatch(file.name) and file.name < str(current):
            await keep_segment(file, repository)


def server_on(original: PostgresqlServer, folder: Path, _segments: int = 0) -> PostgresqlServer:
    """A throw-away server on a restored cluster."""
    port = free_port()
    url = make_url(original.url).set(port=port).render_as_string(hide_password=False)
    if original._account is not None:
        for each in (folder, *folder.rglob("*")):
            shutil.chown(each, original._account)
    return PostgresqlServer(url, folder, port, original._bin, original._account)


async def test_it_comes_back_to_the_end_of_the_log_or_to_a_moment(
    server: PostgresqlServer, repository: Repository
) -> None:
    await sql(server.url, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
    part = await keep_base(server.url, repository, advance=lambda _name, _count: None)
    digest = await repository.put_manifest("b1", part)
    entry = await repository.note(Entry("base", "b1", "2026", 1.0, ok=True, manifest_sha256=digest))
    await sql(server.url, "INSERT INTO t VALUES (2)")
    moment = await sql(server.url, "SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    await sql(server.url, "DELETE FROM t", "INSERT INTO t VALUES (3)")
    await archive(server, repository)
    await archive(server, repository)  # the same segments again are nothing

    for until, rows in ((moment, [1, 2]), (None, [3])):
        home = server.folder / f"restored-{len(rows)}"
        home.mkdir()
        count = await restore_base(
            repository,
            entry,
            home / "cluster",
            until_utc=None if until is None else until.astimezone(UTC),
            advance=lambda _name, _count: None,
        )
        assert count >= 1
        restored = server_on(server, home)
        restored.start()
        try:
            await sql(restored.url, "SELECT 1")
            assert await sql(restored.url, "SELECT array_agg(n ORDER BY n) FROM t") == rows
        finally:
            restored.stop()

    with pytest.raises(TargetNotEmpty, match="is not empty"):
        await restore_base(repository, entry, home, until_utc=None, advance=lambda _name, _count: None)


async def base(server: PostgresqlServer, repository: Repository, name: str, at: datetime) -> Entry:
    part = await keep_base(server.url, repository, advance=lambda _name, _count: None)
    digest = await repository.put_manifest(name, part)
    return await repository.note(Entry("base", name, at.isoformat(), 1.0, ok=True, manifest_sha256=digest))


async def segments(repository: Repository) -> list[str]:
    return sorted([name.removeprefix("wal/") async for name in repository.list_sealed("wal/")])


async def test_a_log_is_let_go_up_to_what_the_oldest_kept_cluster_needs(
    server: PostgresqlServer, repository: Repository
) -> None:
    """And what is kept still comes back, to the end of the log."""
    now = datetime.now(UTC)
    await archive(server, repository)
    lonely = await segments(repository)
    assert await prune(repository, Retention(backups=1), at_utc=now) == Pruned()
    assert await segments(repository) == lonely  # without a cluster nobody knows what is needed
    await sql(server.url, "DROP TABLE IF EXISTS w", "CREATE TABLE w (n int)")
    for days_ago in (9, 5, 1):
        await base(server, repository, f"d{days_ago}", now - timedelta(days=days_ago))
        await sql(server.url, f"INSERT INTO w VALUES ({days_ago})")
        await archive(server, repository)
    bases = await repository.backups("base")
    first = [await first_segment(repository, each) for each in bases]
    assert first == sorted(set(first))
    whole = await segments(repository)
    # Of three days the cluster of five days ago is needed: each moment of them begins there.
    gone = await prune(repository, Retention(days=3), at_utc=now)
    assert gone == Pruned(1, len([name for name in whole if name < first[1]]))
    assert await segments(repository) == [name for name in whole if name >= first[1]]
    assert [each.backup_id for each in await repository.backups("base")] == ["d5", "d1"]
    assert (await repository.catalogue())[-1].told.startswith(f"{gone.segments} segments of the log before")
    gone = await prune(repository, Retention(backups=1), at_utc=now)
    assert gone.backups == 1
    assert await segments(repository) == [name for name in whole if name >= first[2]]
    assert await prune(repository, Retention(backups=1, days=30), at_utc=now) == Pruned()
    home = server.folder / "pruned"
    home.mkdir()
    restored = server_on(server, home, await restored_base(repository, bases[2], home))
    restored.start()
    try:
        assert await sql(restored.url, "SELECT array_agg(n ORDER BY n) FROM w") == [1, 5, 9]
    finally:
        restored.stop()


async def restored_base(repository: Repository, entry: Entry, home: Path) -> int:
    return await restore_base(
        repository, entry, home / "cluster", until_utc=None, advance=lambda _name, _count: None
    )


@pytest.mark.parametrize(
    ("kind", "retention", "kept"),
    [
        ("backup", Retention(backups=2), "cd"),
        ("backup", Retention(days=6), "bcd"),
        ("base", Retention(days=6), "abcd"),
        ("base", Retention(days=4), "bcd"),
        ("backup", Retention(backups=1, days=2), "d"),
        ("backup", Retention(days=0.0), "d"),
        ("base", Retention(days=0.0), "d"),
        ("backup", Retention(backups=9), "abcd"),
    ],
)
def test_what_is_kept_by_number_and_by_days(kind: str, retention: Retention, kept: str) -> None:
    now = datetime(2026, 3, 20, tzinfo=UTC)
    entries = [
        Entry(kind, name, (now - timedelta(days=days)).isoformat(), 1.0, ok=True)
        for name, days in zip("abcd", (8, 5, 3, 1), strict=True)
    ]
    gone = {each.backup_id for each in let_go(kind, entries, retention, now)}
    assert "".join(each.backup_id for each in entries if each.backup_id not in gone) == kept


async def test_a_second_base_costs_only_what_changed(
    server: PostgresqlServer, repository: Repository
) -> None:
    await keep_base(server.url, repository, advance=lambda _name, _count: None)
    first, repository.bytes_added = repository.bytes_added, 0
    await sql(server.url, "CREATE TABLE more (n int)", "INSERT INTO more VALUES (1)")
    await keep_base(server.url, repository, advance=lambda _name, _count: None)
    assert 0 < repository.bytes_added < first / 2


async def test_another_segment_of_the_same_name_is_refused(repository: Repository, tmp_path: Path) -> None:
    segment = tmp_path / ("0" * 23 + "1")
    segment.write_bytes(b"one")
    await keep_segment(segment, repository)
    await keep_segment(segment, repository)
    segment.write_bytes(b"two")
    with pytest.raises(Conflict, match="is this another cluster"):
        await keep_segment(segment, repository)
    other = tmp_path / "passwords"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match="`passwords` is no segment"):
        await keep_segment(other, repository)


async def test_a_server_that_is_away_is_told_of_without_its_password(repository: Repository) -> None:
    url = f"postgresql+asyncpg://u:secret@127.0.0.1:{free_port()}/d"
    with pytest.raises(Unavailable, match="pg_basebackup failed") as caught:
        await keep_base(url, repository, advance=lambda _name, _count: None)
    assert "secret" not in str(caught.value)
