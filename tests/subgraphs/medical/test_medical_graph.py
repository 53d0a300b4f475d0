"""Who gets what of a person's medicine: the six people of the demonstration, by the real policy."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from authz.classes import DataClass, Purpose, Relation, Role
from authz.identity.subject import ANONYMOUS, Subject
from authz.question import Question
from subgraphs.medical.care import Care
from subgraphs.medical.model import ClearanceStatus
from tests.kit_medical import (
    ADMINISTRATOR,
    ATHLETE,
    COACH,
    EXPECTED,
    MODERATOR,
    PHYSICIAN,
    STRANGER,
    Medical,
    document,
)

SYNTHEA = "r4/synthea/collection-Alfonzo975_Hickle134_cd3d3588-94fc-b980-9e94-0390d989d921.json"
SMALL = "r4/synthea/transaction-small-Bennett146_Swaniawski813.json"
PUBLISHED = Path(__file__).parents[3] / "schema" / "published" / "medical.graphql"

ENTITY = (
    'query($id: ID!) { _entities(representations: [{__typename: "User", id: $id}]) { ... on User { %s } } }'
)
IMPORT = """mutation($input: ImportBundleInput!) { importBundle(input: $input) {
  userErrors { code message }
  result { added updated unchanged errorCount warningCount
    byType { resourceType count } skipped { resourceType count }
    errors { entry code message resourceType element } } } }"""
SET_CLEARANCE = """mutation($input: SetClearanceInput!) { setClearance(input: $input) {
  clearance { id status restrictions validUntil } userErrors { code message } } }"""
ADD = """mutation($input: AddToCareTeamInput!) { addToCareTeam(input: $input) {
  member { id active practitioner { id } validUntil } userErrors { code } } }"""
END = "mutation($id: ID!) { endCare(id: $id) { member { id active } } }"
GRANT = """mutation($input: GrantConsentInput!) { grantConsent(input: $input) {
  consent { id decision labels active actor { id } } userErrors { code message } } }"""
REVOKE = "mutation($id: ID!) { revokeConsent(id: $id) { consent { id active } } }"


async def of_user(
    medical: Medical, subject: Subject, selection: str, user_id: str = "athlete"
) -> dict[str, Any]:
    response = await medical.ask(subject, ENTITY % selection, id=user_id)
    return {"user": response["data"]["_entities"][0], "errors": response.get("errors", [])}


def denials(answer: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """(path below the user, code, obligation) of every error."""
    return [
        (
            ".".join(str(step) for step in error["path"][2:]),
            error["extensions"]["code"],
            error["extensions"].get("obligation"),
        )
        for error in answer["errors"]
    ]


async def take_on(medical: Medical, practitioner: Subject = PHYSICIAN, **period: Any) -> str:
    """The athlete lets somebody treat her; the membership's id."""
    given = {"userId": "athlete", "practitionerId": practitioner.id, **period}
    response = await medical.ask(ATHLETE, ADD, input=given)
    assert "errors" not in response, response
    member_id: str = response["data"]["addToCareTeam"]["member"]["id"]
    return member_id


async def imported(medical: Medical, content: bytes, subject: Subject = ATHLETE) -> dict[str, Any]:
    given = {"userId": "athlete", "purpose": "PATRQT", "json": content.decode()}
    if subject is not ATHLETE:
        given["purpose"] = "TREAT"
    response = await medical.ask(subject, IMPORT, input=given)
    assert "errors" not in response, response
    payload: dict[str, Any] = response["data"]["importBundle"]
    return payload


async def clear(medical: Medical, **given: Any) -> dict[str, Any]:
    values = {"userId": "athlete", "status": "RESTRICTED", "restrictions": ["No running."], **given}
    response = await medical.ask(PHYSICIAN, SET_CLEARANCE, input=values)
    assert "errors" not in response, response
    payload: dict[str, Any] = response["data"]["setClearance"]
    return payload


def condition(name: str, code: str, *security: str) -> bytes:
    return json.dumps(
        {
            "resourceType": "Condition",
            "id": name.replace(" ", "-"),
            "meta": {
                "security": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": each}
                    for each in security
                ]
            },
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": name}]},
            "subject": {"reference": "Patient/p1"},
        }
    ).encode()


# --- what each of the six sees

ALL = """clearance { status restrictions }
  medicalRecord(purpose: TREAT) { conditions(first: 2) { totalCount nodes { text clinicalStatus } } }"""


@pytest.fixture
async def known(medical: Medical) -> Medical:
    """An athlete with a record, a clearance, a physician and a coach."""
    await take_on(medical)
    medical.know(COACH, Relation.COACH, "training", "clearance")
    await imported(medical, document(SMALL))
    await clear(medical)
    return medical


@pytest.mark.parametrize("subject", [ATHLETE, PHYSICIAN], ids=["athlete", "physician"])
async def test_the_person_and_the_physician_see_record_and_clearance(
    known: Medical, subject: Subject
) -> None:
    answer = await of_user(known, subject, ALL)
    assert answer["errors"] == []
    assert answer["user"]["clearance"] == {"status": "RESTRICTED", "restrictions": ["No running."]}
    conditions = answer["user"]["medicalRecord"]["conditions"]
    assert len(conditions["nodes"]) == 2
    assert all(node["text"] and node["clinicalStatus"] for node in conditions["nodes"])


async def test_the_coach_sees_the_clearance_and_nothing_clinical(known: Medical) -> None:
    answer = await of_user(known, COACH, ALL)
    assert answer["user"] == {
        "clearance": {"status": "RESTRICTED", "restrictions": ["No running."]},
        "medicalRecord": None,
    }
    assert denials(answer) == [("medicalRecord", "FORBIDDEN_FIELD", None)]
    assert answer["errors"][0]["message"] == "not allowed to read `User.medicalRecord`"


@pytest.mark.parametrize(
    "subject", [STRANGER, MODERATOR, ADMINISTRATOR], ids=["another physician", "moderator", "administrator"]
)
async def test_the_others_see_nothing(known: Medical, subject: Subject) -> None:
    answer = await of_user(known, subject, ALL)
    assert answer["user"] == {"clearance": None, "medicalRecord": None}
    assert denials(answer) == [
        ("clearance", "FORBIDDEN_FIELD", None),
        ("medicalRecord", "FORBIDDEN_FIELD", None),
    ]


async def test_nobody_without_a_token_sees_anything(known: Medical) -> None:
    answer = await of_user(known, ANONYMOUS, ALL)
    assert answer["user"] == {"clearance": None, "medicalRecord": None}
    assert len(answer["errors"]) == 2


async def test_a_coach_without_the_scope_does_not_see_the_clearance(medical: Medical) -> None:
    await take_on(medical)
    medical.know(COACH, Relation.COACH, "training")
    await clear(medical)
    assert denials(await of_user(medical, COACH, "clearance { status }")) == [
        ("clearance", "FORBIDDEN_FIELD", None)
    ]


@pytest.mark.parametrize("purpose", ["HRESCH", "HPAYMT", "PATRQT", "BTG"])
async def test_a_physician_reads_for_care_and_for_nothing_else(known: Medical, purpose: str) -> None:
    answer = await of_user(known, PHYSICIAN, f"medicalRecord(purpose: {purpose}) {{ patient {{ text }} }}")
    assert answer["user"] == {"medicalRecord": None}
    assert denials(answer) == [("medicalRecord", "FORBIDDEN_FIELD", "PURPOSE")]


async def test_a_physician_without_a_second_factor_is_asked_to_step_up(known: Medical) -> None:
    weak = Subject(id=PHYSICIAN.id, roles=PHYSICIAN.roles, acr=1)
    assert denials(await of_user(known, weak, "medicalRecord(purpose: TREAT) { patient { text } }")) == [
        ("medicalRecord", "FORBIDDEN_FIELD", "STEP_UP")
    ]


async def test_one_purpose_does_not_lend_itself_to_another_in_one_request(known: Medical) -> None:
    answer = await of_user(
        known,
        PHYSICIAN,
        """a: medicalRecord(purpose: HRESCH) { patient { text } }
           b: medicalRecord(purpose: TREAT) { patient { text } }""",
    )
    assert answer["user"]["a"] is None
    assert answer["user"]["b"]["patient"]["text"]
    assert denials(answer) == [("a", "FORBIDDEN_FIELD", "PURPOSE")]


async def test_a_treating_relationship_opens_and_ends_at_once(medical: Medical) -> None:
    selection = "medicalRecord(purpose: TREAT) { patient { text } }"
    await imported(medical, document("r4/examples/patient-f001.json").removeprefix(b"\xef\xbb\xbf"))
    assert len((await of_user(medical, PHYSICIAN, selection))["errors"]) == 1
    member_id = await take_on(medical)
    assert (await of_user(medical, PHYSICIAN, selection))["errors"] == []
    response = await medical.ask(ATHLETE, END, id=member_id)
    assert response["data"]["endCare"]["member"] == {"id": member_id, "active": False}
    assert len((await of_user(medical, PHYSICIAN, selection))["errors"]) == 1
    assert (await medical.ask(PHYSICIAN, "{ patientsInMyCare { id } }"))["data"] == {"patientsInMyCare": []}


async def test_a_treating_relationship_has_its_period(medical: Medical) -> None:
    start = medical.clock() + timedelta(days=1)
    await take_on(medical, validFrom=start.isoformat(), validUntil=(start + timedelta(days=7)).isoformat())
    selection = "medicalRecord(purpose: TREAT) { patient { text } }"
    counts = []
    for _ in range(3):
        counts.append(len((await of_user(medical, PHYSICIAN, selection))["errors"]))
        medical.clock.move(timedelta(days=5))
    assert counts == [1, 0, 1]


# --- restricted resources


async def test_a_restricted_resource_needs_explicit_consent_for_its_label(medical: Medical) -> None:
    await take_on(medical)
    for content in (condition("Sprained ankle", "44465007"), condition("Depression", "370143000")):
        await imported(medical, content)
    selection = "medicalRecord(purpose: TREAT) { conditions { totalCount nodes { text } } }"

    async def seen(subject: Subject) -> tuple[int, list[str]]:
        answer = await of_user(medical, subject, selection)
        assert answer["errors"] == []
        conditions = answer["user"]["medicalRecord"]["conditions"]
        return conditions["totalCount"], sorted(node["text"] for node in conditions["nodes"])

    assert await seen(ATHLETE) == (2, ["Depression", "Sprained ankle"])
    assert await seen(PHYSICIAN) == (1, ["Sprained ankle"])
    given = {"decision": "PERMIT", "dataClass": "CLINICAL_RESTRICTED", "actorId": "physician"}
    wrong = await medical.ask(ATHLETE, GRANT, input={**given, "labels": ["hiv"]})
    assert await seen(PHYSICIAN) == (1, ["Sprained ankle"])
    right = await medical.ask(ATHLETE, GRANT, input={**given, "labels": ["mental"]})
    assert await seen(PHYSICIAN) == (2, ["Depression", "Sprained ankle"])
    for response in (wrong, right):
        consent = response["data"]["grantConsent"]["consent"]
        assert (consent["decision"], consent["active"]) == ("PERMIT", True)
        revoked = await medical.ask(ATHLETE, REVOKE, id=consent["id"])
        assert revoked["data"]["revokeConsent"]["consent"] == {"id": consent["id"], "active": False}
    assert await seen(PHYSICIAN) == (1, ["Sprained ankle"])


async def test_a_resource_with_several_labels_needs_consent_for_each(medical: Medical) -> None:
    await take_on(medical)
    await imported(medical, condition("Depression", "370143000", "R"))
    given = {"decision": "PERMIT", "dataClass": "CLINICAL_RESTRICTED"}
    counts = []
    for label in ("mental", "R"):
        await medical.ask(ATHLETE, GRANT, input={**given, "labels": [label]})
        answer = await of_user(
            medical, PHYSICIAN, "medicalRecord(purpose: TREAT) { conditions { totalCount } }"
        )
        counts.append(answer["user"]["medicalRecord"]["conditions"]["totalCount"])
    assert counts == [0, 1]


async def test_a_denied_consent_beats_the_treating_relationship(known: Medical) -> None:
    given = {"decision": "DENY", "dataClass": "CLINICAL", "actorId": "physician"}
    await known.ask(ATHLETE, GRANT, input=given)
    answer = await of_user(known, PHYSICIAN, "medicalRecord(purpose: TREAT) { patient { text } }")
    assert denials(answer) == [("medicalRecord", "FORBIDDEN_FIELD", "CONSENT")]
    assert (await of_user(known, ATHLETE, "medicalRecord(purpose: PATRQT) { patient { text } }"))[
        "errors"
    ] == []


async def test_nobody_gives_consent_for_somebody_else(known: Medical) -> None:
    given = {"decision": "PERMIT", "dataClass": "CLINICAL_RESTRICTED", "labels": ["mental"]}
    granted = await known.ask(PHYSICIAN, GRANT, input=given)
    assert granted["data"]["grantConsent"]["consent"] is not None  # of the physician's own record
    mine = await known.ask(ATHLETE, GRANT, input=given)
    response = await known.ask(PHYSICIAN, REVOKE, id=mine["data"]["grantConsent"]["consent"]["id"])
    assert [error["extensions"]["code"] for error in response["errors"]] == ["NOT_FOUND"]
    partner = Subject(id="athlete", roles=frozenset({Role.PARTNER}), acr=2, client_id="app")
    response = await known.ask(partner, GRANT, input=given)
    assert [error["extensions"]["code"] for error in response["errors"]] == ["FORBIDDEN"]
    answer = await of_user(known, PHYSICIAN, "consents(purpose: TREAT) { decision labels }")
    assert answer["user"]["consents"] == [{"decision": "PERMIT", "labels": ["mental"]}]
    assert len((await of_user(known, COACH, "consents(purpose: TREAT) { decision }"))["errors"]) == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"dataClass": "TRAINING"}, "BAD_CLASS"),
        ({"dataClass": "CLINICAL_RESTRICTED"}, "LABELS_MISSING"),
        ({"dataClass": "CLINICAL", "labels": ["hiv"]}, "LABELS_UNEXPECTED"),
        ({"dataClass": "CLINICAL_RESTRICTED", "labels": ["gossip"]}, "UNKNOWN_LABEL"),
        (
            {"dataClass": "CLINICAL_RESTRICTED", "labels": ["hiv"] * 1 + [str(n) for n in range(17)]},
            "TOO_MANY_LABELS",
        ),
        ({"dataClass": "CLINICAL", "validUntil": "2020-01-01T00:00:00Z"}, "BAD_PERIOD"),
    ],
)
async def test_a_consent_that_means_nothing_is_refused(
    medical: Medical, given: dict[str, Any], code: str
) -> None:
    response = await medical.ask(ATHLETE, GRANT, input={"decision": "PERMIT", **given})
    payload = response["data"]["grantConsent"]
    assert payload["consent"] is None
    assert [error["code"] for error in payload["userErrors"]] == [code]


# --- clearance


async def test_an_expired_clearance_clears_nobody(medical: Medical) -> None:
    await take_on(medical)
    until = medical.clock() + timedelta(days=30)
    await clear(medical, status="CLEARED", restrictions=[], validUntil=until.isoformat())
    in_force = await of_user(medical, ATHLETE, "clearance { status }")
    medical.clock.move(timedelta(days=30))
    expired = await of_user(medical, ATHLETE, "clearance { status }")
    assert in_force["user"]["clearance"] == {"status": "CLEARED"}
    assert expired == {"user": {"clearance": None}, "errors": []}


async def test_the_last_clearance_counts_and_the_earlier_ones_stay(medical: Medical) -> None:
    await take_on(medical)
    for status in ("CLEARED", "NOT_CLEARED"):
        await clear(medical, status=status, restrictions=[])
    assert (await of_user(medical, ATHLETE, "clearance { status }"))["user"]["clearance"][
        "status"
    ] == "NOT_CLEARED"
    stored = sa.text("SELECT count(*) FROM medical_clearances")
    assert await medical.vault.read(lambda c: c.execute(stored).scalar()) == 2


async def test_many_clearances_are_loaded_in_two_queries(
    medical: Medical, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"athlete-{number}" for number in range(40)]
    for name in people:
        await Care(medical.vault, medical.events.outbox).set_clearance(
            name,
            status=ClearanceStatus.CLEARED,
            restrictions=(),
            valid_until_utc=None,
            set_by="physician",
            now_utc=medical.clock(),
        )
    medical.vault._ciphers.clear()
    reads = 0
    read = medical.vault._relational.read

    async def counted(work: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(work)

    # Asked at a glance, a store may say that a read is needed: what is counted is the same on all.
    monkeypatch.setattr(medical.vault._relational, "glance", lambda _: None, raising=False)
    monkeypatch.setattr(medical.vault._relational, "read", counted)
    found = await Care(medical.vault, medical.events.outbox).clearances(people)
    assert len(found) == 40
    assert reads == 2


@pytest.mark.parametrize("subject", [ATHLETE, COACH, STRANGER, ADMINISTRATOR])
async def test_only_who_treats_may_set_a_clearance(known: Medical, subject: Subject) -> None:
    given = {"userId": "athlete", "status": "CLEARED"}
    response = await known.ask(subject, SET_CLEARANCE, input=given)
    assert response["data"]["setClearance"] is None
    [error] = response["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["setClearance"], "FORBIDDEN")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"status": "RESTRICTED", "restrictions": []}, "RESTRICTION_MISSING"),
        ({"status": "CLEARED", "restrictions": ["x"]}, "RESTRICTION_UNEXPECTED"),
        ({"status": "RESTRICTED", "restrictions": ["x"] * 21}, "TOO_MANY_RESTRICTIONS"),
        ({"status": "RESTRICTED", "restrictions": ["  "]}, "RESTRICTION_EMPTY"),
        ({"status": "CLEARED", "restrictions": [], "validUntil": "2020-01-01T00:00:00Z"}, "BAD_PERIOD"),
    ],
)
async def test_a_clearance_that_makes_no_sense_is_refused(
    medical: Medical, given: dict[str, Any], code: str
) -> None:
    await take_on(medical)
    payload = await clear(medical, **given)
    assert payload["clearance"] is None
    assert [error["code"] for error in payload["userErrors"]] == [code]


# --- imports


async def test_a_file_is_imported_by_its_physician_and_listed_by_page(medical: Medical) -> None:
    await take_on(medical)

    class File(io.BytesIO):
        filename, content_type = "bundle.json", "application/fhir+json"

        async def read(self, size: int = -1) -> bytes:  # type: ignore[override]
            return super().read(size)

    given = {"userId": "athlete", "purpose": "TREAT", "file": File(document(SYNTHEA))}
    response = await medical.ask(PHYSICIAN, IMPORT, input=given)
    result = response["data"]["importBundle"]["result"]
    facts = EXPECTED[SYNTHEA]["by_resource_type"]
    assert {each["resourceType"]: each["count"] for each in result["byType"] + result["skipped"]} == facts
    query = """query($id: ID!, $after: String) { _entities(representations: [{__typename: "User", id: $id}]) {
      ... on User { medicalRecord(purpose: TREAT) { observations(first: 30, after: $after) {
        totalCount pageInfo { hasNextPage endCursor } nodes { id effective } } } } } }"""
    seen: list[dict[str, Any]] = []
    after = None
    for _ in range(3):
        answer = await medical.ask(PHYSICIAN, query, id="athlete", after=after)
        page = answer["data"]["_entities"][0]["medicalRecord"]["observations"]
        seen += page["nodes"]
        after = page["pageInfo"]["endCursor"]
    assert page["pageInfo"]["hasNextPage"] is False
    assert page["totalCount"] == len({node["id"] for node in seen}) == 61
    own = "medicalRecord(purpose: PATRQT) { observations(first: 0) { totalCount } }"
    whole = (await of_user(medical, ATHLETE, own))["user"]["medicalRecord"]["observations"]["totalCount"]
    assert whole == facts["Observation"] == 69  # the physician lacks consent to eight of them
    days = [node["effective"][:10] for node in seen]
    assert days == sorted(days, reverse=True)


async def test_a_cursor_of_another_reader_list_or_filter_does_not_open(known: Medical) -> None:
    list_of = "medicalRecord(purpose: TREAT) { %s(first: 1%s) { pageInfo { endCursor } } }"
    first = await of_user(known, PHYSICIAN, list_of % ("conditions", ""))
    cursor = first["user"]["medicalRecord"]["conditions"]["pageInfo"]["endCursor"]
    stolen = f', after: "{cursor}"'
    for subject, name, extra in (
        (ATHLETE, "conditions", stolen),
        (PHYSICIAN, "observations", stolen),
        (PHYSICIAN, "conditions", f'{stolen}, code: "8867-4"'),
    ):
        answer = await of_user(known, subject, list_of % (name, extra))
        assert [code for _, code, _ in denials(answer)] == ["BAD_CURSOR"]


@pytest.mark.parametrize("subject", [COACH, STRANGER, MODERATOR, ADMINISTRATOR])
async def test_others_import_nothing(known: Medical, subject: Subject) -> None:
    given = {"userId": "athlete", "purpose": "TREAT", "json": "{}"}
    response = await known.ask(subject, IMPORT, input=given)
    assert response["data"] == {"importBundle": None}
    assert [(e["path"], e["extensions"]["code"]) for e in response["errors"]] == [
        (["importBundle"], "FORBIDDEN")
    ]


async def test_an_unreadable_document_is_an_error_of_its_sender(medical: Medical) -> None:
    for content, code in (
        (b"{", "NOT_JSON"),
        (b"[]", "NOT_FHIR"),
        (document("invalid/Bundle-TypeMissing.json"), "BUNDLE_TYPE_MISSING"),
    ):
        payload = await imported(medical, content.removeprefix(b"\xef\xbb\xbf"))
        assert payload["result"] is None
        assert [error["code"] for error in payload["userErrors"]] == [code]


async def test_errors_of_entries_are_told_with_their_place(medical: Medical) -> None:
    payload = await imported(medical, document("invalid/ObservationWithNoCode.json"))
    result = payload["result"]
    assert result["added"] == 0
    assert result["errorCount"] == len(result["errors"])
    assert {"Observation.code", None} >= {error["element"] for error in result["errors"]}


async def test_a_patient_adds_but_does_not_stand_in_front_of_a_physician_s_entry(medical: Medical) -> None:
    await take_on(medical)
    await imported(medical, condition("Fracture", "125605004"), PHYSICIAN)
    other = condition("Fracture", "44465007")
    refused = (await imported(medical, other))["result"]
    assert (refused["added"], refused["updated"], refused["errorCount"]) == (0, 0, 1)
    assert refused["errors"][0]["code"] == "ENTERED_BY_ANOTHER"
    await imported(medical, condition("Bruise", "125667009"))
    amended = (await imported(medical, condition("Bruise", "44465007"), PHYSICIAN))["result"]
    own = (await imported(medical, condition("Bruise", "125667009")))["result"]
    assert (amended["updated"], own["unchanged"]) == (1, 1)
    answer = await of_user(
        medical,
        ATHLETE,
        "medicalRecord(purpose: PATRQT) { conditions { nodes { code { codings { code } } } } }",
    )
    nodes = answer["user"]["medicalRecord"]["conditions"]["nodes"]
    assert sorted(node["code"]["codings"][0]["code"] for node in nodes) == ["125605004", "44465007"]


@pytest.mark.parametrize("given", [{}, {"json": "{}", "file": None}, {"json": None}])
async def test_a_document_comes_one_way(medical: Medical, given: dict[str, Any]) -> None:
    response = await medical.ask(ATHLETE, IMPORT, input={"userId": "athlete", "purpose": "PATRQT", **given})
    if given.get("json"):
        assert "errors" not in response
    else:
        assert [error["extensions"]["code"] for error in response["errors"]] == ["BAD_INPUT"]


# --- the care team


async def test_a_stranger_cannot_make_himself_a_physician_of_somebody(medical: Medical) -> None:
    given = {"userId": "athlete", "practitionerId": "stranger"}
    response = await medical.ask(STRANGER, ADD, input=given)
    assert [error["extensions"]["code"] for error in response["errors"]] == ["FORBIDDEN"]
    assert (await medical.ask(STRANGER, "{ patientsInMyCare { id } }"))["data"] == {"patientsInMyCare": []}


async def test_care_team_rules(medical: Medical) -> None:
    async def codes(**given: Any) -> list[str]:
        response = await medical.ask(ATHLETE, ADD, input={"userId": "athlete", **given})
        return [error["code"] for error in response["data"]["addToCareTeam"]["userErrors"]]

    start = medical.clock().isoformat()
    assert await codes(practitionerId="athlete") == ["OWN_PRACTITIONER"]
    assert await codes(practitionerId="physician", validFrom=start, validUntil=start) == ["BAD_PERIOD"]
    assert await codes(practitionerId="physician") == []
    assert await codes(practitionerId="physician") == ["ALREADY_IN_CARE_TEAM"]


async def test_only_the_two_can_end_a_treating_relationship(medical: Medical) -> None:
    member_id = await take_on(medical)
    for subject in (STRANGER, COACH, ADMINISTRATOR):
        response = await medical.ask(subject, END, id=member_id)
        assert [error["extensions"]["code"] for error in response["errors"]] == ["NOT_FOUND"]
    assert (await medical.ask(PHYSICIAN, "{ patientsInMyCare { id } }"))["data"]["patientsInMyCare"] == [
        {"id": "athlete"}
    ]
    response = await medical.ask(PHYSICIAN, END, id=member_id)
    assert response["data"]["endCare"]["member"]["id"] == member_id
    assert await take_on(medical) != member_id
    team = await of_user(medical, ATHLETE, "careTeam { active practitioner { id } }")
    assert [member["active"] for member in team["user"]["careTeam"]].count(True) == 1


async def test_a_physician_may_bring_in_another(medical: Medical) -> None:
    await take_on(medical)
    given = {"userId": "athlete", "practitionerId": "stranger"}
    response = await medical.ask(PHYSICIAN, ADD, input=given)
    assert response["data"]["addToCareTeam"]["member"]["practitioner"] == {"id": "stranger"}
    answer = await of_user(medical, STRANGER, "medicalRecord(purpose: TREAT) { patient { text } }")
    assert answer == {"user": {"medicalRecord": {"patient": None}}, "errors": []}


# --- resources in the graph


async def test_values_are_told_as_they_were_written(medical: Medical) -> None:
    for name in (
        "observation-bloodpressure",
        "allergyintolerance",
        "medicationstatement",
        "observation-glucose-lab",
    ):
        await imported(medical, document(f"r4/examples/{name}.json").removeprefix(b"\xef\xbb\xbf"))
    answer = await of_user(
        medical,
        ATHLETE,
        """medicalRecord(purpose: PATRQT) {
          observations { nodes { text quantity { value unit }
            components { code { text } quantity { value unit } } } }
          allergies { nodes { text onset criticality reactions { severity manifestations { text } } } }
          medications { nodes { text status effective dosages } }
          pressure: observations(code: "http://loinc.org|85354-9") { totalCount }
          reports { totalCount } patient { id } }""",
    )
    assert answer["errors"] == []
    record = answer["user"]["medicalRecord"]
    quantities = [node["quantity"] for node in record["observations"]["nodes"]]
    assert {"value": "6.3", "unit": "mmol/l"} in quantities
    components = [part for node in record["observations"]["nodes"] for part in node["components"]]
    assert [part["quantity"]["value"] for part in components] == ["107", "60"]
    [allergy] = record["allergies"]["nodes"]
    assert (allergy["text"], allergy["onset"], allergy["criticality"]) == ("Cashew nuts", "2004", "high")
    assert [reaction["severity"] for reaction in allergy["reactions"]] == ["severe", "moderate"]
    [medication] = record["medications"]["nodes"]
    assert (medication["text"], medication["effective"]) == ("Tylenol PM", "2015-01-23")
    assert (record["pressure"]["totalCount"], record["reports"]["totalCount"], record["patient"]) == (
        1,
        0,
        None,
    )


async def test_the_resource_itself_comes_to_the_byte(medical: Medical) -> None:
    content = document("r4/examples/patient-f001.json").removeprefix(b"\xef\xbb\xbf").strip()
    await imported(medical, content)
    answer = await of_user(
        medical,
        ATHLETE,
        """medicalRecord(purpose: PATRQT) { patient { resourceJson birthDate gender text fhirId } }""",
    )
    patient = answer["user"]["medicalRecord"]["patient"]
    assert patient["resourceJson"].encode() == content
    facts = EXPECTED["r4/examples/patient-f001.json"]
    assert (patient["birthDate"], patient["gender"], patient["fhirId"]) == (
        facts["birthDate"],
        facts["gender"],
        "f001",
    )
    assert facts["family"] in patient["text"]


async def test_an_erased_record_is_empty_and_stays_so(known: Medical) -> None:
    await known.vault.shred("athlete")
    answer = await of_user(known, ATHLETE, ALL)
    assert answer["user"]["clearance"] is None
    assert answer["user"]["medicalRecord"]["conditions"]["nodes"] == []
    payload = await clear(known)
    assert [error["code"] for error in payload["userErrors"]] == ["RECORD_ERASED"]


def test_the_published_schema_is_this(medical: Medical) -> None:
    assert medical.subgraph.sdl() == PUBLISHED.read_text(), "run `stadion publish` if it is meant to change"


# --- a row is in a list exactly where reading it is allowed

LABELS = [(), ("R",), ("V",), ("PSY",), ("HIV", "R"), ("PSY", "V")]
CONSENTS = [
    [],
    [{"decision": "PERMIT", "labels": ["R"]}],
    [
        {"decision": "PERMIT", "labels": ["R", "HIV"]},
        {"decision": "PERMIT", "labels": ["V"], "purpose": "ETREAT"},
    ],
    [{"decision": "PERMIT", "labels": ["PSY", "V"], "actorId": "physician"}],
    [{"decision": "PERMIT", "labels": ["PSY", "V"], "actorId": "stranger"}],
    [{"decision": "PERMIT", "labels": ["R", "PSY"]}, {"decision": "DENY", "labels": ["PSY"]}],
]


@pytest.mark.parametrize("consents", CONSENTS)
async def test_a_row_is_listed_exactly_where_it_may_be_read(
    medical: Medical, consents: list[dict[str, Any]]
) -> None:
    await take_on(medical)
    for number, labels in enumerate(LABELS):
        await imported(medical, condition(f"c{number}", "44465007", *labels))
    for consent in consents:
        given = {"dataClass": "CLINICAL_RESTRICTED", **consent}
        assert "errors" not in await medical.ask(ATHLETE, GRANT, input=given)
    for subject in (ATHLETE, PHYSICIAN, STRANGER, COACH):
        for purpose in (Purpose.TREATMENT, Purpose.EMERGENCY_TREATMENT, Purpose.RESEARCH):
            listed = await _listed(medical, subject, purpose)
            assert listed == await _allowed(medical, subject, purpose), (subject.id, purpose)


async def _listed(medical: Medical, subject: Subject, purpose: Purpose) -> set[str]:
    selection = f"medicalRecord(purpose: {purpose}) {{ conditions {{ nodes {{ fhirId }} }} }}"
    record = (await of_user(medical, subject, selection))["user"]["medicalRecord"]
    return set() if record is None else {node["fhirId"] for node in record["conditions"]["nodes"]}


async def _allowed(medical: Medical, subject: Subject, purpose: Purpose) -> set[str]:
    """Asked of the policy row by row, of the whole record first."""
    decisions = medical.authorizer.for_request(subject)
    names = [f"c{number}" for number in range(len(LABELS))]
    record = Question("athlete", DataClass.CLINICAL, purpose=purpose)
    rows = [replace(record, labels=frozenset(labels), resource_type="Condition") for labels in LABELS]
    answers = await decisions.decide([record, *rows])
    if not answers[0].allowed:
        return set()
    return {name for name, answer in zip(names, answers[1:], strict=True) if answer.allowed}
