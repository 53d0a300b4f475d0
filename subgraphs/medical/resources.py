"""FHIR resources as GraphQL types: what people ask for, and `resourceJson` with every byte as it came.

Dates and times are texts as FHIR writes them, since `2012-05` is a date there; decimals are texts too, since
70.50 is not 70.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import strawberry

from authz.classes import DataClass
from subgraphs.kit import RowAccess, classified
from subgraphs.medical.entities import OpenResource

_PUBLIC = [classified(DataClass.PUBLIC)]


@classified(DataClass.CLINICAL)
@strawberry.type(description="A code of a terminology such as LOINC or SNOMED CT.")
class Coding:
    """FHIR Coding."""

    system: str | None
    code: str | None
    display: str | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="A concept, in codes and in words.")
class CodeableConcept:
    """FHIR CodeableConcept."""

    text: str | None = strawberry.field(description="Its words; where there are none, a code's display.")
    codings: list[Coding] | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="A measured amount.")
class Quantity:
    """FHIR Quantity."""

    value: str | None = strawberry.field(description="The decimal with its precision, as text.")
    comparator: str | None
    unit: str | None
    system: str | None
    code: str | None = strawberry.field(description="The unit's code, mostly UCUM.")


@classified(DataClass.CLINICAL)
@strawberry.type(description="One part of an observation, such as the systolic pressure.")
class ObservationComponent:
    """FHIR Observation.component."""

    code: CodeableConcept | None
    quantity: Quantity | None
    value_text: str | None = strawberry.field(description="A value that is no quantity, in words.")


@classified(DataClass.CLINICAL)
@strawberry.type(description="What an allergy did.")
class AllergyReaction:
    """FHIR AllergyIntolerance.reaction."""

    manifestations: list[CodeableConcept] | None
    severity: str | None
    description: str | None


@classified(DataClass.CLINICAL)
@strawberry.interface(description="What every resource of a record has.")
class ClinicalResource:
    """The common part; each resource is guarded by its own labels."""

    id: strawberry.ID = strawberry.field(directives=_PUBLIC)
    row_access: strawberry.Private[RowAccess]
    fhir_id: str | None
    version: int | None = strawberry.field(description="Counts up when other content comes; none is lost.")
    text: str | None = strawberry.field(description="What it is about, in words.")
    resource_json: str | None = strawberry.field(description="The resource with every byte as it came.")


@classified(DataClass.CLINICAL)
@strawberry.type(description="The person as a hospital knows them.")
class Patient(ClinicalResource):
    """FHIR Patient."""

    gender: str | None
    birth_date: str | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="A measurement or finding.")
class Observation(ClinicalResource):
    """FHIR Observation."""

    status: str | None
    code: CodeableConcept | None
    categories: list[CodeableConcept] | None
    effective: str | None
    issued: str | None
    quantity: Quantity | None
    value_text: str | None = strawberry.field(description="A value that is no quantity, in words.")
    interpretations: list[CodeableConcept] | None
    components: list[ObservationComponent] | None
    notes: list[str] | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="A diagnosis or problem.")
class Condition(ClinicalResource):
    """FHIR Condition."""

    code: CodeableConcept | None
    clinical_status: str | None
    verification_status: str | None
    severity: CodeableConcept | None
    onset: str | None
    abatement: str | None
    recorded_date: str | None
    notes: list[str] | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="An allergy or intolerance.")
class AllergyIntolerance(ClinicalResource):
    """FHIR AllergyIntolerance."""

    code: CodeableConcept | None
    clinical_status: str | None
    verification_status: str | None
    categories: list[str] | None
    criticality: str | None
    onset: str | None
    reactions: list[AllergyReaction] | None
    notes: list[str] | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="A medicine that somebody takes or took.")
class MedicationStatement(ClinicalResource):
    """FHIR MedicationStatement."""

    status: str | None
    medication: CodeableConcept | None
    effective: str | None
    dosages: list[str] | None
    reasons: list[CodeableConcept] | None
    notes: list[str] | None


@classified(DataClass.CLINICAL)
@strawberry.type(description="The findings of a laboratory or examination, with what belongs to them.")
class DiagnosticReport(ClinicalResource):
    """FHIR DiagnosticReport."""

    status: str | None
    code: CodeableConcept | None
    categories: list[CodeableConcept] | None
    effective: str | None
    issued: str | None
    conclusion: str | None
    results: list[str] | None = strawberry.field(description="References to its observations.")


def patient(row: OpenResource) -> Patient:
    """The GraphQL object of a stored Patient."""
    r = row.resource
    name = next(iter(_objects(r.get("name"))), {})
    spoken = name.get("text") or " ".join([*_texts(name.get("given")), *_texts([name.get("family")])])
    return Patient(
        **_common(row), text=spoken or None, gender=_text(r, "gender"), birth_date=_text(r, "birthDate")
    )


def observation(row: OpenResource) -> Observation:
    """The GraphQL object of a stored Observation."""
    r = row.resource
    return Observation(
        **_common(row),
        **_coded(r),
        status=_text(r, "status"),
        categories=_concepts(r.get("category")),
        effective=_moment(r, "effective"),
        issued=_text(r, "issued"),
        quantity=_quantity(r.get("valueQuantity")),
        value_text=_value_text(r),
        interpretations=_concepts(r.get("interpretation")),
        components=[_component(part) for part in _objects(r.get("component"))],
        notes=_notes(r),
    )


def condition(row: OpenResource) -> Condition:
    """The GraphQL object of a stored Condition."""
    r = row.resource
    return Condition(
        **_common(row),
        **_coded(r),
        clinical_status=_status(r, "clinicalStatus"),
        verification_status=_status(r, "verificationStatus"),
        severity=_concept(r.get("severity")),
        onset=_moment(r, "onset"),
        abatement=_moment(r, "abatement"),
        recorded_date=_text(r, "recordedDate"),
        notes=_notes(r),
    )


def allergy_intolerance(row: OpenResource) -> AllergyIntolerance:
    """The GraphQL object of a stored AllergyIntolerance."""
    r = row.resource
    return AllergyIntolerance(
        **_common(row),
        **_coded(r),
        clinical_status=_status(r, "clinicalStatus"),
        verification_status=_status(r, "verificationStatus"),
        categories=_texts(r.get("category")),
        criticality=_text(r, "criticality"),
        onset=_moment(r, "onset"),
        reactions=[_reaction(each) for each in _objects(r.get("reaction"))],
        notes=_notes(r),
    )


def medication_statement(row: OpenResource) -> MedicationStatement:
    """The GraphQL object of a stored MedicationStatement; a contained Medication counts as its own."""
    r = row.resource
    medication = _concept(r.get("medicationCodeableConcept")) or _concept(_contained_code(r))
    reference = r.get("medicationReference")
    named = _text(reference, "display") if isinstance(reference, Mapping) else None
    return MedicationStatement(
        **_common(row),
        text=medication.text if medication is not None and medication.text else named,
        status=_text(r, "status"),
        medication=medication,
        effective=_moment(r, "effective"),
        dosages=_texts([each.get("text") for each in _objects(r.get("dosage"))]),
        reasons=_concepts(r.get("reasonCode")),
        notes=_notes(r),
    )


def diagnostic_report(row: OpenResource) -> DiagnosticReport:
    """The GraphQL object of a stored DiagnosticReport."""
    r = row.resource
    return DiagnosticReport(
        **_common(row),
        **_coded(r),
        status=_text(r, "status"),
        categories=_concepts(r.get("category")),
        effective=_moment(r, "effective"),
        issued=_text(r, "issued"),
        conclusion=_text(r, "conclusion"),
        results=_texts([each.get("reference") for each in _objects(r.get("result"))]),
    )


def _common(row: OpenResource) -> dict[str, Any]:
    return {
        "id": strawberry.ID(row.id),
        "row_access": row.access,
        "fhir_id": row.fhir_id,
        "version": row.version,
        "resource_json": row.source,
    }


def _coded(resource: Mapping[str, Any]) -> dict[str, Any]:
    concept = _concept(resource.get("code"))
    return {"code": concept, "text": None if concept is None else concept.text}


def _component(part: Mapping[str, Any]) -> ObservationComponent:
    return ObservationComponent(
        code=_concept(part.get("code")),
        quantity=_quantity(part.get("valueQuantity")),
        value_text=_value_text(part),
    )


def _reaction(each: Mapping[str, Any]) -> AllergyReaction:
    return AllergyReaction(
        manifestations=_concepts(each.get("manifestation")),
        severity=_text(each, "severity"),
        description=_text(each, "description"),
    )


def _contained_code(resource: Mapping[str, Any]) -> Any:
    for each in _objects(resource.get("contained")):
        if each.get("resourceType") == "Medication":
            return each.get("code")
    return None


def _concept(value: Any) -> CodeableConcept | None:
    if not isinstance(value, Mapping):
        return None
    codings = [
        Coding(system=_text(c, "system"), code=_text(c, "code"), display=_text(c, "display"))
        for c in _objects(value.get("coding"))
    ]
    shown = next((coding.display for coding in codings if coding.display), None)
    return CodeableConcept(text=_text(value, "text") or shown, codings=codings)


def _concepts(value: Any) -> list[CodeableConcept]:
    return [concept for each in _objects(value) if (concept := _concept(each)) is not None]


def _quantity(value: Any) -> Quantity | None:
    if not isinstance(value, Mapping):
        return None
    return Quantity(
        value=_number(value.get("value")),
        comparator=_text(value, "comparator"),
        unit=_text(value, "unit"),
        system=_text(value, "system"),
        code=_text(value, "code"),
    )


def _number(value: Any) -> str | None:
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _value_text(resource: Mapping[str, Any]) -> str | None:
    """A value that is no quantity: a concept's words, a text, a time, yes or no, a whole number."""
    concept = _concept(resource.get("valueCodeableConcept"))
    if concept is not None:
        return concept.text
    for name in ("valueString", "valueDateTime", "valueTime"):
        if isinstance(resource.get(name), str):
            return str(resource[name])
    if isinstance(resource.get("valueBoolean"), bool):
        return "true" if resource["valueBoolean"] else "false"
    if "valueInteger" in resource:
        return _number(resource["valueInteger"])
    absent = _concept(resource.get("dataAbsentReason"))
    return None if absent is None else absent.text


def _status(resource: Mapping[str, Any], name: str) -> str | None:
    concept = _concept(resource.get(name))
    codes = [coding.code for coding in (concept.codings or [] if concept else []) if coding.code]
    return codes[0] if codes else None


def _moment(resource: Mapping[str, Any], name: str) -> str | None:
    """`onsetDateTime`, `onsetPeriod` as `start/end`, `onsetString` and the like."""
    for kind in ("DateTime", "Instant", "String"):
        if isinstance(resource.get(name + kind), str):
            return str(resource[name + kind])
    period = resource.get(name + "Period")
    if isinstance(period, Mapping):
        return f"{period.get('start', '')}/{period.get('end', '')}"
    age = _quantity(resource.get(name + "Age"))
    return None if age is None else f"{age.value} {age.unit or age.code or ''}".strip()


def _notes(resource: Mapping[str, Any]) -> list[str]:
    return _texts([each.get("text") for each in _objects(resource.get("note"))])


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) else None


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
