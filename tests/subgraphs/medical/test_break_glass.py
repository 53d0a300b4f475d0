"""An emergency opens one record to one clinician, with a reason, for an hour; the patient is told, somebody
who had no part in it judges it, and it ends by itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from authz.classes import Relation, Role
from authz.identity.subject import ANONYMOUS, Subject
from subgraphs.kit.trail import OutboxLedger
from tests.kit_medical import ADMINISTRATOR, ATHLETE, COACH, PHYSICIAN, STRANGER, Medical
from tests.kit_medical.emergencies import (
    BREAK,
    CLOSE,
    CONFIRM,
    END,
    REASON,
    SECOND,
    SEEN,
    codes,
    emergency,
    opened,
)

GRANTS = "query($open: Boolean) { breakGlassGrants(reviewOpen: $open) { totalCount nodes { id reason } } }"
RECORD = """{ _entities(representations: [{__typename: "User", id: "athlete"}]) { ... on User {
  medicalRecord(purpose: ETREAT) { conditions { nodes { text } } } } } }"""
IMPORT = "mutation($input: ImportBundleInput!) { importBundle(input: $input) { result { added } } }"
CONSENT = "mutation($input: GrantConsentInput!) { grantConsent(input: $input) { userErrors { code } } }"


async def conditions(medical: Medical, by: Subject) -> list[str] | None:
    """The texts of the conditions that are shown; None where the record is shut."""
    [user] = (await medical.ask(by, RECORD))["data"]["_entities"]
    record = user["medicalRecord"]
    return None if record is None else [node["text"] for node in record["conditions"]["nodes"]]


@pytest.fixture(autouse=True)
async def record(medical: Medical) -> None:
    """A plain condition and a restricted one."""
    for text, code in (("Sprained ankle", "44465007"), ("Depression", "370143000")):
        coding = {"system": "http://snomed.info/sct", "code": code, "display": text}
        subject = {"reference": "Patient/1"}
        content = {"resourceType": "Condition", "id": code, "subject": subject, "code": {"coding": [coding]}}
        given = {"userId": "athlete", "purpose": "PATRQT", "json": json.dumps(content)}
        assert "errors" not in await medical.ask(ATHLETE, IMPORT, input=given)


async def test_an_emergency_opens_the_record_and_ends_by_itself(medical: Medical) -> None:
    assert await conditions(medical, STRANGER) is None
    grant = await opened(medical, minutes=30)
    assert grant["active"] and grant["reason"] == REASON and grant["clinician"] == {"id": "stranger"}
    assert grant["review"]["open"] is True and grant["review"]["overdue"] is False
    assert await conditions(medical, STRANGER) == ["Sprained ankle"]
    assert await conditions(medical, SECOND) is None  # one clinician, one patient
    medical.clock.move(timedelta(minutes=29, seconds=59))
    assert await conditions(medical, STRANGER) == ["Sprained ankle"]
    medical.clock.move(timedelta(seconds=1))
    assert await conditions(medical, STRANGER) is None


async def test_it_overrides_a_denied_consent_and_nothing_else_does(medical: Medical) -> None:
    await medical.ask(ATHLETE, CONSENT, input={"decision": "DENY", "dataClass": "CLINICAL"})
    assert await conditions(medical, STRANGER) is None
    await opened(medical)
    assert await conditions(medical, STRANGER) == ["Sprained ankle"]


async def test_what_is_restricted_needs_a_second_clinician(medical: Medical) -> None:
    grant = await opened(medical)
    assert await codes(medical, STRANGER, CONFIRM, x=grant["id"]) == ["SECOND_CLINICIAN"]
    answer = await medical.ask(SECOND, CONFIRM, x=grant["id"])
    confirmed = answer["data"]["confirmBreakGlass"]["grant"]
    assert confirmed["reason"] == REASON and confirmed["secondClinician"] == {"id": "second"}
    assert (await medical.ask(SECOND, GRANTS))["data"]["breakGlassGrants"]["totalCount"] == 1
    assert sorted(await conditions(medical, STRANGER) or []) == ["Depression", "Sprained ankle"]
    assert await conditions(medical, SECOND) is None
    third = replace(SECOND, id="third")
    assert await codes(medical, third, CONFIRM, x=grant["id"]) == ["ALREADY_CONFIRMED"]


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (replace(STRANGER, acr=1), "FORBIDDEN"),
        (COACH, "FORBIDDEN"),
        (ADMINISTRATOR, "FORBIDDEN"),
        (ATHLETE, "FORBIDDEN"),
        (ANONYMOUS, "UNAUTHENTICATED"),
    ],
    ids=["one factor", "coach", "administrator", "athlete", "nobody"],
)
async def test_only_a_medical_specialist_with_two_factors_may(
    medical: Medical, by: Subject, code: str
) -> None:
    assert await codes(medical, by, BREAK, x=emergency()) == [code]
    assert (await medical.ask(ATHLETE, GRANTS))["data"]["breakGlassGrants"]["totalCount"] == 0


async def test_what_is_missing_is_told_to_who_could_do_something_about_it(medical: Medical) -> None:
    answer = await medical.ask(replace(STRANGER, acr=1), BREAK, x=emergency())
    assert [error["extensions"].get("obligation") for error in answer["errors"]] == ["STEP_UP"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"reason": "urgent"}, "REASON_TOO_SHORT"),
        ({"minutes": 61}, "BAD_PERIOD"),
        ({"minutes": 0}, "BAD_PERIOD"),
    ],
)
async def test_a_reason_and_an_end_are_demanded(medical: Medical, given: dict[str, Any], code: str) -> None:
    assert await codes(medical, STRANGER, BREAK, x=emergency(**given)) == [code]


async def test_nobody_breaks_their_own_glass_or_the_same_twice(medical: Medical) -> None:
    assert await codes(medical, STRANGER, BREAK, x=emergency(userId="stranger")) == ["FORBIDDEN"]
    await opened(medical)
    assert await codes(medical, STRANGER, BREAK, x=emergency()) == ["ALREADY_OPEN"]


async def test_who_opens_records_all_day_is_stopped(medical: Medical) -> None:
    for number in range(20):
        await opened(medical, userId=f"patient-{number}")
    assert await codes(medical, STRANGER, BREAK, x=emergency()) == ["TOO_MANY_EMERGENCIES"]
    medical.clock.move(timedelta(hours=24))
    await opened(medical)


async def test_who_opened_it_may_shut_it_before_its_time(medical: Medical) -> None:
    grant = await opened(medical)
    assert await codes(medical, SECOND, END, x=grant["id"]) == ["NOT_FOUND"]
    assert await codes(medical, STRANGER, END, x=grant["id"]) == []
    assert await conditions(medical, STRANGER) is None
    assert await codes(medical, STRANGER, END, x=grant["id"]) == ["EMERGENCY_ENDED"]
    assert await codes(medical, SECOND, CONFIRM, x=grant["id"]) == ["EMERGENCY_ENDED"]


async def test_the_patient_is_told_and_reads_why(medical: Medical) -> None:
    stream = medical.subgraph.subscribe(
        "subscription { breakGlassUsed { clinician { id } reason active } }", {}, None, ATHLETE
    )
    notice = asyncio.ensure_future(anext(stream))
    for _ in range(20):
        await asyncio.sleep(0)  # the stream listens before anything happens
    grant = await opened(medical)
    told = await asyncio.wait_for(notice, 5)
    expected = {"clinician": {"id": "stranger"}, "reason": REASON, "active": True}
    assert told == {"data": {"breakGlassUsed": expected}}
    await stream.aclose()
    mine = (await medical.ask(ATHLETE, GRANTS))["data"]["breakGlassGrants"]
    assert mine == {"totalCount": 1, "nodes": [{"id": grant["id"], "reason": REASON}]}
    assert await codes(medical, SECOND, SEEN, x=grant["id"]) == ["NOT_FOUND"]
    seen = (await medical.ask(ATHLETE, SEEN, x=grant["id"]))["data"]["acknowledgeBreakGlass"]["grant"]
    assert seen["seenByPatientAt"] is not None


async def test_the_review_is_closed_by_an_administrator_who_had_no_part_in_it(medical: Medical) -> None:
    grant = await opened(medical)
    given = {"id": grant["id"], "outcome": "JUSTIFIED", "note": "The call of the ambulance bears it out."}
    both = replace(STRANGER, roles=frozenset({Role.MEDICAL_SPECIALIST, Role.ADMINISTRATOR}))
    patient = replace(ATHLETE, roles=frozenset({Role.ATHLETE, Role.ADMINISTRATOR}), acr=2)
    for nobody in (STRANGER, SECOND, both, patient, PHYSICIAN, COACH):
        assert await codes(medical, nobody, CLOSE, x=given) == ["NOT_FOUND"], nobody
    assert await codes(medical, replace(ADMINISTRATOR, acr=1), CLOSE, x=given) == ["FORBIDDEN"]
    answer = await medical.ask(ADMINISTRATOR, CLOSE, x=given)
    review = answer["data"]["closeBreakGlassReview"]["grant"]["review"]
    assert (review["open"], review["outcome"], review["note"]) == (False, "JUSTIFIED", given["note"])
    assert review["reviewedBy"] == {"id": "administrator"}
    assert await codes(medical, ADMINISTRATOR, CLOSE, x=given) == ["REVIEW_CLOSED"]
    missing = {**given, "id": "no-such"}
    assert await codes(medical, ADMINISTRATOR, CLOSE, x=missing) == ["NOT_FOUND"]


async def test_the_second_clinician_has_no_say_in_the_review(medical: Medical) -> None:
    grant = await opened(medical)
    await medical.ask(SECOND, CONFIRM, x=grant["id"])
    both = replace(SECOND, roles=frozenset({Role.MEDICAL_SPECIALIST, Role.ADMINISTRATOR}))
    given = {"id": grant["id"], "outcome": "JUSTIFIED", "note": "I was there."}
    assert await codes(medical, both, CLOSE, x=given) == ["OWN_REVIEW"]


async def test_an_unjustified_emergency_ends_at_once(medical: Medical) -> None:
    grant = await opened(medical)
    assert await conditions(medical, STRANGER) == ["Sprained ankle"]
    given = {"id": grant["id"], "outcome": "UNJUSTIFIED", "note": "No emergency was reported."}
    assert await codes(medical, ADMINISTRATOR, CLOSE, x=given) == []
    assert await conditions(medical, STRANGER) is None


async def test_a_review_stays_in_the_queue_until_it_is_closed(medical: Medical) -> None:
    first = await opened(medical)
    medical.clock.move(timedelta(hours=72))
    second = await opened(medical, by=SECOND)
    overdue = "{ breakGlassGrants(reviewOpen: true) { nodes { id review { overdue } } } }"
    queue = (await medical.ask(ADMINISTRATOR, overdue))["data"]["breakGlassGrants"]["nodes"]
    assert queue == [
        {"id": second["id"], "review": {"overdue": False}},
        {"id": first["id"], "review": {"overdue": True}},
    ]
    given = {"id": first["id"], "outcome": "JUSTIFIED", "note": "Checked with the hospital."}
    await medical.ask(ADMINISTRATOR, CLOSE, x=given)
    queue = (await medical.ask(ADMINISTRATOR, GRANTS, open=True))["data"]["breakGlassGrants"]
    assert [node["id"] for node in queue["nodes"]] == [second["id"]]
    done = (await medical.ask(ADMINISTRATOR, GRANTS, open=False))["data"]["breakGlassGrants"]
    assert [node["id"] for node in done["nodes"]] == [first["id"]]


@pytest.mark.parametrize(
    ("by", "sees"),
    [(ATHLETE, 2), (ADMINISTRATOR, 2), (STRANGER, 1), (SECOND, 1), (COACH, 0), (PHYSICIAN, 0)],
    ids=lambda each: each.id if isinstance(each, Subject) else "",
)
async def test_each_lists_the_emergencies_that_concern_them(medical: Medical, by: Subject, sees: int) -> None:
    medical.know(COACH, Relation.COACH, "training", "clearance")
    medical.know(PHYSICIAN, Relation.TREATING)
    for each in (STRANGER, SECOND):
        await opened(medical, by=each)
    found = (await medical.ask(by, GRANTS))["data"]["breakGlassGrants"]
    assert found["totalCount"] == len(found["nodes"]) == sees
    page = (
        "query($a: String) { breakGlassGrants(first: 1, after: $a) { nodes { id } pageInfo { endCursor } } }"
    )
    seen, cursor = [], None
    for _ in range(sees):
        part = (await medical.ask(by, page, a=cursor))["data"]["breakGlassGrants"]
        seen += [node["id"] for node in part["nodes"]]
        cursor = part["pageInfo"]["endCursor"]
    assert seen == [node["id"] for node in found["nodes"]]


async def test_each_step_leaves_a_record(medical: Medical) -> None:
    kept: list[Any] = []

    class Ledger(OutboxLedger):
        async def keep(self, accesses: Any) -> None:
            kept.extend(touched for access in accesses for touched in access.touched)

    medical.subgraph.record_in(Ledger(medical.vault, medical.events.outbox))
    grant = await opened(medical)
    await conditions(medical, STRANGER)
    given = {"id": grant["id"], "outcome": "JUSTIFIED", "note": "Checked with the hospital."}
    await medical.ask(ADMINISTRATOR, CLOSE, x=given)
    found = {(each.fields[0], each.rule, each.target_id, each.purpose) for each in kept}
    assert ("Mutation.breakGlass", "break-glass-open", "athlete", "ETREAT") in found
    assert ("Condition.text", "clinical-break-glass", "athlete", "ETREAT") in found
    assert ("Mutation.closeBreakGlassReview", "break-glass-review", "athlete", None) in found
    assert ("BreakGlassGrant.active", "audit-administrator", "athlete", None) in found


async def test_reasons_and_notes_are_sealed_and_go_with_the_patients_key(medical: Medical) -> None:
    grant = await opened(medical)
    given = {"id": grant["id"], "outcome": "JUSTIFIED", "note": "Checked with the hospital."}
    await medical.ask(ADMINISTRATOR, CLOSE, x=given)
    stored = b"".join(path.read_bytes() for path in (medical.folder / "vault").iterdir())
    assert REASON.encode() not in stored and b"Checked with" not in stored
    await medical.vault.shred("athlete")
    left = "{ breakGlassGrants { nodes { reason review { note outcome } } } }"
    [node] = (await medical.ask(ADMINISTRATOR, left))["data"]["breakGlassGrants"]["nodes"]
    assert node == {"reason": None, "review": {"note": None, "outcome": "JUSTIFIED"}}
