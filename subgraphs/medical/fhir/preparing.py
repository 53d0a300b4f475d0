"""A document made ready for one record: checked, for one patient, with what it is found and ordered by.

bytes -> read_document -> check -> subjects_of -> PreparedDocument. Slow: run it off the event loop.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from subgraphs.medical.fhir.checking import check
from subgraphs.medical.fhir.documents import Entry, read_document
from subgraphs.medical.fhir.problems import EntryProblem
from subgraphs.medical.fhir.references import Subjects, chosen_patient, subjects_of
from subgraphs.medical.model import ResourceType
from subgraphs.medical.sensitivity import codings, labels_of

_KNOWN_TYPES = frozenset(ResourceType)
_URN_UUID = re.compile(r"urn:uuid:([0-9a-fA-F-]{36})")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


@dataclass(frozen=True, slots=True)
class PreparedResource:
    """A resource that may be stored. `day` is as exact as the resource says it, at most a day; `codes` are
    `system|code` and bare codes."""

    entry: int
    resource_type: ResourceType
    fhir_id: str
    source: bytes
    content_sha256: str
    day: str
    labels: frozenset[str]
    codes: frozenset[str]
    birth_date: str | None


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """What of a document can be stored, oldest first; what cannot, and why; what was left out, by type."""

    resources: tuple[PreparedResource, ...]
    problems: tuple[EntryProblem, ...]
    skipped: Mapping[str, int]


def prepare(content: bytes, patient_reference: str | None) -> PreparedDocument:
    """Everything of a document that needs no store.  Errors: DocumentRefused."""
    document = read_document(content)
    known = [entry for entry in document.entries if entry.resource_type in _KNOWN_TYPES]
    skipped = Counter(
        entry.resource_type[:64] for entry in document.entries if entry.resource_type not in _KNOWN_TYPES
    )
    subjects = subjects_of(known)
    patient = chosen_patient(subjects, patient_reference)
    problems = list(document.problems)
    accepted: list[Entry] = []
    for entry in known:
        found = [*_about_another(entry, subjects, patient), *check(entry)]
        problems += found
        if all(problem.warning for problem in found):
            accepted.append(entry)
    ordered = sorted(accepted, key=lambda entry: _order(entry.resource))
    return PreparedDocument(
        resources=tuple(_prepared(entry) for entry in ordered),
        problems=tuple(sorted((*problems, *_unverified(accepted, patient)), key=lambda each: each.entry)),
        skipped=dict(skipped.most_common()),
    )


def _about_another(entry: Entry, subjects: Subjects, patient: str | None) -> Iterator[EntryProblem]:
    subject = subjects.of_entry[entry.index]
    if subject is None:
        yield EntryProblem(
            entry.index,
            "SUBJECT_UNKNOWN",
            "the resource names no patient that can be told from the document",
            entry.resource_type,
            entry.fhir_id,
        )
    elif subject != patient:
        yield EntryProblem(
            entry.index,
            "OTHER_PATIENT",
            "the resource is about another patient than the one that is imported",
            entry.resource_type,
            entry.fhir_id,
        )


def _unverified(accepted: Sequence[Entry], patient: str | None) -> Iterator[EntryProblem]:
    if accepted and all(entry.resource_type != ResourceType.PATIENT for entry in accepted):
        message = (
            "the document has no Patient to compare with the record's: make sure that it is this person's"
        )
        yield EntryProblem(accepted[0].index, "PATIENT_NOT_VERIFIED", message, warning=True)


def _prepared(entry: Entry) -> PreparedResource:
    resource = entry.resource
    digest = hashlib.sha256(_canonical(resource)).hexdigest()
    birth_date = resource.get("birthDate") if entry.resource_type == ResourceType.PATIENT else None
    return PreparedResource(
        entry=entry.index,
        resource_type=ResourceType(entry.resource_type),
        fhir_id=entry.fhir_id or _temporary_id(entry) or f"sha256-{digest[:40]}",
        source=entry.source,
        content_sha256=digest,
        day=_day(resource),
        labels=labels_of(resource),
        codes=frozenset(_spellings(resource)),
        birth_date=birth_date,
    )


def _temporary_id(entry: Entry) -> str | None:
    """A resource without an id has the one of its `fullUrl`: it is the same when the file comes again."""
    match = _URN_UUID.fullmatch(entry.full_url or "")
    return match.group(1).lower() if match is not None else None


def _canonical(resource: Mapping[str, Any]) -> bytes:
    """Equal for equal content, however it was laid out; 70.5 and 70.50 are different."""
    text = json.dumps(
        resource, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_decimal_text
    )
    return text.encode()


def _decimal_text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"decimal {value}"
    raise TypeError(type(value).__name__)


def _spellings(resource: Mapping[str, Any]) -> Iterator[str]:
    for system, code in codings(resource):
        yield code
        if system is not None:
            yield f"{system}|{code}"


def when(resource: Mapping[str, Any]) -> str:
    """When what the resource tells of happened, as the resource writes it; empty if it does not say."""
    for name in ("effectiveDateTime", "effectiveInstant", "onsetDateTime"):
        if isinstance(resource.get(name), str):
            return str(resource[name])
    for name in ("effectivePeriod", "onsetPeriod"):
        period = resource.get(name)
        if isinstance(period, Mapping) and isinstance(period.get("start"), str):
            return str(period["start"])
    for name in ("recordedDate", "dateAsserted", "issued"):
        if isinstance(resource.get(name), str):
            return str(resource[name])
    return ""


def _day(resource: Mapping[str, Any]) -> str:
    match = _DATE.match(when(resource))
    return match.group(0) if match is not None else ""


def _order(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Oldest first: by day as written, and within a day by the instant where there is one."""
    text = when(resource)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return _day(resource), text
    if instant.tzinfo is None:
        return _day(resource), text
    return _day(resource), instant.astimezone(UTC).isoformat()
