"""Ids that hospitals gave: never in clear at rest, found again all the same; rows of before are moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from datastores.vault.port import Vault
from subgraphs.medical import resource_ids
from subgraphs.medical.importing import DocumentImporter, ImportReport
from subgraphs.medical.model import ResourceType
from subgraphs.medical.tables import resources
from tests.kit_medical import ATHLETE, Medical

NAMED = "hospital-canary-7731"
IN_URL = "7d9c0a8e-9b1f-4c65-8f1b-0a1b2c3d4e5f"
OWN = """{_entities(representations: [{__typename: "User", id: "athlete"}]) {... on User {
  medicalRecord(purpose: PATRQT) {conditions {nodes {fhirId version}}}}}}"""


def bundle(text: str = "Asthma") -> bytes:
    """One resource with an id, one with that of its `fullUrl`, one without any."""
    condition = {"resourceType": "Condition", "code": {"text": text}, "subject": {"reference": "Patient/p"}}
    entries: list[dict[str, Any]] = [
        {"resource": {**condition, "id": NAMED}},
        {"resource": {**condition, "onsetString": "in May"}, "fullUrl": f"urn:uuid:{IN_URL}"},
        {"resource": {**condition, "onsetString": "in June"}},
    ]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


async def take(medical: Medical, content: bytes, patient_id: str = "athlete") -> ImportReport:
    importer = DocumentImporter(medical.vault, medical.events.outbox)
    return await importer.run(content, patient_id=patient_id, imported_by=patient_id, at_utc=medical.clock())


async def kept(vault: Vault) -> list[tuple[str, bytes | None]]:
    """What finds each row, and the sealed id."""
    query = sa.select(resources.c.fhir_id, resources.c.sealed_fhir_id).order_by(resources.c.id)
    return await vault.read(lambda c: [(row[0], row[1]) for row in c.execute(query)])


def on_disk(folder: Path) -> bytes:
    """Every byte of every file of the store, its log among them."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def shown(medical: Medical) -> list[tuple[str, int]]:
    answer = await medical.ask(ATHLETE, OWN)
    nodes = answer["data"]["_entities"][0]["medicalRecord"]["conditions"]["nodes"]
    return sorted((each["fhirId"], each["version"]) for each in nodes)


async def test_no_id_is_in_clear_on_the_disk_and_each_is_shown(medical: Medical) -> None:
    assert (await take(medical, bundle())).added == 3
    named = await shown(medical)
    ids = [fhir_id for fhir_id, _ in named]
    assert {NAMED, IN_URL} < set(ids) and any(each.startswith("sha256-") for each in ids)
    stored = on_disk(medical.folder)
    for each in ids:
        assert each.encode() not in stored, each
        assert each.encode().hex().encode() not in stored, each
    assert all(len(index) == 32 and sealed for index, sealed in await kept(medical.vault))


async def test_a_resource_is_known_again_by_its_id_and_by_nobody_s_else(medical: Medical) -> None:
    await take(medical, bundle())
    again = await take(medical, bundle())
    assert (again.added, again.updated, again.unchanged) == (0, 0, 3)
    other = await take(medical, bundle("Asthma, allergic"))
    assert (other.added, other.updated) == (1, 2), "what has no id is another resource"
    assert (NAMED, 2) in await shown(medical)
    await take(medical, bundle(), "another")
    indexes = [index for index, _ in await kept(medical.vault)]
    assert len(set(indexes)) == 3 + 1 + 3, "the same id finds nothing in another record"


async def test_rows_of_before_are_shown_known_again_and_sealed(medical: Medical) -> None:
    await take(medical, bundle())
    before = await shown(medical)
    assert await resource_ids.open_all(medical.vault) == 3
    assert NAMED in [index for index, _ in await kept(medical.vault)]
    assert NAMED.encode() in on_disk(medical.folder)
    assert await shown(medical) == before, "a version that runs beside shows them, and so does this one"
    assert await resource_ids.seal_all(medical.vault) == 3
    assert await shown(medical) == before
    assert NAMED.encode() not in on_disk(medical.folder)
    assert await resource_ids.seal_all(medical.vault) == 0


async def test_what_an_import_touches_is_sealed_by_it(medical: Medical) -> None:
    """So a version before that still writes leaves no second resource behind."""
    await take(medical, bundle())
    await resource_ids.open_all(medical.vault)
    report = await take(medical, bundle("Asthma, allergic"))
    assert (report.added, report.updated) == (1, 2)
    assert sorted(version for _, version in await shown(medical)) == [1, 1, 2, 2]
    in_clear = [index for index, sealed in await kept(medical.vault) if sealed is None]
    assert len(in_clear) == 1 and in_clear[0].startswith("sha256-"), "the one that was not touched"


async def test_ids_of_who_was_erased_are_sealed_for_nobody(medical: Medical) -> None:
    await take(medical, bundle())
    await take(medical, bundle(), "another")
    await resource_ids.open_all(medical.vault)
    await medical.vault.shred("another")
    assert await resource_ids.seal_all(medical.vault) == 6
    lost = [sealed for _, sealed in await kept(medical.vault) if sealed == resource_ids.LOST]
    assert len(lost) == 3
    assert NAMED.encode() not in on_disk(medical.folder)
    await resource_ids.open_all(medical.vault)
    clear = [index for index, _ in await kept(medical.vault)]
    assert clear.count(NAMED) == 1 and sum(len(each) == 32 for each in clear) == 3


async def test_the_hash_tells_patients_and_types_apart(medical: Medical) -> None:
    index = resource_ids.id_index
    told = {
        index(medical.vault, patient_id, kind, fhir_id)
        for patient_id in ("athlete", "another")
        for kind in (ResourceType.CONDITION, ResourceType.OBSERVATION)
        for fhir_id in (NAMED, NAMED.upper())
    }
    assert len(told) == 8
