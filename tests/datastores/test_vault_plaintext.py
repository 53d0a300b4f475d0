"""The hunt for plaintext: what went through the vault is in no file, log or dump of any store."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from datastores.errors import Conflict
from datastores.events.outbox import RelationalOutbox, new_event, prepare_outbox
from datastores.relational.opening import open_relational
from datastores.relational.sqlite import SqliteRelational
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from tests.kit_datastores.hunt import CANARY, CONTROL, disguises, found_in
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, PostgresqlServer, running_postgresql


def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "vault.json"


async def test_no_plaintext_key_or_text_is_in_any_file_of_the_store(tmp_path: Path) -> None:
    vault = SealedVault(SqliteRelational(tmp_path / "db" / "v.db"), FileKeyProvider(key_file(tmp_path)))
    await vault.open()
    await vault.write(lambda c: c.execute(sa.text("CREATE TABLE notes (id INTEGER PRIMARY KEY, body BLOB)")))
    sealed = await vault.seal("ann", [(f"notes:body:{n}", CANARY * 20) for n in range(200)])
    rows = [{"id": n, "body": value} for n, value in enumerate(sealed)]
    await vault.write(lambda c: c.execute(sa.text("INSERT INTO notes VALUES (:id, :body)"), rows))
    files = list((tmp_path / "db").iterdir())
    assert {"v.db", "v.db-wal"} <= {file.name for file in files}
    content = b"".join(file.read_bytes() for file in files)
    assert len(content) > 100_000
    assert CANARY not in content
    data_key = vault._ciphers["ann"]
    wrapped = await vault.read(lambda c: c.execute(sa.text("SELECT wrapped FROM vault_keys")).scalar())
    assert wrapped in content
    assert data_key is not None
    await vault.shred("ann")
    left = b"".join(file.read_bytes() for file in (tmp_path / "db").iterdir())
    assert wrapped not in left  # neither in a free page nor in the log
    await vault.close()


@pytest.fixture
def own_postgresql() -> Iterator[PostgresqlServer]:
    try:
        with running_postgresql() as server:
            yield server
    except NoPostgresql as why:
        absent(why)


async def test_no_plaintext_is_in_data_files_wal_dump_or_logs_of_postgresql(
    own_postgresql: PostgresqlServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = own_postgresql.url
    vault = SealedVault(open_relational(url), FileKeyProvider(key_file(tmp_path)))
    await vault.open()
    await prepare_outbox(vault)
    tables = "CREATE TABLE notes (id INT PRIMARY KEY, body BYTEA, code TEXT); CREATE TABLE plain (t TEXT)"
    for statement in tables.split("; "):
        await vault.write(lambda c, s=statement: c.execute(sa.text(s)))  # type: ignore[misc]
    sealed = await vault.seal("ann", [(f"notes:body:{n}", CANARY * 20) for n in range(100)])
    index = vault.blind_index("notes:code", CANARY.decode())
    rows = [{"id": n, "body": value, "code": index} for n, value in enumerate(sealed)]
    insert = sa.text("INSERT INTO notes VALUES (:id, :body, :code)")

    def write(connection: sa.Connection) -> None:
        connection.execute(insert, rows)
        event = new_event("medical.changed", key="ann", payload={"note": "1"})
        RelationalOutbox().append(connection, [event])
        connection.execute(sa.text("INSERT INTO plain VALUES (:t)"), {"t": CONTROL})

    await vault.write(write)
    with pytest.raises(Conflict):  # what the server logs of a refused row is hunted through too
        await vault.write(lambda c: c.execute(insert, rows[:1]))
    assert await vault.unseal("ann", [("notes:body:7", sealed[7])]) == [CANARY * 20]
    dump = dumped(own_postgresql)
    wal = b"".join(
        path.read_bytes() for path in own_postgresql.folder.glob("cluster/pg_wal/*") if path.is_file()
    )
    await vault.close()
    own_postgresql.stop()
    paths = [path for path in own_postgresql.folder.rglob("*") if path.is_file()]
    files = b"".join(path.read_bytes() for path in paths)
    for place in (dump, wal, files):  # the hunt finds what is there to be found
        assert found_in(place, CONTROL.encode())
    key = FileKeyProvider(key_file(tmp_path))
    await key.open(create=False)
    secrets = [CANARY, *key._keys.values()]
    for secret in secrets:
        needles = disguises(secret) if secret == CANARY else [secret, secret.hex().encode()]
        for place in (dump, wal, files, caplog.text.encode()):
            assert not any(needle in place for needle in needles)


def dumped(server: PostgresqlServer) -> bytes:
    """What `pg_dump` makes of the whole database."""
    url = sa.make_url(server.url)
    program = next(path for path in (server._bin / "pg_dump", Path("/usr/bin/pg_dump")) if path.exists())
    done = subprocess.run(
        [program, "-h", "127.0.0.1", "-p", str(server.port), "-U", str(url.username), str(url.database)],
        env={**os.environ, "PGPASSWORD": str(url.password)},
        check=True,
        capture_output=True,
    )
    return done.stdout
