"""Migrations: brings a domain's tables to what this program knows, in one transaction, before it starts.

A domain keeps Alembic revisions in `<script_location>/versions`; the environment around them is this
module, so no domain carries an `env.py`.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, exc, text

from datastores.errors import SchemaTooNew
from datastores.relational.port import Relational


async def migrate(
    relational: Relational, script_location: Path, version_table: str, *, revision: str = "head"
) -> None:
    """Upgrade to `revision`, the newest by default; all of it or nothing.

    Errors: SchemaTooNew where the database is at a revision that `script_location` does not hold, or is not
    as its revision left it.
    """
    script = script_directory(script_location)

    def work(connection: Connection) -> None:
        see_others(connection)
        upgrade_to(connection, script, version_table, revision)

    await relational.write(work)


async def downgrade(
    relational: Relational, script_location: Path, version_table: str, *, revision: str = "base"
) -> None:
    """Go back to `revision`; for tests and for an operator who must undo a release."""
    script = script_directory(script_location)

    def steps(heads: Any, _context: MigrationContext) -> Any:
        return script._downgrade_revs(revision, heads)

    def work(connection: Connection) -> None:
        see_others(connection)
        _move(connection, script, version_table, steps)

    await relational.write(work)


async def current_revision(relational: Relational, version_table: str) -> str | None:
    """The revision that the database is at; None before the first migration."""

    return await relational.read(lambda c: version_context(c, version_table).get_current_revision())


def script_directory(script_location: Path) -> ScriptDirectory:
    """The revisions in `<script_location>/versions`; loaded once a set of files."""
    versions = script_location / "versions"
    if not versions.is_dir():
        raise FileNotFoundError(f"no migrations: `{versions}` is not a folder")
    return _loaded(script_location, tuple(sorted(file.name for file in versions.glob("*.py"))))


@lru_cache(maxsize=64)
def _loaded(script_location: Path, _names: tuple[str, ...]) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(script_location / "versions").replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def see_others(connection: Connection) -> None:
    """Let a migration that waited for another process see what that one did, which a serialisable snapshot
    would hide. Comes first in its transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))


def upgrade_to(connection: Connection, script: ScriptDirectory, version_table: str, revision: str) -> None:
    """Run what leads up to `revision` on a connection; the caller begins with `see_others`, and commits."""

    def steps(heads: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs(revision, heads)

    _move(connection, script, version_table, steps)


def version_context(connection: Connection, version_table: str, **options: Any) -> MigrationContext:
    """Where Alembic keeps the revision that a database is at."""
    return MigrationContext.configure(connection, opts={"version_table": version_table, **options})


def _move(connection: Connection, script: ScriptDirectory, version_table: str, steps: Any) -> None:
    if connection.dialect.name == "postgresql":
        # Two processes that start together must not both create the first table.
        lock_id = zlib.crc32(version_table.encode())
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock_id)"), {"lock_id": lock_id})
    context = version_context(connection, version_table, fn=steps)
    for revision in context.get_current_heads():
        _check_known(script, revision, version_table)
    try:
        with Operations.context(context):
            context.run_migrations()
    except exc.DBAPIError as error:
        if _is_about_schema(error):
            raise SchemaTooNew(
                f"the tables of `{version_table}` are not as their revision left them, and cannot be"
                " migrated: restore a backup, or mend them by hand"
            ) from error
        raise


def _is_about_schema(error: exc.DBAPIError) -> bool:
    """Whether a table or column is missing, or there already: no fault of the disk or the network."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    missing_or_there = ("no such", "already exists", "duplicate column")
    return state[:2] == "42" or any(mark in str(error.orig) for mark in missing_or_there)


def _check_known(script: ScriptDirectory, revision: str, version_table: str) -> None:
    try:
        script.get_revision(revision)
    except CommandError:
        raise SchemaTooNew(
            f"the database is at revision `{revision}` of `{version_table}`, which this version of Stadion"
            " does not know: start the newer version that wrote it, or restore a backup"
        ) from None
