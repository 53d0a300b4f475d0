"""A FHIR document into one person's record: prepared off the loop, sealed, stored in one transaction."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from datastores.errors import NotFound
from datastores.events.outbox import time_ordered_id
from datastores.events.port import Outbox
from datastores.vault.port import Vault
from subgraphs.medical import store
from subgraphs.medical.events import record_changed
from subgraphs.medical.fhir.preparing import PreparedDocument, PreparedResource, prepare
from subgraphs.medical.fhir.problems import DocumentRefused, EntryProblem
from subgraphs.medical.indexes import code_index, label_set_index
from subgraphs.medical.model import ERASED_MESSAGE, ResourceType
from subgraphs.medical.resource_ids import id_context, id_index
from subgraphs.medical.store import NewResource, Stored, VisibleRows, resource_context

IMPORTS_AT_ONCE_MAX = 2
PATIENTS_COMPARED_MAX = 50


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a document. `by_type` counts what is in the record now because of it or already was."""

    added: int
    updated: int
    unchanged: int
    by_type: Mapping[str, int]
    skipped: Mapping[str, int]
    problems: tuple[EntryProblem, ...]

    @property
    def errors(self) -> tuple[EntryProblem, ...]:
        """The entries that were not imported."""
        return tuple(problem for problem in self.problems if not problem.warning)

    @property
    def warnings(self) -> tuple[EntryProblem, ...]:
        """Doubts about what was imported or left out."""
        return tuple(problem for problem in self.problems if problem.warning)


class DocumentImporter:
    """Imports, a few at a time: checking FHIR is heavy on the processor."""

    def __init__(self, vault: Vault, outbox: Outbox) -> None:
        self._vault = vault
        self._outbox = outbox
        self._turns = asyncio.Semaphore(IMPORTS_AT_ONCE_MAX)

    async def run(
        self,
        content: bytes,
        *,
        patient_id: str,
        imported_by: str,
        at_utc: datetime,
        patient_reference: str | None = None,
        may_amend: bool = False,
    ) -> ImportReport:
        """Import the document; all that can be is stored together, the rest is in the report.

        Importing it again changes nothing. Without `may_amend`, a resource that somebody else entered keeps
        its content. Errors: DocumentRefused, and then nothing is stored.
        """
        async with self._turns:
            prepared = await asyncio.to_thread(prepare, content, patient_reference)
        await self._compare_people(patient_id, prepared)
        try:
            new, label_sets = await self._sealed(patient_id, prepared.resources, at_utc)
        except NotFound:
            raise DocumentRefused("RECORD_ERASED", ERASED_MESSAGE) from None

        def work(connection: Connection) -> Stored:
            stored = store.add_resources(
                connection, patient_id, new, imported_by=imported_by, may_amend=may_amend, at_utc=at_utc
            )
            store.add_label_sets(connection, patient_id, label_sets)
            if stored.added or stored.updated:
                self._outbox.append(connection, [record_changed(patient_id, at_utc=at_utc)])
            return stored

        stored = await self._vault.write(work)
        return _report(prepared, new, stored)

    async def _compare_people(self, patient_id: str, prepared: PreparedDocument) -> None:
        """The wrong person's file in a record is the worst mistake: birth dates have to agree.

        Errors: DocumentRefused.
        """
        dates = {each.birth_date for each in prepared.resources if each.birth_date is not None}
        if not dates:
            return
        dates |= await self._birth_dates(patient_id)
        # Partial dates are comparable as far as they go.
        longest = max(dates, key=len)
        if any(not longest.startswith(date) for date in dates):
            raise DocumentRefused(
                "WRONG_PATIENT", "the document's patient has another birth date than this record's patient"
            )

    async def _birth_dates(self, patient_id: str) -> set[str]:
        keys = (await self._vault.read(lambda c: store.read_label_sets(c, [patient_id])))[patient_id]
        everything = VisibleRows(patient_id, frozenset({None, *keys}))
        rows = await self._vault.read(
            lambda c: store.list_resources(c, everything, ResourceType.PATIENT, limit=PATIENTS_COMPARED_MAX)
        )
        opened = await self._vault.unseal_each([(patient_id, resource_context(r.id), r.sealed) for r in rows])
        patients = [json.loads(each) for each in opened if each is not None]
        return {patient["birthDate"] for patient in patients if isinstance(patient.get("birthDate"), str)}

    async def _sealed(
        self, patient_id: str, prepared: Sequence[PreparedResource], at_utc: datetime
    ) -> tuple[list[NewResource], dict[str, bytes]]:
        """The resources with their text sealed, and the sealed sets of labels that they carry."""
        # Ids grow with the order of `prepared`, which lists show within one day.
        ids = sorted(time_ordered_id(at_utc) for _ in prepared)
        texts = [(resource_context(id_), each.source) for id_, each in zip(ids, prepared, strict=True)]
        sets = {self._label_set(patient_id, each.labels): each.labels for each in prepared if each.labels}
        labels = [(store.label_set_context(key), _labels_text(value)) for key, value in sets.items()]
        named = [(id_context(self._id_index(patient_id, each)), each.fhir_id.encode()) for each in prepared]
        sealed = await self._vault.seal(patient_id, [*texts, *named, *labels]) if texts else []
        count = len(ids)
        pairs = zip(sealed[:count], sealed[count : 2 * count], strict=True)
        new = [
            self._new(patient_id, id_, each, pair)
            for id_, each, pair in zip(ids, prepared, pairs, strict=True)
        ]
        return new, dict(zip(sets, sealed[2 * count :], strict=True))

    def _new(
        self, patient_id: str, id_: str, each: PreparedResource, sealed: tuple[bytes, bytes]
    ) -> NewResource:
        content = f"{patient_id} {each.resource_type} {each.fhir_id} {each.content_sha256}"
        source, fhir_id = sealed
        return NewResource(
            id=id_,
            resource_type=each.resource_type,
            fhir_id=each.fhir_id,
            id_index=self._id_index(patient_id, each),
            sealed_fhir_id=fhir_id,
            day=each.day,
            label_set=self._label_set(patient_id, each.labels) if each.labels else None,
            content_index=self._vault.blind_index("medical_resources.content", content),
            code_indexes=frozenset(code_index(self._vault, patient_id, code) for code in each.codes),
            sealed=source,
        )

    def _id_index(self, patient_id: str, each: PreparedResource) -> str:
        return id_index(self._vault, patient_id, each.resource_type, each.fhir_id)

    def _label_set(self, patient_id: str, labels: frozenset[str]) -> str:
        return label_set_index(self._vault, patient_id, labels)


def _report(prepared: PreparedDocument, new: Sequence[NewResource], stored: Stored) -> ImportReport:
    pairs = list(zip(prepared.resources, new, strict=True))
    refused = [
        EntryProblem(
            each.entry,
            "ENTERED_BY_ANOTHER",
            "somebody else has entered this resource with other content; who treats the person may amend it",
            each.resource_type.value,
            each.fhir_id,
        )
        for each, row in pairs
        if row.id in stored.refused
    ]
    kept = Counter(each.resource_type.value for each, row in pairs if row.id not in stored.refused)
    return ImportReport(
        added=len(stored.added),
        updated=len(stored.updated),
        unchanged=len(stored.unchanged),
        by_type=dict(kept),
        skipped=prepared.skipped,
        problems=tuple(sorted((*prepared.problems, *refused), key=lambda each: each.entry)),
    )


def _labels_text(labels: frozenset[str]) -> bytes:
    return json.dumps(sorted(labels)).encode()
