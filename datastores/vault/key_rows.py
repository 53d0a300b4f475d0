"""The vault's own rows: wrapped data keys and secrets. Nothing in them opens without the key provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import NotFound
from datastores.relational.columns import UtcDateTime, insert
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from datastores.relational.schemas import Schema
from datastores.relational.sqlite import SqliteRelational
from datastores.vault.keys import WrappedKey

_metadata = sa.MetaData()
_keys = sa.Table(
    "vault_keys",
    _metadata,
    sa.Column("patient_id", sa.String(100), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary()),
    sa.Column("kek_id", sa.String(40)),
    sa.Column("made_at_utc", UtcDateTime()),
    sa.Column("shredded_at_utc", UtcDateTime()),
)
_secrets = sa.Table(
    "vault_secrets",
    _metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary()),
    sa.Column("kek_id", sa.String(40)),
)
SCHEMA = Schema("vault", Path(__file__).parent / "migrations", "vault_version", (_keys, _secrets))


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One wrapped key: of a `patient` by id, or a `secret` by name."""

    kind: str
    name: str
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """All wrapped keys, to be kept elsewhere. Instants are ISO text; who is `shredded` has no key."""

    patients: Mapping[str, WrappedKey] = field(default_factory=dict)
    secrets: Mapping[str, WrappedKey] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    shredded: Mapping[str, str] = field(default_factory=dict)

    def without(self, shredded: Mapping[str, str]) -> KeptKeys:
        """The same, less the keys of those who are `shredded` as well."""
        gone = {**self.shredded, **shredded}
        left = {name: key for name, key in self.patients.items() if name not in gone}
        return KeptKeys(left, self.secrets, {**gone, **self.made}, gone)


async def prepare(relational: Relational) -> None:
    """Make or upgrade the vault's own tables."""
    await migrate(relational, SCHEMA.scripts, SCHEMA.version_table)


def any_key(connection: Connection) -> bool:
    """Whether something was ever wrapped here."""
    return bool(connection.execute(sa.select(sa.exists(sa.select(_secrets.c.name)))).scalar())


def data_key(connection: Connection, patient_id: str) -> WrappedKey | None:
    """The wrapped key of a patient, None for a new one. Errors: NotFound where it was destroyed."""
    query = sa.select(_keys.c.kek_id, _keys.c.wrapped).where(_keys.c.patient_id == patient_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.wrapped is None:
        raise NotFound("the data key of this patient was destroyed")
    return WrappedKey(row.kek_id, row.wrapped)


def data_keys(connection: Connection, patient_ids: Sequence[str]) -> list[tuple[str, WrappedKey]]:
    """The wrapped keys of those patients who have one that was not destroyed."""
    query = sa.select(_keys).where(_keys.c.patient_id.in_(patient_ids), _keys.c.wrapped.is_not(None))
    return [(row.patient_id, WrappedKey(row.kek_id, row.wrapped)) for row in connection.execute(query)]


def keep_first(
    connection: Connection, patient_id: str, fresh: WrappedKey, *, now_utc: datetime
) -> WrappedKey:
    """The patient's key: the one already there, else `fresh`."""
    values = {
        "patient_id": patient_id,
        "wrapped": fresh.wrapped,
        "kek_id": fresh.kek_id,
        "made_at_utc": now_utc,
    }
    connection.execute(insert(connection, _keys).values(values).on_conflict_do_nothing())
    return data_key(connection, patient_id) or fresh


def secret(connection: Connection, name: str, *, first: WrappedKey) -> WrappedKey:
    """The secret called `name`: the one already there, else `first`."""
    values = {"name": name, "wrapped": first.wrapped, "kek_id": first.kek_id}
    connection.execute(insert(connection, _secrets).values(values).on_conflict_do_nothing())
    row = connection.execute(sa.select(_secrets).where(_secrets.c.name == name)).one()
    return WrappedKey(row.kek_id, row.wrapped)


def shred(connection: Connection, patient_id: str, *, now_utc: datetime) -> None:
    """Destroy the wrapped key; the row stays, so that no second key is ever made for this patient."""
    statement = insert(connection, _keys).values(
        patient_id=patient_id, wrapped=None, kek_id=None, made_at_utc=now_utc, shredded_at_utc=now_utc
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[_keys.c.patient_id],
            set_={"wrapped": None, "kek_id": None, "shredded_at_utc": now_utc},
            where=_keys.c.wrapped.is_not(None),
        )
    )


async def forget_old_pages(relational: Relational) -> None:
    """Make the store overwrite what it deleted, where it can: an old page still holds the wrapped key."""
    if isinstance(relational, SqliteRelational):
        await relational.truncate_log()


def kek_ids(connection: Connection) -> list[str]:
    """Every key-encryption key that wraps something."""
    query = sa.union(
        sa.select(_keys.c.kek_id).where(_keys.c.kek_id.is_not(None)), sa.select(_secrets.c.kek_id)
    )
    return list(connection.execute(query).scalars())


def wrapped_by_others(connection: Connection, kek_id: str, *, limit: int) -> list[KeyRow]:
    """Keys that another key-encryption key than `kek_id` wraps."""
    query = sa.union_all(
        sa.select(
            sa.literal("patient").label("kind"),
            _keys.c.patient_id.label("name"),
            _keys.c.kek_id,
            _keys.c.wrapped,
        ).where(_keys.c.kek_id.is_not(None), _keys.c.kek_id != kek_id),
        sa.select(sa.literal("secret"), _secrets.c.name, _secrets.c.kek_id, _secrets.c.wrapped).where(
            _secrets.c.kek_id != kek_id
        ),
    ).limit(limit)
    return [KeyRow(r.kind, r.name, WrappedKey(r.kek_id, r.wrapped)) for r in connection.execute(query)]


def replace(connection: Connection, rewrapped: Sequence[tuple[KeyRow, WrappedKey]]) -> None:
    """Store the new wraps; a key that was destroyed meanwhile stays destroyed."""
    for row, wrapped in rewrapped:
        table = _keys if row.kind == "patient" else _secrets
        name = _keys.c.patient_id if row.kind == "patient" else _secrets.c.name
        connection.execute(
            sa.update(table)
            .where(name == row.name, table.c.kek_id == row.wrapped.kek_id)
            .values(wrapped=wrapped.wrapped, kek_id=wrapped.kek_id)
        )


def taken_out(connection: Connection) -> KeptKeys:
    """All keys, to be kept apart from the rows that they open."""
    rows = connection.execute(sa.select(_keys)).all()
    secrets = connection.execute(sa.select(_secrets)).all()
    return KeptKeys(
        patients={r.patient_id: WrappedKey(r.kek_id, r.wrapped) for r in rows if r.wrapped is not None},
        secrets={r.name: WrappedKey(r.kek_id, r.wrapped) for r in secrets},
        made={r.patient_id: r.made_at_utc.isoformat() for r in rows},
        shredded={r.patient_id: r.shredded_at_utc.isoformat() for r in rows if r.wrapped is None},
    )


def put_back(connection: Connection, kept: KeptKeys) -> None:
    """The keys of `kept` into empty tables; who was erased has a row without a key, for good."""
    made = {name: datetime.fromisoformat(at) for name, at in kept.made.items()}
    rows = [
        {"patient_id": name, "wrapped": key.wrapped, "kek_id": key.kek_id, "made_at_utc": made[name]}
        for name, key in kept.patients.items()
    ]
    for name, at in kept.shredded.items():
        gone_at = datetime.fromisoformat(at)
        values = {"patient_id": name, "made_at_utc": made.get(name, gone_at), "shredded_at_utc": gone_at}
        connection.execute(sa.insert(_keys).values(values))
    if rows:
        connection.execute(sa.insert(_keys), rows)
    secrets = [{"name": n, "wrapped": k.wrapped, "kek_id": k.kek_id} for n, k in kept.secrets.items()]
    if secrets:
        connection.execute(sa.insert(_secrets), secrets)
