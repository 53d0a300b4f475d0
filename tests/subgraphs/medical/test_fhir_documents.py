"""FHIR documents at the door: the facts of the good ones hold, the bad ones are refused or flagged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from subgraphs.medical.fhir.documents import DEPTH_MAX, read_document
from subgraphs.medical.fhir.preparing import PreparedDocument, prepare
from subgraphs.medical.fhir.problems import DocumentRefused
from subgraphs.medical.model import ResourceType
from tests.kit_medical import EXPECTED, document

INVALID = sorted(name for name in EXPECTED if name.startswith("invalid/"))
HELD = {kind.value for kind in ResourceType}

REFUSED = {
    "Bundle-TypeMissing.json": "BUNDLE_TYPE_MISSING",
    "bad-json-close-1.json": "NOT_JSON",
    "json-comma-bad-1.json": "NOT_JSON",
    "json-comments-1.json": "NOT_JSON",
    "json-no-quotes-1.json": "NOT_JSON",
    "bundle-document-versioned-references-bad.json": "BUNDLE_TYPE_UNKNOWN",
    "bundle-id-search-2.json": "BUNDLE_TYPE_UNKNOWN",
}
FLAGGED = {
    "Bundle-TransactionWithInvalidResourceType.json": "SUBJECT_UNKNOWN",
    "Import-InvalidPatient.ndjson": "NOT_JSON",
    "InvalidObservation.json": "NOT_VALID",
    "Observation-ex-pain.json": "NOT_VALID",
    "ObservationWithNoCode.json": "NOT_VALID",
    "PatientMissingResourceType.json": "RESOURCE_TYPE_MISSING",
    "ai3.json": "NOT_VALID",
    "bundle-conditional-reference-bad.json": "SUBJECT_UNKNOWN",
    "bundle-duplicate-id.json": "FULL_URL_RELATIVE",
    "pat-security-bad-string.json": "HTML_IN_TEXT",
    "patient-duplicate.json": "PROPERTY_TWICE",
    "patient-id-bad-1.json": "BAD_ID",
    "patient-id-bad-3.json": "BAD_ID",
}
LEFT_OUT = {"encounter-period.json": {"Encounter": 1}, "synthea.json": {"Encounter": 1}}


def by_type(prepared: PreparedDocument) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in prepared.resources:
        counts[each.resource_type.value] = counts.get(each.resource_type.value, 0) + 1
    return counts


def resource(**parts: Any) -> bytes:
    base = {"resourceType": "Patient", "id": "p1"}
    return json.dumps({**base, **parts}).encode()


def test_every_invalid_file_has_its_expectation() -> None:
    named = {*REFUSED, *FLAGGED, *LEFT_OUT}
    assert {name.removeprefix("invalid/") for name in INVALID} == named


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_invalid_document_is_refused_with_a_clear_code(name: str) -> None:
    with pytest.raises(DocumentRefused) as caught:
        prepare(document(f"invalid/{name}"), None)
    assert caught.value.code == REFUSED[name]
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", sorted(FLAGGED))
def test_an_invalid_entry_is_flagged_with_a_clear_code(name: str) -> None:
    prepared = prepare(document(f"invalid/{name}"), None)
    assert FLAGGED[name] in {problem.code for problem in prepared.problems}


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_a_type_that_a_record_does_not_hold_is_left_out_and_counted(name: str) -> None:
    prepared = prepare(document(f"invalid/{name}"), None)
    assert (prepared.resources, prepared.skipped) == ((), LEFT_OUT[name])


ONE_PATIENT = [
    "r4/examples/diagnosticreport.json",
    "r4/examples/allergyintolerance.json",
    "r4/examples/condition.json",
    "r4/examples/condition-f001.json",
    "r4/examples/medicationstatement.json",
    "r4/examples/observation-apgar-1min.json",
    "r4/examples/observation-bloodpressure.json",
    "r4/examples/observation-bodyweight.json",
    "r4/examples/observation-glucose-lab.json",
    "r4/examples/patient-f001.json",
    "r4/examples/careplan.json",
    "r4/synthea/transaction-small-Bennett146_Swaniawski813.json",
    "r4/synthea/collection-Alfonzo975_Hickle134_cd3d3588-94fc-b980-9e94-0390d989d921.json",
]


@pytest.mark.parametrize("name", ONE_PATIENT)
def test_every_resource_of_a_good_document_is_taken_or_counted_as_left_out(name: str) -> None:
    facts = EXPECTED[name]
    expected = facts.get("by_resource_type") or {facts["resourceType"]: 1}
    prepared = prepare(document(name), None)
    assert [problem for problem in prepared.problems if not problem.warning] == []
    assert by_type(prepared) == {kind: n for kind, n in expected.items() if kind in HELD}
    assert prepared.skipped == {kind: n for kind, n in expected.items() if kind not in HELD}


def test_the_codes_of_a_document_are_all_found() -> None:
    name = next(name for name in ONE_PATIENT if "Alfonzo" in name)
    prepared = prepare(document(name), None)
    observations = [r for r in prepared.resources if r.resource_type is ResourceType.OBSERVATION]
    top = EXPECTED[name]["top_observation_codes"]
    counted = {code: sum(f"http://loinc.org|{code}" in r.codes for r in observations) for code in top}
    assert counted == top


def test_ndjson_is_read_line_by_line_for_each_patient() -> None:
    with pytest.raises(DocumentRefused, match="is about 9 patients") as caught:
        prepare(document("r4/bulk/Patient.ndjson"), None)
    assert caught.value.code == "SEVERAL_PATIENTS"
    conditions = document("r4/bulk/Condition.ndjson")
    patients = {json.loads(line)["subject"]["reference"] for line in conditions.splitlines()}
    taken = [prepare(conditions, patient) for patient in patients]
    assert sum(len(each.resources) for each in taken) == EXPECTED["r4/bulk/Condition.ndjson"]["lines"] == 71
    for each in taken:
        errors = [problem for problem in each.problems if not problem.warning]
        assert {problem.code for problem in errors} == {"OTHER_PATIENT"}
        assert len(errors) + len(each.resources) == 71


def test_one_broken_line_keeps_no_other_from_being_read() -> None:
    prepared = prepare(document("invalid/Import-InvalidPatient.ndjson"), None)
    assert [(p.entry, p.code) for p in prepared.problems if p.code == "NOT_JSON"] == [(3, "NOT_JSON")]


def test_entries_about_other_patients_are_reported_one_by_one() -> None:
    name = "r4/examples/observation-heartrate-bundle.json"
    with pytest.raises(DocumentRefused, match="say which one with `patientReference`"):
        prepare(document(name), None)
    prepared = prepare(document(name), "ref-test-patient1")
    about_others = [problem for problem in prepared.problems if problem.code == "OTHER_PATIENT"]
    kept = by_type(prepared)
    held = sum(n for kind, n in EXPECTED[name]["by_resource_type"].items() if kind in HELD)
    assert len(about_others) + sum(kept.values()) + _unknown_subjects(prepared) == held
    assert about_others
    assert kept["Patient"] == 1
    with pytest.raises(DocumentRefused, match="nothing about the given patient"):
        prepare(document(name), "Patient/nobody")


def _unknown_subjects(prepared: PreparedDocument) -> int:
    return sum(problem.code == "SUBJECT_UNKNOWN" for problem in prepared.problems)


def test_requests_that_are_no_imports_are_left_out_with_a_warning() -> None:
    name = "r4/examples/bundle-batch.json"
    read = read_document(document(name))
    methods = EXPECTED[name]["by_request_method"]
    left_out = [problem for problem in read.problems if problem.code == "METHOD_SKIPPED"]
    assert len(left_out) == methods["GET"] + methods["DELETE"] == 4
    assert all(problem.warning for problem in left_out)
    assert len(read.entries) == EXPECTED[name]["by_resource_type"]["Patient"] + 1


def test_a_resource_that_does_not_conform_is_named_by_its_element_and_never_by_its_value() -> None:
    prepared = prepare(document("r4/nonconformant/patient.json"), None)
    [problem] = [problem for problem in prepared.problems if not problem.warning]
    assert problem.element == "Patient.meta.lastUpdated"
    assert "2000-01-01" not in problem.message
    assert prepared.resources == ()


def test_of_a_bundle_with_some_nonconformant_entries_the_others_are_taken() -> None:
    name = "r4/nonconformant/bundle-uscore-transaction.json"
    bundle = json.loads(document(name).removeprefix(b"\xef\xbb\xbf"))
    patients = [e["resource"]["id"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    taken = [by_type(prepare(document(name), patient)) for patient in patients]
    total = {kind: sum(each.get(kind, 0) for each in taken) for kind in HELD}
    expected = EXPECTED[name]["by_resource_type"]
    for kind in ("Patient", "Observation", "Condition", "AllergyIntolerance"):
        assert total[kind] == expected[kind]
    assert total["DiagnosticReport"] == 0  # each holds a list where R4 has one reference


def test_the_text_of_a_resource_is_kept_to_the_byte() -> None:
    odd = b'{ "resourceType" : "Observation", "id":"o1","status":"final",\n"code":{"text":"x"},'
    odd += b'"subject":{"reference":"Patient/p1"}, "valueQuantity": {"value": 70.50, "unit":"kg"} }'
    bundle = b'\xef\xbb\xbf{"resourceType":"Bundle","type":"collection","entry":[{"resource":' + odd + b"}]}"
    [taken] = prepare(bundle, None).resources
    assert taken.source == odd
    [bare] = prepare(odd, None).resources
    assert bare.source == odd


def test_layout_does_not_change_content_and_precision_does() -> None:
    def digest(value: str, space: str = "") -> str:
        text = '{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},%s'
        text += '"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":%s}}'
        return prepare((text % (space, value)).encode(), None).resources[0].content_sha256

    assert digest("70.5") == digest("70.5", space="\n   ")
    assert digest("70.5") != digest("70.50")


@pytest.mark.parametrize(
    ("parts", "day"),
    [
        ({"onsetDateTime": "2012-05"}, "2012-05"),
        ({"onsetDateTime": "1996-10-29T05:41:50+10:00"}, "1996-10-29"),
        ({"onsetPeriod": {"start": "2001"}}, "2001"),
        ({"recordedDate": "2014-10-09"}, "2014-10-09"),
        ({}, ""),
    ],
)
def test_partial_dates_stay_partial(parts: dict[str, Any], day: str) -> None:
    content = resource(resourceType="Condition", subject={"reference": "Patient/p1"}, **parts)
    [taken] = prepare(content, None).resources
    assert taken.day == day


def test_within_a_day_resources_are_ordered_by_their_instant() -> None:
    def at(time: str, name: str) -> dict[str, Any]:
        return {
            "resource": {
                "resourceType": "Observation",
                "id": name,
                "status": "final",
                "code": {"text": "x"},
                "subject": {"reference": "Patient/p1"},
                "effectiveDateTime": time,
            }
        }

    entries = [
        at("2026-01-02T09:00:00Z", "third"),
        at("2026-01-01T23:00:00Z", "first"),
        at("2026-01-02T09:30:00+02:00", "second"),
    ]
    bundle = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}).encode()
    assert [each.fhir_id for each in prepare(bundle, None).resources] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "DOCUMENT_EMPTY"),
        (b"\xef\xbb\xbf  \n", "DOCUMENT_EMPTY"),
        (b"[1, 2]", "NOT_FHIR"),
        (b'"text"', "NOT_FHIR"),
        (b"{", "NOT_JSON"),
        (b"\xff\xfe{}", "NOT_JSON"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "TOO_DEEP"),
        (b'{"a":' * 100_000, "TOO_DEEP"),
        (b" " * 20_000_001, "DOCUMENT_TOO_LARGE"),
        (
            b'{"resourceType":"Bundle","type":"batch","entry":' + b"[" + b"{}," * 10_000 + b"{}]}",
            "TOO_MANY_ENTRIES",
        ),
        (b'{"resourceType":"Bundle","type":"message"}', "BUNDLE_TYPE_UNKNOWN"),
        (b'"' + rb"\"" * 2_000_000, "NOT_JSON"),  # in linear time
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(DocumentRefused) as caught:
        prepare(content, None)
    assert caught.value.code == code


def test_brackets_in_texts_are_not_depth() -> None:
    assert prepare(resource(name=[{"text": '[{"' * 500}]), None).resources


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_are_finite(number: str) -> None:
    content = b'{"resourceType":"Patient","id":"p","multipleBirthInteger":' + number.encode() + b"}"
    with pytest.raises(DocumentRefused) as caught:
        prepare(content, None)
    assert caught.value.code == "NOT_JSON"


def test_a_bundle_within_a_bundle_is_left_out() -> None:
    inner = {"resource": {"resourceType": "Bundle", "type": "collection"}}
    bundle = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [inner]}).encode()
    assert prepare(bundle, None).skipped == {"Bundle": 1}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (rb'{"resourceType":"Patient","name":[{"text":"\ud800"}]}', "NOT_JSON"),
        (b'{"resourceType":"Group"}\n' + rb'{"resourceType":"Group","x":["\ud800"]}', "BAD_CHARACTER"),
        (b'{"resourceType":"Patient","x":' + b"9" * 5_000 + b"}", "NOT_JSON"),
        (b'{"resourceType":"Patient","x":1e99999999999999999999}', "NOT_JSON"),
        (b'{"resourceType":7}', "NOT_FHIR"),
        (b'{"resourceType":""}', "RESOURCE_TYPE_MISSING"),
    ],
)
def test_texts_and_numbers_that_nothing_can_hold_are_refused(text: bytes, code: str) -> None:
    try:
        codes = {problem.code for problem in prepare(text, None).problems}
    except DocumentRefused as refused:
        codes = {refused.code}
    assert codes == {code}


def test_a_whole_surrogate_pair_is_a_character() -> None:
    text = rb'{"resourceType":"Patient","id":"p","name":[{"text":"\ud83d\ude00"}]}'
    assert len(prepare(text, None).resources) == 1
