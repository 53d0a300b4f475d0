"""What makes a resource restricted: labels that came with it, and codes that tell of it."""

from __future__ import annotations

from typing import Any

import pytest

from authz.classes import RESTRICTED_LABELS
from subgraphs.medical import sensitivity
from subgraphs.medical.sensitivity import labels_of

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def secured(system: str, code: str) -> dict[str, Any]:
    return {"meta": {"security": [{"system": system, "code": code}]}}


def coded(system: str, code: str) -> dict[str, Any]:
    return {"code": {"coding": [{"system": system, "code": code}]}}


@pytest.mark.parametrize(
    ("resource", "labels"),
    [
        (secured(CONFIDENTIALITY, "N"), set()),
        (secured(CONFIDENTIALITY, "R"), {"R"}),
        (secured(CONFIDENTIALITY, "V"), {"V"}),
        (secured(ACT_CODE, "PSY"), {"PSY"}),
        (secured(ACT_CODE, "HIV"), {"HIV"}),
        (secured(ACT_CODE, "SOMETHING_NEW"), {"R"}),
        (coded("http://loinc.org", "44261-6"), {"mental"}),
        (coded("http://snomed.info/sct", "86406008"), {"hiv"}),
        (coded("http://snomed.info/sct", "72892002"), {"reproductive"}),
        (coded("http://hl7.org/fhir/sid/icd-10-cm", "F10.20"), {"substance"}),
        (coded("http://hl7.org/fhir/sid/icd-10-cm", "f32.1"), {"mental"}),
        (coded("http://hl7.org/fhir/sid/icd-10-cm", "M54.5"), set()),
        (coded("http://loinc.org", "8867-4"), set()),
        (coded("http://example.org", "44261-6"), set()),
        ({"component": [coded("http://loinc.org", "56888-1")]}, {"hiv"}),
        ({"reasonCode": [{"coding": [{"system": sensitivity.SNOMED, "code": "66590003"}]}]}, {"substance"}),
        ({"meta": {"security": "R"}, "code": [], "component": "x"}, set()),
        ({}, set()),
    ],
)
def test_labels(resource: dict[str, Any], labels: set[str]) -> None:
    assert labels_of(resource) == labels


def test_every_label_that_codes_imply_is_one_that_the_policy_knows() -> None:
    implied = {label for table in sensitivity._CODES.values() for label in table}
    assert implied | set(sensitivity._ICD_10_BLOCKS) <= RESTRICTED_LABELS


def test_no_code_is_claimed_by_two_kinds() -> None:
    for table in sensitivity._CODES.values():
        codes = [code for known in table.values() for code in known]
        assert len(codes) == len(set(codes))
