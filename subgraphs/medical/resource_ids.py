"""Ids that hospitals gave to resources: found by keyed hash, kept sealed. Rows of before are made so here.

start, or `stadion migrate up` -> seal_all · `stadion migrate down` below the revision -> open_all
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import NotFound
from datastores.vault.port import Vault
from subgraphs.medical.model import ResourceType
from subgraphs.medical.tables import resources

SEALED_SINCE = "0005"
"""The revision from which on ids are sealed."""
LOST = b""
"""Sealed id of somebody whose key was destroyed: nothing opens it, as nothing opens the resource."""
_IDS_AT_ONCE = 200
_Named = tuple[str, ResourceType, str]


def id_index(vault: Vault, patient_id: str, resource_type: ResourceType, fhir_id: str) -> str:
    """What rows of this resource are found by. By patient: else one would tell it in another's record."""
    return vault.blind_index("medical_resources.fhir_id", f"{patient_id} {resource_type} {fhir_id}")


def id_context(index: str) -> str:
    """What a sealed id is bound to; all versions of a resource share it."""
    return f"medical_resources.fhir_id {index}"


async def seal_all(vault: Vault) -> int:
    """Seal every id that is still in clear; how many. Others may read and write meanwhile."""
    count = 0
    while some := await vault.read(_in_clear):
        for patient_id in sorted({each[0] for each in some}):
            count += await _seal(vault, patient_id, [each for each in some if each[0] == patient_id])
    if count:
        await vault.forget_old_pages()
    return count


async def open_all(vault: Vault) -> int:
    """Put every id back in clear, for a version that knows no other; how many rows. The ids of erased people
    are lost: their rows are named by the hash."""
    count = 0
    while some := await vault.read(_sealed):
        opened = await vault.unseal_each(
            [(patient, id_context(index), each) for patient, index, each in some]
        )
        plain = [
            (patient, index, index if each is None else each.decode())
            for (patient, index, _), each in zip(some, opened, strict=True)
        ]
        count += await vault.write(lambda c, plain=plain: _put_back(c, plain))  # type: ignore[misc]
    return count


def has_clear_ids(connection: Connection, patient_id: str | None = None) -> bool:
    """Whether a version before has written to this record, or to any, since `seal_all`."""
    query = sa.select(resources.c.id).where(resources.c.sealed_fhir_id.is_(None))
    if patient_id is not None:
        query = query.where(resources.c.patient_id == patient_id)
    return connection.execute(query.limit(1)).first() is not None


def sealed_now(connection: Connection, named: _Named, index: str, sealed: bytes) -> int:
    """Keep the sealed id with all rows of a resource that have it in clear; how many."""
    patient_id, resource_type, fhir_id = named
    there = sa.and_(
        resources.c.patient_id == patient_id,
        resources.c.resource_type == resource_type.value,
        resources.c.fhir_id == fhir_id,
        resources.c.sealed_fhir_id.is_(None),
    )
    changed = sa.update(resources).where(there).values(fhir_id=index, sealed_fhir_id=sealed)
    return connection.execute(changed).rowcount


async def _seal(vault: Vault, patient_id: str, some: Sequence[_Named]) -> int:
    indexes = [id_index(vault, *each) for each in some]
    texts = [
        (id_context(index), fhir_id.encode()) for index, (_, _, fhir_id) in zip(indexes, some, strict=True)
    ]
    try:
        sealed = await vault.seal(patient_id, texts)
    except NotFound:
        sealed = [LOST] * len(texts)
    found = list(zip(some, indexes, sealed, strict=True))
    return await vault.write(lambda c: sum(sealed_now(c, *each) for each in found))


def _in_clear(connection: Connection) -> list[_Named]:
    columns = (resources.c.patient_id, resources.c.resource_type, resources.c.fhir_id)
    query = sa.select(*columns).where(resources.c.sealed_fhir_id.is_(None)).distinct().limit(_IDS_AT_ONCE)
    return [(row[0], ResourceType(row[1]), row[2]) for row in connection.execute(query)]


def _sealed(connection: Connection) -> list[tuple[str, str, bytes]]:
    columns = (resources.c.patient_id, resources.c.fhir_id, resources.c.sealed_fhir_id)
    query = sa.select(*columns).where(resources.c.sealed_fhir_id.is_not(None)).distinct()
    return [(row[0], row[1], row[2]) for row in connection.execute(query.limit(_IDS_AT_ONCE))]


def _put_back(connection: Connection, plain: Sequence[tuple[str, str, str]]) -> int:
    count = 0
    for patient_id, index, fhir_id in plain:
        there = (resources.c.patient_id == patient_id) & (resources.c.fhir_id == index)
        changed = sa.update(resources).where(there).values(fhir_id=fhir_id, sealed_fhir_id=None)
        count += connection.execute(changed).rowcount
    return count
