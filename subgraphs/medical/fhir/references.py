"""Whose resources a document holds: subjects resolved within it, and the one patient it is read for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subgraphs.medical.fhir.documents import Entry
from subgraphs.medical.fhir.problems import DocumentRefused
from subgraphs.medical.model import ResourceType

_RELATIVE = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_SUBJECT = {
    ResourceType.OBSERVATION: "subject",
    ResourceType.CONDITION: "subject",
    ResourceType.ALLERGY_INTOLERANCE: "patient",
    ResourceType.MEDICATION_STATEMENT: "subject",
    ResourceType.DIAGNOSTIC_REPORT: "subject",
}
_NAMES_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Subjects:
    """Whom each entry is about, as one spelling a patient. None: it names nobody that can be told."""

    of_entry: Mapping[int, str | None]

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients of the document, in order of appearance."""
        return tuple(dict.fromkeys(name for name in self.of_entry.values() if name is not None))


def subjects_of(entries: Sequence[Entry]) -> Subjects:
    """Whom each entry is about. `Patient/1`, `…/base/Patient/1` and a bundle's own `fullUrl` are one."""
    spellings: dict[str, str] = {}
    for entry in entries:
        if entry.resource_type == ResourceType.PATIENT:
            name = _own_name(entry)
            spellings[name] = name
            if entry.full_url is not None:
                spellings[entry.full_url] = name
    return Subjects({entry.index: _subject(entry, spellings) for entry in entries})


def chosen_patient(subjects: Subjects, wanted: str | None) -> str | None:
    """The patient to import: the one that is asked for, else the only one there is; None without any.

    Errors: DocumentRefused where there are several and none is chosen, or the chosen one is not there.
    """
    patients = subjects.patients
    if wanted is not None:
        name = wanted if ":" in wanted or wanted.startswith("Patient/") else f"Patient/{wanted}"
        if name not in patients:
            raise DocumentRefused("PATIENT_NOT_THERE", "the document holds nothing about the given patient")
        return name
    if len(patients) > 1:
        shown = ", ".join(f"`{name}`" for name in patients[:_NAMES_SHOWN_MAX])
        raise DocumentRefused(
            "SEVERAL_PATIENTS",
            f"the document is about {len(patients)} patients ({shown}):"
            " say which one with `patientReference`",
        )
    return patients[0] if patients else None


def _own_name(entry: Entry) -> str:
    if entry.fhir_id is not None:
        return f"Patient/{entry.fhir_id}"
    return entry.full_url or f"entry {entry.index}"


def _subject(entry: Entry, spellings: Mapping[str, str]) -> str | None:
    if entry.resource_type == ResourceType.PATIENT:
        return _own_name(entry)
    element = _SUBJECT.get(ResourceType(entry.resource_type))
    target: Any = entry.resource.get(element) if element is not None else None
    reference = target.get("reference") if isinstance(target, Mapping) else None
    if not isinstance(reference, str):
        return None
    if reference in spellings:
        return spellings[reference]
    if reference.startswith("#"):
        return (
            f"`{reference}` within entry {entry.index}" if _contains_patient(entry, reference[1:]) else None
        )
    match = _RELATIVE.fullmatch(reference)
    if match is not None:
        return f"Patient/{match.group(1)}"
    return reference if reference.startswith("urn:uuid:") else None


def _contains_patient(entry: Entry, local_id: str) -> bool:
    contained = entry.resource.get("contained")
    return isinstance(contained, list) and any(
        isinstance(each, Mapping)
        and each.get("id") == local_id
        and each.get("resourceType") == ResourceType.PATIENT
        for each in contained
    )
