"""Without the right, answers with and without the secret are equal to the byte: no filter, count, cursor,
error or order tells whether it is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from tests.kit_medical import ADMINISTRATOR, ATHLETE, COACH, MODERATOR, PHYSICIAN, STRANGER, Medical

ADD = "mutation($input: AddToCareTeamInput!) { addToCareTeam(input: $input) { userErrors { code } } }"
IMPORT = "mutation($input: ImportBundleInput!) { importBundle(input: $input) { result { added } } }"
ENTITY = (
    'query($id: ID!) { _entities(representations: [{__typename: "User", id: $id}]) { ... on User { %s } } }'
)
CODE = "370143000"
ASKED = (
    "medicalRecord(purpose: TREAT) { conditions { totalCount nodes { text code { text } } } }",
    'medicalRecord(purpose: TREAT) { conditions(code: "370143000") { totalCount nodes { text } } }',
    "medicalRecord(purpose: TREAT) { conditions(first: 1) { pageInfo { hasNextPage endCursor } } }",
    "medicalRecord(purpose: TREAT) { conditions(first: 0) { pageInfo { hasNextPage } edges { cursor } } }",
    'medicalRecord(purpose: TREAT) { conditions(after: "nonsense") { totalCount } }',
    "medicalRecord(purpose: ETREAT) { conditions { totalCount } observations { totalCount } }",
    "medicalRecord(purpose: HRESCH) { conditions { totalCount } }",
    "clearance { status } careTeam(purpose: TREAT) { id } consents(purpose: TREAT) { id }",
)


def condition(text: str, code: str) -> str:
    coding = {"system": "http://snomed.info/sct", "code": code, "display": text}
    subject = {"reference": "Patient/1"}
    resource = {"resourceType": "Condition", "id": code, "subject": subject, "code": {"coding": [coding]}}
    return json.dumps({**resource, "recordedDate": "2026-01-05"})


async def imported(medical: Medical, content: str) -> None:
    given = {"userId": "athlete", "purpose": "PATRQT", "json": content}
    answer = await medical.ask(ATHLETE, IMPORT, input=given)
    assert answer["data"]["importBundle"]["result"]["added"] == 1, answer


async def answers(medical: Medical, subject: Subject) -> bytes:
    found: list[Any] = [await medical.ask(subject, ENTITY % asked, id="athlete") for asked in ASKED]
    found.append(await medical.ask(subject, "{ patientsInMyCare { id } }"))
    return json.dumps(found, sort_keys=True).encode()


@pytest.mark.parametrize(
    "subject", [STRANGER, COACH, MODERATOR, ADMINISTRATOR, ANONYMOUS], ids=lambda each: str(each.id)
)
async def test_a_record_and_none_look_the_same_without_the_right(medical: Medical, subject: Subject) -> None:
    before = await answers(medical, subject)
    own = await answers(medical, ATHLETE)
    await imported(medical, condition("Depression", CODE))
    assert await answers(medical, subject) == before
    assert await answers(medical, ATHLETE) != own  # the secret is there for who may see it


async def test_a_restricted_row_and_none_look_the_same_to_who_may_read_the_rest(medical: Medical) -> None:
    given = {"userId": "athlete", "practitionerId": "physician", "purpose": "PATRQT"}
    await medical.ask(ATHLETE, ADD, input=given)
    await imported(medical, condition("Sprained ankle", "44465007"))
    before = await answers(medical, PHYSICIAN)
    assert b"Sprained ankle" in before
    await imported(medical, condition("Depression", CODE))
    assert await answers(medical, PHYSICIAN) == before


async def test_a_changed_value_changes_nothing_for_who_may_not_see_it(medical: Medical) -> None:
    await imported(medical, condition("Depression", CODE))
    before = await answers(medical, STRANGER)
    await imported(medical, condition("Sprained ankle", "44465007"))
    assert await answers(medical, STRANGER) == before
