"""The record's rows: sealed resources, found by keyed hashes, listed newest first. Knows no plaintext."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row

from datastores.relational.columns import insert
from subgraphs.medical.model import ResourceType
from subgraphs.medical.resource_ids import has_clear_ids, sealed_now
from subgraphs.medical.tables import codes, label_sets, resources

_ROWS_PER_STATEMENT = 200


@dataclass(frozen=True, slots=True)
class SealedResource:
    """A stored resource. `day` orders (empty: undated); `label_set` is None for what is not restricted.
    Without `sealed_fhir_id`, `id_index` is the id itself."""

    id: str
    patient_id: str
    resource_type: ResourceType
    id_index: str
    version: int
    day: str
    label_set: str | None
    sealed: bytes
    sealed_fhir_id: bytes | None


@dataclass(frozen=True, slots=True)
class NewResource:
    """A resource to store, sealed already. `content_index` tells equal content of one resource, which
    `id_index` finds."""

    id: str
    resource_type: ResourceType
    fhir_id: str
    id_index: str
    sealed_fhir_id: bytes
    day: str
    label_set: str | None
    content_index: str
    code_indexes: frozenset[str]
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of new resources, by id: stored first, stored as a later version, known already, or
    refused because it would stand in front of what somebody else has entered."""

    added: frozenset[str]
    updated: frozenset[str]
    unchanged: frozenset[str]
    refused: frozenset[str]


@dataclass(frozen=True, slots=True)
class VisibleRows:
    """The rows of `patient_id` whose set of labels is one of these (None: not restricted). Empty: none."""

    patient_id: str
    label_sets: frozenset[str | None]


def resource_context(resource_id: str) -> str:
    """What a sealed resource is bound to."""
    return f"medical_resources.sealed {resource_id}"


def label_set_context(label_set: str) -> str:
    """What a sealed set of labels is bound to."""
    return f"medical_label_sets.sealed {label_set}"


def add_resources(
    connection: Connection,
    patient_id: str,
    new: Sequence[NewResource],
    *,
    imported_by: str,
    may_amend: bool,
    at_utc: datetime,
) -> Stored:
    """Store what is not there yet; a resource with other content than before gets the next version.

    Nothing is overwritten: earlier versions stay, and are no longer current. Who may not amend gives later
    versions only of what they have entered themselves.
    """
    for each in new if has_clear_ids(connection, patient_id) else ():
        named = (patient_id, each.resource_type, each.fhir_id)
        sealed_now(connection, named, each.id_index, each.sealed_fhir_id)
    known = _known(connection, patient_id, new)
    outcomes: dict[str, set[str]] = {"added": set(), "updated": set(), "unchanged": set(), "refused": set()}
    rows: list[dict[str, Any]] = []
    for each in new:
        earlier = known.setdefault(each.id_index, _Earlier(set(), imported_by))
        if each.content_index in earlier.contents:
            outcomes["unchanged"].add(each.id)
            continue
        if not may_amend and earlier.entered_by != imported_by:
            outcomes["refused"].add(each.id)
            continue
        outcomes["updated" if earlier.contents else "added"].add(each.id)
        earlier.contents.add(each.content_index)
        version = len(earlier.contents)
        rows.append(_values(patient_id, each, version=version, by=imported_by, at_utc=at_utc))
    _insert(connection, patient_id, rows, {each.id: each.code_indexes for each in new})
    return Stored(**{name: frozenset(ids) for name, ids in outcomes.items()})


def add_label_sets(connection: Connection, patient_id: str, sealed: Mapping[str, bytes]) -> None:
    """Remember what each hash of a set of labels stands for."""
    rows = [{"patient_id": patient_id, "label_set": key, "sealed": value} for key, value in sealed.items()]
    if rows:
        connection.execute(insert(connection, label_sets).values(rows).on_conflict_do_nothing())


def read_label_sets(connection: Connection, patient_ids: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """Sealed sets of labels by their hash, by patient."""
    found: dict[str, dict[str, bytes]] = {patient_id: {} for patient_id in patient_ids}
    for row in connection.execute(sa.select(label_sets).where(label_sets.c.patient_id.in_(patient_ids))):
        found[row.patient_id][row.label_set] = row.sealed
    return found


def list_resources(
    connection: Connection,
    visible: VisibleRows,
    resource_type: ResourceType,
    *,
    limit: int,
    code_index: str | None = None,
    after: tuple[str, str] | None = None,
    before: tuple[str, str] | None = None,
    backward: bool = False,
) -> list[SealedResource]:
    """Current resources, newest day first, at most `limit` of them after or before a `(day, id)`."""
    query = sa.select(resources).where(_listed(visible, resource_type, code_index))
    place = sa.tuple_(resources.c.day, resources.c.id)
    if after is not None:
        query = query.where(place < sa.tuple_(*map(sa.literal, after)))
    if before is not None:
        query = query.where(place > sa.tuple_(*map(sa.literal, before)))
    order = (resources.c.day, resources.c.id)
    query = query.order_by(*(order if backward else [column.desc() for column in order])).limit(limit)
    rows = [_resource(row) for row in connection.execute(query)]
    return rows[::-1] if backward else rows


def count_resources(
    connection: Connection, visible: VisibleRows, resource_type: ResourceType, code_index: str | None = None
) -> int:
    """How many resources the list has."""
    query = sa.select(sa.func.count()).select_from(resources)
    return connection.execute(query.where(_listed(visible, resource_type, code_index))).scalar_one()


def _listed(visible: VisibleRows, resource_type: ResourceType, code_index: str | None) -> ColumnElement[bool]:
    named = [label_set for label_set in visible.label_sets if label_set is not None]
    shown: ColumnElement[bool] = resources.c.label_set.in_(named)
    if None in visible.label_sets:
        shown = sa.or_(shown, resources.c.label_set.is_(None))
    condition = sa.and_(
        resources.c.patient_id == visible.patient_id,
        resources.c.resource_type == resource_type.value,
        resources.c.current.is_(True),
        shown,
    )
    if code_index is not None:
        of_code = sa.select(codes.c.resource_id).where(codes.c.code_index == code_index)
        condition = sa.and_(condition, resources.c.id.in_(of_code))
    return condition


@dataclass(slots=True)
class _Earlier:
    """Content hashes of all stored versions of a resource, and who entered the current one."""

    contents: set[str]
    entered_by: str


def _known(connection: Connection, patient_id: str, new: Sequence[NewResource]) -> dict[str, _Earlier]:
    known: dict[str, _Earlier] = {}
    indexes = sorted({each.id_index for each in new})
    for start in range(0, len(indexes), _ROWS_PER_STATEMENT):
        query = sa.select(resources).where(
            resources.c.patient_id == patient_id,
            resources.c.fhir_id.in_(indexes[start : start + _ROWS_PER_STATEMENT]),
        )
        columns = (resources.c.fhir_id, resources.c.content_index, resources.c.imported_by)
        # In order of versions: the last row of a resource is its current one.
        for row in connection.execute(query.with_only_columns(*columns).order_by(resources.c.version)):
            earlier = known.setdefault(row.fhir_id, _Earlier(set(), row.imported_by))
            earlier.contents.add(row.content_index)
            earlier.entered_by = row.imported_by
    return known


def _values(patient_id: str, each: NewResource, *, version: int, by: str, at_utc: datetime) -> dict[str, Any]:
    return {
        "id": each.id,
        "patient_id": patient_id,
        "resource_type": each.resource_type.value,
        "fhir_id": each.id_index,
        "sealed_fhir_id": each.sealed_fhir_id,
        "version": version,
        "current": True,
        "day": each.day,
        "label_set": each.label_set,
        "content_index": each.content_index,
        "sealed": each.sealed,
        "imported_by": by,
        "imported_at_utc": at_utc,
    }


def _insert(
    connection: Connection,
    patient_id: str,
    rows: Sequence[dict[str, Any]],
    code_indexes: Mapping[str, frozenset[str]],
) -> None:
    for row in rows:
        if row["version"] > 1:
            earlier = sa.and_(
                resources.c.patient_id == patient_id,
                resources.c.resource_type == row["resource_type"],
                resources.c.fhir_id == row["fhir_id"],
            )
            connection.execute(sa.update(resources).where(earlier).values(current=False))
        connection.execute(sa.insert(resources), [row])
    pairs = [
        {"resource_id": row["id"], "code_index": index}
        for row in rows
        for index in sorted(code_indexes[row["id"]])
    ]
    if pairs:
        connection.execute(sa.insert(codes), pairs)


def _resource(row: Row[Any]) -> SealedResource:
    return SealedResource(
        id=row.id,
        patient_id=row.patient_id,
        resource_type=ResourceType(row.resource_type),
        id_index=row.fhir_id,
        version=row.version,
        day=row.day,
        label_set=row.label_set,
        sealed=row.sealed,
        sealed_fhir_id=row.sealed_fhir_id,
    )
