"""Imports into the vault: counted, idempotent, versioned, of one person, and unreadable at rest."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
import sqlalchemy as sa

from subgraphs.medical import store
from subgraphs.medical.fhir.problems import DocumentRefused
from subgraphs.medical.importing import DocumentImporter, ImportReport
from subgraphs.medical.indexes import code_index
from subgraphs.medical.model import ResourceType
from subgraphs.medical.store import VisibleRows, resource_context
from tests.kit_medical import EXPECTED, Medical, document

SYNTHEA = "r4/synthea/collection-Alfonzo975_Hickle134_cd3d3588-94fc-b980-9e94-0390d989d921.json"
SMALL = "r4/synthea/transaction-small-Bennett146_Swaniawski813.json"
HELD = {kind.value for kind in ResourceType}


async def take(medical: Medical, content: bytes, patient_id: str = "athlete", **options: Any) -> ImportReport:
    importer = DocumentImporter(medical.vault, medical.events.outbox)
    return await importer.run(
        content, patient_id=patient_id, imported_by="physician", at_utc=medical.clock(), **options
    )


def observation(value: str = "70.50", **parts: Any) -> bytes:
    text = json.dumps(
        {
            "resourceType": "Observation",
            "id": "weight",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "subject": {"reference": "Patient/p1"},
            **parts,
            "valueQuantity": {"value": 0, "unit": "kg"},
        }
    )
    return text.replace('"value": 0', f'"value": {value}').encode()


async def rows(medical: Medical, kind: ResourceType, patient_id: str = "athlete") -> list[bytes]:
    sets = (await medical.vault.read(lambda c: store.read_label_sets(c, [patient_id])))[patient_id]
    everything = VisibleRows(patient_id, frozenset({None, *sets}))
    found = await medical.vault.read(lambda c: store.list_resources(c, everything, kind, limit=10_000))
    sealed = [(resource_context(row.id), row.sealed) for row in found]
    return await medical.vault.unseal(patient_id, sealed) if sealed else []


@pytest.mark.parametrize("name", [SYNTHEA, SMALL, "r4/examples/diagnosticreport.json"])
async def test_counts_are_those_of_the_document(medical: Medical, name: str) -> None:
    expected = EXPECTED[name]["by_resource_type"]
    report = await take(medical, document(name))
    assert report.by_type == {kind: n for kind, n in expected.items() if kind in HELD}
    assert report.skipped == {kind: n for kind, n in expected.items() if kind not in HELD}
    assert report.errors == ()
    assert report.added == sum(report.by_type.values())
    for kind in ResourceType:
        assert len(await rows(medical, kind)) == expected.get(kind.value, 0)


async def test_importing_again_changes_nothing(medical: Medical) -> None:
    first = await take(medical, document(SYNTHEA))
    again = await take(medical, document(SYNTHEA))
    assert (again.added, again.updated, again.unchanged) == (0, 0, first.added)
    assert len(await rows(medical, ResourceType.OBSERVATION)) == 69
    topics = await medical.vault.read(
        lambda c: c.execute(sa.text("SELECT topic FROM outbox")).scalars().all()
    )
    assert list(topics) == ["record.changed"]


async def test_other_content_is_the_next_version_and_the_earlier_one_stays(medical: Medical) -> None:
    await take(medical, observation("70.50"))
    report = await take(medical, observation("71.0"))
    assert (report.added, report.updated, report.unchanged) == (0, 1, 0)
    [current] = await rows(medical, ResourceType.OBSERVATION)
    assert b'"value": 71.0' in current
    again = await take(medical, observation("70.50"))
    assert (again.added, again.updated, again.unchanged) == (0, 0, 1)
    versions = await medical.vault.read(
        lambda c: c.execute(
            sa.text('SELECT version, "current" FROM medical_resources ORDER BY version')
        ).all()
    )
    assert [tuple(row) for row in versions] == [(1, False), (2, True)]


async def test_one_file_may_hold_versions_of_one_resource(medical: Medical) -> None:
    lines = b"\n".join([observation("70.50"), observation("71.0"), observation("70.50")])
    report = await take(medical, lines)
    assert (report.added, report.updated, report.unchanged) == (1, 1, 1)


async def test_of_many_imports_of_one_document_at_once_one_stores_it(medical: Medical) -> None:
    reports = await asyncio.gather(*(take(medical, document(SMALL)) for _ in range(4)))
    assert sorted(report.added for report in reports) == [0, 0, 0, 11]
    assert len(await rows(medical, ResourceType.CONDITION)) == 10


async def test_decimals_and_layout_come_back_to_the_byte(medical: Medical) -> None:
    text = observation("70.50").replace(b'{"value"', b'{\n  "value"')
    await take(medical, text)
    assert await rows(medical, ResourceType.OBSERVATION) == [text]


async def test_another_person_s_file_is_refused_by_the_birth_date(medical: Medical) -> None:
    def person(identity: str, born: str) -> bytes:
        return json.dumps({"resourceType": "Patient", "id": identity, "birthDate": born}).encode()

    await take(medical, person("a", "1990-03-04"))
    await take(medical, person("b", "1990-03"))
    with pytest.raises(DocumentRefused) as caught:
        await take(medical, person("c", "1991-03-04"))
    assert caught.value.code == "WRONG_PATIENT"
    assert "199" not in caught.value.message
    assert len(await rows(medical, ResourceType.PATIENT)) == 2
    assert (await take(medical, person("c", "1991-03-04"), "somebody else")).added == 1


async def test_a_document_without_a_patient_is_taken_with_a_doubt(medical: Medical) -> None:
    report = await take(medical, observation())
    assert [problem.code for problem in report.warnings] == ["PATIENT_NOT_VERIFIED"]


async def test_the_same_ids_of_two_people_do_not_meet(medical: Medical) -> None:
    assert (await take(medical, observation("70.5"), "ann")).added == 1
    assert (await take(medical, observation("90.5"), "bob")).added == 1
    [anns], [bobs] = [await rows(medical, ResourceType.OBSERVATION, name) for name in ("ann", "bob")]
    assert b"70.5" in anns
    assert b"90.5" in bobs


async def test_resources_are_found_by_code_and_by_system_and_code(medical: Medical) -> None:
    await take(medical, document(SYNTHEA))
    visible = VisibleRows("athlete", frozenset({None}))

    async def count(code: str, patient_id: str = "athlete") -> int:
        index = code_index(medical.vault, patient_id, code)
        return await medical.vault.read(
            lambda c: store.count_resources(c, visible, ResourceType.OBSERVATION, index)
        )

    assert await count("8867-4") == EXPECTED[SYNTHEA]["heart_rate_8867_4"] == 4
    assert await count("http://loinc.org|8867-4") == 4
    assert await count("http://snomed.info/sct|8867-4") == 0
    assert await count("8867-4", "another person") == 0  # a hash is of one person: equal codes do not show


async def test_no_word_of_an_import_is_in_any_file_of_the_vault(medical: Medical) -> None:
    await take(medical, document(SYNTHEA))
    await take(medical, document("r4/examples/allergyintolerance.json"))
    words = _words(document(SYNTHEA)) | {"Cashew nuts", "anaphylactic"}
    assert {"Alfonzo975", "Hickle134", "8867-4", "Body Height"} <= words
    assert len(words) > 250
    files = [path for path in medical.folder.rglob("*") if path.is_file()]
    assert {"medical.db", "medical.db-wal"} <= {path.name for path in files}
    content = b"".join(path.read_bytes() for path in files)
    assert len(content) > 300_000
    assert [word for word in words if word.encode() in content] == []


def _words(content: bytes) -> set[str]:
    """Every text of the document that is long enough to be no accident; ids and type names are in clear."""
    words: set[str] = set()
    in_clear = {"id", "resourceType", "fullUrl"}

    def coarse(value: str) -> bool:
        return re.fullmatch(r"(urn:uuid:)?[0-9a-f-]{36}|\d{4}-\d\d-\d\d", value) is not None or value in HELD

    def collect(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for inner_name, inner in value.items():
                collect(inner, inner_name)
        elif isinstance(value, list):
            for inner in value:
                collect(inner, name)
        elif isinstance(value, str) and len(value) >= 6 and name not in in_clear and not coarse(value):
            words.add(value)

    document = json.loads(content)
    held = [e["resource"] for e in document["entry"] if e["resource"]["resourceType"] in HELD]
    collect(held, "")
    return words - {"Patient", "Condition"}


async def test_a_shredded_person_has_an_empty_record_and_cannot_get_a_new_one(medical: Medical) -> None:
    await take(medical, document(SMALL))
    await medical.vault.shred("athlete")
    with pytest.raises(DocumentRefused) as caught:
        await take(medical, document(SMALL))
    assert caught.value.code == "RECORD_ERASED"


async def test_a_refused_document_leaves_nothing(medical: Medical) -> None:
    with pytest.raises(DocumentRefused):
        await take(medical, document("r4/bulk/Patient.ndjson"))
    assert (
        await medical.vault.read(
            lambda c: c.execute(sa.text("SELECT count(*) FROM medical_resources")).scalar()
        )
        == 0
    )


async def test_an_import_keeps_the_event_loop_free(medical: Medical) -> None:
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ticking = asyncio.ensure_future(tick())
    await take(medical, document(SYNTHEA))
    ticking.cancel()
    assert turns > 20
