"""Which resources are restricted, and why: security labels that came with them, and codes that tell of it.

Source: FHIR R4 security labels (meta.security), HL7 v3 Confidentiality and ActCode, LOINC, SNOMED CT,
ICD-10-CM. The lists of codes are a starting set, not a licensed value set: common screenings and diagnoses,
their meanings compared with public FHIR resources and value sets. What an installation must protect besides
is said by labels; the grouper that the HL7 sensitivity work uses is VSAC 2.16.840.1.113762.1.4.1142.58.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from authz.classes import RESTRICTED_LABELS

_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
_ICD_10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")

_CODES: Mapping[str, Mapping[str, frozenset[str]]] = {
    LOINC: {
        "mental": frozenset(
            {"44261-6", "44249-1", "55757-9", "55758-7", "70274-6", "69737-5", "70273-8", "73831-0"}
        ),
        "substance": frozenset(
            {"75624-7", "75626-2", "72109-2", "82667-7", "82666-9", "72110-0", "3426-4", "3397-7"}
        ),
        "hiv": frozenset({"75622-1", "7917-8", "56888-1", "68961-2", "20447-9", "25836-8", "29893-5"}),
        "reproductive": frozenset({"82810-3", "2106-3", "2118-8", "19080-1", "11778-8", "11996-6"}),
        "genetic": frozenset({"51969-4", "81247-9", "69548-6", "55233-1", "53037-8"}),
    },
    SNOMED: {
        "mental": frozenset(
            {"35489007", "370143000", "36923009", "197480006", "80583007", "47505003", "58214004", "13746004"}
            | {"48694002", "21897009", "74732009", "72366004", "82313006", "313182004", "192127007"}
        ),
        "substance": frozenset(
            {"66590003", "7200002", "5602001", "55680006", "361055000", "15167005", "26416006", "75544000"}
            | {"6525002", "427975003"}
        ),
        "hiv": frozenset({"86406008", "62479008", "165816005", "111880001"}),
        "reproductive": frozenset(
            {"72892002", "77386006", "19169002", "156073000", "47200007", "79586000", "398254007", "8098009"}
        ),
        "genetic": frozenset({"782964007", "32895009", "409709004"}),
    },
}
# ICD-10-CM chapters and blocks, by the beginnings of their codes.
_ICD_10_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "substance": tuple(f"F1{digit}" for digit in range(10)),
    "mental": tuple(f"F{tens}" for tens in range(2, 10)),
    "hiv": ("B20", "B21", "B22", "B23", "B24", "Z21"),
    "reproductive": ("O", "Z33", "Z34", "Z64.0", "A5", "A60", "A63", "A64"),
    "genetic": ("Z15", "Z14"),
}


def labels_of(resource: Mapping[str, Any]) -> frozenset[str]:
    """The restricted labels of a resource; empty for what is plainly clinical."""
    return frozenset(_stated(resource)) | frozenset(_implied(resource))


def codings(resource: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """(system, code) of what the resource is about: its code, components, medication, reasons, results."""
    concepts = [resource.get("code"), resource.get("medicationCodeableConcept")]
    concepts += _objects(resource.get("reasonCode")) + _objects(resource.get("conclusionCode"))
    concepts += [part.get("code") for part in _objects(resource.get("component"))]
    concepts += [
        part.get("code")
        for part in _objects(resource.get("contained"))
        if part.get("resourceType") == "Medication"
    ]
    for concept in concepts:
        if isinstance(concept, Mapping):
            for coding in _objects(concept.get("coding")):
                if isinstance(coding.get("code"), str):
                    system = coding.get("system")
                    yield system if isinstance(system, str) else None, coding["code"]


def _stated(resource: Mapping[str, Any]) -> Iterator[str]:
    meta = resource.get("meta")
    for label in _objects(meta.get("security") if isinstance(meta, Mapping) else None):
        system, code = label.get("system"), label.get("code")
        if not isinstance(code, str):
            continue
        if code in RESTRICTED_LABELS:
            yield code
        elif system == _ACT_CODE:
            # A sensitivity that we have no word for is restricted all the same.
            yield "R"


def _implied(resource: Mapping[str, Any]) -> Iterator[str]:
    for system, code in codings(resource):
        for label, known in _CODES.get(system or "", {}).items():
            if code in known:
                yield label
        if system in _ICD_10:
            for label, beginnings in _ICD_10_BLOCKS.items():
                if code.upper().startswith(beginnings):
                    yield label


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
