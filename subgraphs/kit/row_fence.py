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

ROLE = "'stadion_fenced_' || substr(md5(current_database()), 1, 12)"
"""The SQL of whose rights a request's transaction has: it owns nothing, so that row-level security binds it.
Roles are the server's: each database has one of its own, or platforms on one server would share it."""
_BETWEEN = "\x1f"
_POLICY = "stadion_fence"
_IS_MEMBER = text(
    "SELECT EXISTS (SELECT 1 FROM pg_roles"
    " WHERE rolname = :role AND pg_has_role(current_user, oid, 'MEMBER'))"
)
_FENCE = text(
    "SELECT set_config('role', :role, true), set_config('stadion.subject', :subject, true),"
    " set_config('stadion.owners', :owners, true), set_config('stadion.open', :open, true)"
)


def _as_known(person_id: str) -> str:
    return person_id


class FencedRows:
    """A domain's store. Inside a request each transaction is bound to what its caller could be shown.

    `named` gives the name by which the store's rows know a person, where that is not the person's id.
    """

    def __init__(self, store: Relational, *, named: Callable[[str], str] = _as_known) -> None:
        self._store = store
        self._named = named
        self._role: str | None = None

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
        if self._role is None:
            self._role = await self._store.read(_own_role)
        if not self._role:
            return work
        subject = request.trail.subject
        counting = [role.value for role in subject.roles if subject.limit_of(role) is None]
        settings = {"role": self._role, **_settings(await request.reach(), self._named, counting)}

        def fenced(connection: Connection) -> T:
            connection.execute(_FENCE, settings)
            return work(connection)

        return fenced

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _own_role(connection: Connection) -> str:
    """The role of this database; empty where this user may not have its rights."""
    role = str(connection.execute(text(f"SELECT {ROLE}")).scalar())
    if connection.execute(_IS_MEMBER, {"role": role}).scalar():
        return role
    log.warning(
        "row-level security is off: the database's role `%s` is missing or not granted to this user;"
        " as a superuser, run `CREATE ROLE %s NOLOGIN` and grant it, then migrate",
        role,
        role,
    )
    return ""


def _settings(reach: Reach, named: Callable[[str], str], roles: Sequence[str]) -> Mapping[str, str]:
    # An id with the separator in it is nobody's: it would be read as two.
    owners = sorted(named(owner) for owner in reach.owner_ids if _BETWEEN not in owner)
    opened = sorted(f"{data_class}:{action}" for data_class, action in reach.strangers)
    opened += sorted(f"role:{role}" for role in roles)
    return {
        "subject": named(reach.subject_id) if reach.subject_id else "",
        "owners": _BETWEEN.join(owners),
        "open": _BETWEEN.join(opened),
    }


def reachable(*owner_columns: str, by_strangers: Sequence[str] = (), acting: Sequence[str] = ()) -> str:
    """The SQL of whose rows a caller could be shown: their own, and of whom they are something to.

    `by_strangers` are `CLASS:action` pairs that the policy may open without a relation, or `role:ROLE` where
    it is not limited; `acting` are columns of who did what the row tells.
    """
    # Sub-selects are evaluated once a query, not once a row.
    subject = "(SELECT nullif(current_setting('stadion.subject', true), ''))"
    listed = "(SELECT string_to_array(nullif(current_setting('stadion.{}', true), ''), chr(31)))::text[]"
    parts = [f"{column} = {subject}" for column in (*owner_columns, *acting)]
    parts += [f"{column} = ANY ({listed.format('owners')})" for column in owner_columns]
    parts += [f"'{each}' = ANY ({listed.format('open')})" for each in by_strangers]
    return " OR ".join(parts)


def opened(pair: str) -> str:
    """The SQL of whether a `CLASS:action` pair, or a `role:ROLE`, is open to the caller."""
    listed = "(SELECT string_to_array(nullif(current_setting('stadion.open', true), ''), chr(31)))::text[]"
    return f"'{pair}' = ANY ({listed})"


def below(parent: str, *, key: str, parent_key: str = "id") -> str:
    """The SQL of the parts of a row: who could be shown it could be shown them."""
    return f"EXISTS (SELECT 1 FROM {parent} AS above WHERE above.{parent_key} = {key})"  # noqa: S608 - our own names


def lay_fence(tables: Mapping[str, str]) -> None:
    """In a migration: a policy for each table by its SQL. Nothing on SQLite.

    The role is made where the migrating user may; else an operator makes it, and `FencedRows` says so.
    """
    if op.get_bind().dialect.name != "postgresql":
        return
    make_role()
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


def make_role() -> None:
    """In a migration: the role of this database, with rights to the tables of this schema, and to those that
    come. Nothing on SQLite, or where the migrating user may not."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_MAKE_ROLE)


# Several migrations may want to make it at once.
_MAKE_ROLE = """DO $$
DECLARE
  fenced text := OWN_ROLE;
  here text := current_schema();
BEGIN
  PERFORM pg_advisory_xact_lock(7305081);
  BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = fenced) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', fenced);
    END IF;
    IF NOT pg_has_role(current_user, fenced, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO %I', fenced, current_user);
    END IF;
  EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
  END;
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = fenced) THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', here, fenced);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', here, fenced);
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', here, fenced);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE'
                   ' ON TABLES TO %I', here, fenced);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO %I',
                   here, fenced);
  END IF;
END $$""".replace("OWN_ROLE", ROLE)
