"""Medical on a PostgreSQL vault: the same rows, versions and facts as on the embedded one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from datastores.relational.migrate import downgrade
from datastores.relational.opening import open_relational
from subgraphs.medical.importing import DocumentImporter, ImportReport
from subgraphs.medical.subgraph import MIGRATIONS, VERSION_TABLE
from tests.kit_medical import ATHLETE, PHYSICIAN, Medical, document, running_medical

SMALL = "r4/synthea/transaction-small-Bennett146_Swaniawski813.json"
RECORD = """{ _entities(representations: [{__typename: "User", id: "athlete"}]) { ... on User {
  careTeam(purpose: TREAT) { active } medicalRecord(purpose: TREAT) {
    conditions(first: 4, code: "http://snomed.info/sct|160968000") { totalCount nodes { text } }
    all: conditions(first: 4) { totalCount nodes { text } pageInfo { hasNextPage } } } } } }"""


@pytest.fixture
async def server_medical(
    tmp_path: Path, postgresql_url: str, postgresql_schema: str
) -> AsyncIterator[Medical]:
    store = open_relational(postgresql_url, search_path=postgresql_schema)
    async with running_medical(tmp_path, store) as running:
        yield running


async def test_imports_lists_and_care_teams_work_on_a_server(server_medical: Medical) -> None:
    medical = server_medical

    async def take() -> ImportReport:
        importer = DocumentImporter(medical.vault, medical.events.outbox)
        return await importer.run(
            document(SMALL), patient_id="athlete", imported_by="athlete", at_utc=medical.clock()
        )

    reports = await asyncio.gather(*(take() for _ in range(3)))
    assert sorted(report.added for report in reports) == [0, 0, 11]
    add = "mutation($i: AddToCareTeamInput!) { addToCareTeam(input: $i) { userErrors { code } } }"
    given = {"userId": "athlete", "practitionerId": "physician"}
    codes = [await _codes(medical, add, given) for _ in range(2)]
    assert codes == [[], ["ALREADY_IN_CARE_TEAM"]]
    answer = await medical.ask(PHYSICIAN, RECORD)
    assert "errors" not in answer
    [user] = answer["data"]["_entities"]
    assert user["careTeam"] == [{"active": True}]
    found = user["medicalRecord"]["conditions"]
    entries = json.loads(document(SMALL))["entry"]
    of_code = sum("160968000" in json.dumps(entry) for entry in entries if is_condition(entry))
    assert found["totalCount"] == len(found["nodes"]) == of_code == 2
    everything = user["medicalRecord"]["all"]
    assert len(everything["nodes"]) == 4
    assert everything["pageInfo"]["hasNextPage"] is True


def is_condition(entry: dict[str, Any]) -> bool:
    return bool(entry["resource"]["resourceType"] == "Condition")


async def _codes(medical: Medical, mutation: str, given: dict[str, Any]) -> list[str]:
    response = await medical.ask(ATHLETE, mutation, i=given)
    return [error["code"] for error in response["data"]["addToCareTeam"]["userErrors"]]


async def test_the_migration_goes_down_again(server_medical: Medical) -> None:
    await downgrade(server_medical.vault, MIGRATIONS, VERSION_TABLE)
    left = await server_medical.vault.read(lambda c: sa.inspect(c).get_table_names(schema=None))
    assert [name for name in left if name.startswith("medical_") and name != VERSION_TABLE] == []
