"""What resolvers ask for: the request's context, its loaders by patient, pages of opened resources."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import Connection

from authz.classes import Purpose
from authz.question import Decision, Question
from datastores.events.port import Events
from datastores.vault.port import Vault
from subgraphs.kit import CursorSigner, PageRequest, RequestContext, RowAccess, batch_loader
from subgraphs.medical import store
from subgraphs.medical.access import row_access, visible_rows
from subgraphs.medical.care import Care
from subgraphs.medical.emergency import Emergencies
from subgraphs.medical.importing import DocumentImporter
from subgraphs.medical.indexes import code_index
from subgraphs.medical.model import BreakGlassGrant, CareTeamMember, Clearance, Consent, ResourceType
from subgraphs.medical.ports import Supposes
from subgraphs.medical.resource_ids import id_context
from subgraphs.medical.store import SealedResource, VisibleRows, label_set_context, resource_context

LabelSets = dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class OpenResource:
    """A stored resource, opened: its text as it came, and the same parsed with decimals as Decimal."""

    id: str
    fhir_id: str
    version: int
    day: str
    source: str
    resource: dict[str, Any]
    access: RowAccess


@dataclass(frozen=True, slots=True)
class ResourceList:
    """Which list is asked for: whose, of what, why, with which code."""

    patient_id: str
    resource_type: ResourceType
    purpose: Purpose | None
    code: str | None = None


@dataclass(kw_only=True)
class MedicalContext(RequestContext):
    """One request to medical."""

    vault: Vault
    care: Care
    emergencies: Emergencies
    importer: DocumentImporter
    events: Events
    signer: CursorSigner
    authorizer: Supposes
    now: Callable[[], datetime]
    clearances: DataLoader[str, Clearance | None] = field(init=False)
    care_teams: DataLoader[str, list[CareTeamMember] | None] = field(init=False)
    consents: DataLoader[str, list[Consent] | None] = field(init=False)
    label_sets: DataLoader[str, LabelSets | None] = field(init=False)
    grants: DataLoader[str, BreakGlassGrant | None] = field(init=False)

    def __post_init__(self) -> None:
        # Not super(): a dataclass with slots or fields of its own makes a new class.
        RequestContext.__post_init__(self)
        self.clearances = batch_loader(self.care.clearances)
        self.care_teams = batch_loader(self.care.care_teams)
        self.consents = batch_loader(self.care.consents)
        self.label_sets = batch_loader(self._load_label_sets)
        self.grants = batch_loader(self.emergencies.grants)

    async def decide_anew(self, questions: Sequence[Question]) -> list[Decision]:
        """Decisions that remember nothing of this request; for streams, which outlive their rights."""
        return await self.authorizer.for_request(self.subject).decide(questions)

    async def visible(self, wanted: ResourceList) -> VisibleRows:
        """Which rows of the list the caller may read."""
        return await visible_rows(
            self.decisions,
            wanted.patient_id,
            purpose=wanted.purpose,
            resource_type=wanted.resource_type,
            label_sets=await self.label_sets.load(wanted.patient_id) or {},
        )

    async def page(
        self, wanted: ResourceList, request: PageRequest, *, counted: bool = False
    ) -> tuple[list[OpenResource], int | None]:
        """One page of the visible rows, opened, and, where `counted`, how many visible rows the list has."""
        visible = await self.visible(wanted)
        index = None if wanted.code is None else code_index(self.vault, wanted.patient_id, wanted.code)

        def work(connection: Connection) -> tuple[list[SealedResource], int | None]:
            rows = store.list_resources(
                connection,
                visible,
                wanted.resource_type,
                limit=request.limit,
                code_index=index,
                after=_place(request.after),
                before=_place(request.before),
                backward=request.backward,
            )
            if not counted:
                return rows, None
            return rows, store.count_resources(connection, visible, wanted.resource_type, index)

        rows, count = await self.vault.read(work)
        return await self._opened(rows, wanted.purpose), count

    async def _opened(self, rows: list[SealedResource], purpose: Purpose | None) -> list[OpenResource]:
        opened = await self.vault.unseal_each(
            [(row.patient_id, resource_context(row.id), row.sealed) for row in rows]
        )
        texts = [None if each is None else (each, json.loads(each, parse_float=Decimal)) for each in opened]
        ids = await self._fhir_ids(rows, [None if each is None else each[1] for each in texts])
        found = []
        for row, text, fhir_id in zip(rows, texts, ids, strict=True):
            if text is None or fhir_id is None:
                continue
            source, resource = text
            labels: LabelSets = await self.label_sets.load(row.patient_id) or {}
            named = frozenset() if row.label_set is None else labels[row.label_set]
            found.append(
                OpenResource(
                    id=row.id,
                    fhir_id=fhir_id,
                    version=row.version,
                    day=row.day,
                    source=source.decode(),
                    resource=resource,
                    access=row_access(row.patient_id, purpose, labels=named, resource_type=row.resource_type),
                )
            )
        return found

    async def _fhir_ids(
        self, rows: list[SealedResource], resources: list[dict[str, Any] | None]
    ) -> list[str | None]:
        """The id of each; only those that are not in the resource itself are opened."""
        ids: list[str | None] = [None if each is None else each.get("id") for each in resources]
        lacking = [place for place, each in enumerate(ids) if not each and resources[place] is not None]
        sealed = [(rows[place], rows[place].sealed_fhir_id) for place in lacking]
        opened = await self.vault.unseal_each(
            [(row.patient_id, id_context(row.id_index), each) for row, each in sealed if each]
        )
        found = iter(opened)
        for place, (row, each) in zip(lacking, sealed, strict=True):
            text = next(found) if each else row.id_index.encode()
            ids[place] = None if text is None else text.decode()
        return ids

    async def _load_label_sets(self, patient_ids: list[str]) -> dict[str, LabelSets]:
        sealed = await self.vault.read(lambda c: store.read_label_sets(c, patient_ids))
        flat = [
            (patient_id, key, value) for patient_id, sets in sealed.items() for key, value in sets.items()
        ]
        opened = await self.vault.unseal_each([(p, label_set_context(key), value) for p, key, value in flat])
        found: dict[str, LabelSets] = {patient_id: {} for patient_id in patient_ids}
        for (patient_id, key, _), text in zip(flat, opened, strict=True):
            if text is not None:
                found[patient_id][key] = frozenset(json.loads(text))
        return found


def _place(sort_key: tuple[Any, ...] | None) -> tuple[str, str] | None:
    return None if sort_key is None else (str(sort_key[0]), str(sort_key[1]))
