"""FHIR documents damaged at random: each is read, flagged or refused, and none raises anything else."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from subgraphs.kit import RowAccess
from subgraphs.medical import resources
from subgraphs.medical.entities import OpenResource
from subgraphs.medical.fhir.preparing import PreparedResource, prepare
from subgraphs.medical.fhir.problems import DocumentRefused
from tests.kit_medical import EXPECTED, document

SMALL = [name for name in EXPECTED if "/examples/" in name and "diagnosticreport" not in name]
JUNK: list[Any] = [
    None,
    True,
    -1,
    1.5,
    "",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    "\0",
    "<b>x</b>",
    {"reference": 5},
]
JUNK += [
    {"coding": "x"},
    {"coding": [None]},
    "9999-99-99",
    {"reference": "#x"},
    {"resourceType": 7},
    "x" * 70,
]
NAMES = ["resourceType", "id", "meta", "code", "subject", "patient", "birthDate", "name", "contained"]
SHOWN = {
    "Patient": resources.patient,
    "Observation": resources.observation,
    "Condition": resources.condition,
    "AllergyIntolerance": resources.allergy_intolerance,
    "MedicationStatement": resources.medication_statement,
    "DiagnosticReport": resources.diagnostic_report,
}


def damaged(chance: random.Random, value: Any) -> Any:
    """`value` with some of its parts replaced and some of its names changed."""
    if chance.random() < 0.02:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {
            name if chance.random() > 0.01 else chance.choice(NAMES): damaged(chance, inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [damaged(chance, inner) for inner in value]
    return value


def bytes_damaged(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed))
        changed[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(changed)


def show(taken: PreparedResource) -> None:
    resource = json.loads(taken.source, parse_float=Decimal)
    row = OpenResource("id", taken.fhir_id, 1, taken.day, taken.source.decode(), resource, RowAccess("a"))
    assert SHOWN[taken.resource_type](row).resource_json == taken.source.decode()


def read_damaged(seed: int) -> int:
    """How many resources of one damaged document are taken; all of them can be shown."""
    chance = random.Random(seed)
    content = document(chance.choice(SMALL)).removeprefix(b"\xef\xbb\xbf")
    if chance.random() < 0.3:
        content = bytes_damaged(chance, content)
    else:
        content = json.dumps(damaged(chance, json.loads(content))).encode()
    try:
        prepared = prepare(content, None)
    except DocumentRefused:
        return 0
    for taken in prepared.resources:
        show(taken)
    return len(prepared.resources)


def test_damaged_documents_never_raise() -> None:
    taken = sum(read_damaged(seed) for seed in range(300))
    assert taken > 20  # else nothing would have been shown


@pytest.mark.nightly
def test_many_damaged_documents_never_raise() -> None:
    assert sum(read_damaged(seed) for seed in range(300, 50_000)) > 5_000


def test_a_nested_type_that_is_no_name_is_not_valid() -> None:
    content = json.dumps({"resourceType": "Patient", "id": "p", "contained": [{"resourceType": 7}]})
    [problem] = [each for each in prepare(content.encode(), None).problems if not each.warning]
    assert problem.code == "NOT_VALID"
