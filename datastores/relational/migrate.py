"""Migrations: brings a domain's tables to what this program knows, in one transaction, before it starts.

A domain keeps Alembic revisions in `<script_location>/versions`; the environment around them is this
module, so no domain carries an `env.py`.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from datastores.errors import SchemaTooNew
from datastores.relational.port import Relational


async def migrate(relational: Relational, script_location: Path, version_table: str) -> None:
    """Upgrade to the newest revision; all of it or nothing.

    Errors: SchemaTooNew where the database is at a revision that `script_location` does not hold.
    """
    script = _script_directory(script_location)
    await relational.write(lambda connection: _move(connection, script, version_table, target="head"))


async def downgrade(
    relational: Relational, script_location: Path, version_table: str, *, revision: str = "base"
) -> None:
    """Go back to `revision`; for tests and for an operator who must undo a release."""
    script = _script_directory(script_location)
    await relational.write(lambda connection: _move(connection, script, version_table, target=revision))


async def current_revision(relational: Relational, version_table: str) -> str | None:
    """The revision that the database is at; None before the first migration."""

    def read(connection: Connection) -> str | None:
        return _context(connection, version_table).get_current_revision()

    return await relational.read(read)


def _script_directory(script_location: Path) -> ScriptDirectory:
    versions = script_location / "versions"
    if not versions.is_dir():
        raise FileNotFoundError(f"no migrations: `{versions}` is not a folder")
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _move(connection: Connection, script: ScriptDirectory, version_table: str, *, target: str) -> None:
    if connection.dialect.name == "postgresql":
        # Two processes that start together must not both create the first table; the one that waited must
        # see what the other did, which a serialisable snapshot would hide.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))
        lock_id = zlib.crc32(version_table.encode())
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock_id)"), {"lock_id": lock_id})

    def steps(heads: Any, _context: MigrationContext) -> Any:
        return (
            script._upgrade_revs(target, heads) if target == "head" else script._downgrade_revs(target, heads)
        )

    context = _context(connection, version_table, fn=steps)
    for revision in context.get_current_heads():
        _check_known(script, revision, version_table)
    with Operations.context(context):
        context.run_migrations()


def _context(connection: Connection, version_table: str, **options: Any) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": version_table, **options})


def _check_known(script: ScriptDirectory, revision: str, version_table: str) -> None:
    try:
        script.get_revision(revision)
    except CommandError:
        raise SchemaTooNew(
            f"the database is at revision `{revision}` of `{version_table}`, which this version of Stadion"
            " does not know: start the newer version that wrote it, or restore a backup"
        ) from None
