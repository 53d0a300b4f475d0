"""The second fence of lists: PostgreSQL itself shows a request only the rows its caller could ever be shown.

Running.reach -> FencedRows -> set_config in the request's transaction -> the policies that migrations lay.
The first fence is the predicate that a domain writes; a query that forgot it meets this one. On SQLite there
is nothing like it, and jobs without a caller (relays, imports from the command line) run as the tables'
owner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from alembic import op
from sqlalchemy import Connection, text

from authz.rows import Reach
from datastores.relational.port import Relational
from subgraphs.kit.trail import running

T = TypeVar("T")

log = logging.getLogger("stadion.subgraphs")

ROLE = "stadion_fenced"
"""Whose rights a request's transaction has: it owns nothing, so that row-level security binds it."""
_BETWEEN = "\x1f"
_POLICY = "stadion_fence"
_IS_MEMBER = """SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = :role
  AND pg_has_role(current_user, oid, 'MEMBER'))"""
_FENCE = text(
    f"SELECT set_config('role', '{ROLE}', true), set_config('stadion.subject', :subject, true),"
    " set_config('stadion.owners', :owners, true), set_config('stadion.open', :open, true)"
)


class FencedRows:
    """A domain's store. Inside a request each transaction is bound to what its caller could be shown."""

    def __init__(self, store: Relational) -> None:
        self._store = store
        self._binds: bool | None = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Relational.read`."""
        return await self._store.read(await self._fenced(work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Relational.write`."""
        return await self._store.write(await self._fenced(work))

    async def _fenced(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        request = running.get()
        if request is None or request.reach is None or self._store.dialect != "postgresql":
            return work
        if self._binds is None:
            self._binds = await self._store.read(_may_be_fenced)
        if not self._binds:
            return work
        settings = _settings(await request.reach())

        def fenced(connection: Connection) -> T:
            connection.execute(_FENCE, settings)
            return work(connection)

        return fenced

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _may_be_fenced(connection: Connection) -> bool:
    binds = bool(connection.execute(text(_IS_MEMBER), {"role": ROLE}).scalar())
    if not binds:
        log.warning(
            "row-level security is off: the database's role `%s` is missing or not granted to this user;"
            " as a superuser, run `CREATE ROLE %s NOLOGIN` and grant it",
            ROLE,
            ROLE,
        )
    return binds


def _settings(reach: Reach) -> Mapping[str, str]:
    # An id with the separator in it is nobody's: it would be read as two.
    owners = sorted(owner for owner in reach.owner_ids if _BETWEEN not in owner)
    opened = sorted(f"{data_class}:{action}" for data_class, action in reach.strangers)
    return {
        "subject": reach.subject_id or "",
        "owners": _BETWEEN.join(owners),
        "open": _BETWEEN.join(opened),
    }


def reachable(*owner_columns: str, by_strangers: Sequence[str] = (), acting: Sequence[str] = ()) -> str:
    """The SQL of whose rows a caller could be shown: their own, and of whom they are something to.

    `by_strangers` are `CLASS:action` pairs that the policy may open without a relation; `acting` are
    columns of who did what the row tells.
    """
    # Sub-selects are evaluated once a query, not once a row.
    subject = "(SELECT nullif(current_setting('stadion.subject', true), ''))"
    listed = "(SELECT string_to_array(nullif(current_setting('stadion.{}', true), ''), chr(31)))::text[]"
    parts = [f"{column} = {subject}" for column in (*owner_columns, *acting)]
    parts += [f"{column} = ANY ({listed.format('owners')})" for column in owner_columns]
    parts += [f"'{each}' = ANY ({listed.format('open')})" for each in by_strangers]
    return " OR ".join(parts)


def below(parent: str, *, key: str, parent_key: str = "id") -> str:
    """The SQL of the parts of a row: who could be shown it could be shown them."""
    return f"EXISTS (SELECT 1 FROM {parent} AS above WHERE above.{parent_key} = {key})"  # noqa: S608 - our own names


def lay_fence(tables: Mapping[str, str]) -> None:
    """In a migration: a policy for each table by its SQL. Nothing on SQLite.

    The role is made where the migrating user may; else an operator makes it, and `FencedRows` says so.
    """
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_MAKE_ROLE)
    for table, shown in tables.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY {_POLICY} ON {table} USING ({shown})")


def take_fence(tables: Sequence[str]) -> None:
    """In a migration that goes down: the policies of these tables away."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        op.execute(f"DROP POLICY {_POLICY} ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


# The role is the server's, not the schema's: several migrations may want to make it at once.
_MAKE_ROLE = """DO $$
DECLARE here text := quote_ident(current_schema());
BEGIN
  PERFORM pg_advisory_xact_lock(7305081);
  BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'FENCED') THEN
      CREATE ROLE FENCED NOLOGIN;
    END IF;
    IF NOT pg_has_role(current_user, 'FENCED', 'MEMBER') THEN
      EXECUTE format('GRANT FENCED TO %I', current_user);
    END IF;
  EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
  END;
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'FENCED') THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO FENCED', here);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO FENCED', here);
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %s TO FENCED', here);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE'
                   ' ON TABLES TO FENCED', here);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT USAGE, SELECT ON SEQUENCES TO FENCED', here);
  END IF;
END $$""".replace("FENCED", ROLE)
