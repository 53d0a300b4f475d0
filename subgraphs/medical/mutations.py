"""Medical's part of the graph, to change: imports, clearance, care team, consents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated

import strawberry

from authz.classes import Action, DataClass, Role
from subgraphs.kit import (
    PublicError,
    PurposeOfUse,
    RowAccess,
    Upload,
    UploadedFile,
    UserError,
    classified,
    clean_text,
    not_found,
    resolved,
    ruled,
    sets,
)
from subgraphs.medical import model
from subgraphs.medical.access import FORBIDDEN_MESSAGE, acts_as, may, require, row_access
from subgraphs.medical.care import NewConsent
from subgraphs.medical.fhir.documents import DOCUMENT_BYTES_MAX
from subgraphs.medical.fhir.problems import DocumentRefused, EntryProblem
from subgraphs.medical.graph import CareTeamMember, Clearance, Consent, MedicalInfo, User
from subgraphs.medical.importing import ImportReport
from subgraphs.medical.model import RESTRICTION_CHARACTERS_MAX, RuleBroken

ADDING = strawberry.argument(metadata=sets(DataClass.CLINICAL, Action.ADD, owner="userId", purpose="purpose"))
WRITING = strawberry.argument(
    metadata=sets(DataClass.CLINICAL, Action.WRITE, owner="userId", purpose="purpose")
)
OWN_CONSENT = strawberry.argument(metadata=sets(DataClass.CLINICAL, Action.ANNOTATE))
OF_BOTH_IN_CARE = strawberry.argument(
    metadata=ruled(by="the patient and the practitioner of the relationship")
)
OF_THE_PATIENT = strawberry.argument(metadata=ruled(by="the patient of the consent"))
PROBLEMS_SHOWN_MAX = 200
REFERENCE_CHARACTERS_MAX = 300
_READ_BYTES = 256 * 1024


@strawberry.input
class ImportBundleInput:
    """A FHIR R4 document for somebody's record: a file of the request, or its text."""

    user_id: strawberry.ID
    purpose: PurposeOfUse
    file: Upload | None = strawberry.field(default=None, description="A Bundle, a resource, or NDJSON.")
    json: str | None = strawberry.field(default=None, description="The same as text.")
    patient_reference: str | None = strawberry.field(
        default=None, description="Which of several patients of the document, such as `Patient/123`."
    )


@strawberry.input
class SetClearanceInput:
    """A physician's word on whether somebody may train."""

    user_id: strawberry.ID
    status: model.ClearanceStatus
    restrictions: list[str] = strawberry.field(default_factory=list)
    valid_until: dt.datetime | None = None
    purpose: PurposeOfUse = PurposeOfUse.TREAT


@strawberry.input
class AddToCareTeamInput:
    """Who treats somebody, and for how long."""

    user_id: strawberry.ID
    practitioner_id: strawberry.ID
    valid_from: dt.datetime | None = strawberry.field(default=None, description="From now on if not given.")
    valid_until: dt.datetime | None = None
    purpose: PurposeOfUse = PurposeOfUse.TREAT


@strawberry.input
class GrantConsentInput:
    """What the caller permits or denies others to see of the caller's record."""

    decision: model.ConsentDecision
    data_class: DataClass
    actor_id: strawberry.ID | None = strawberry.field(default=None, description="Null: everybody.")
    purpose: PurposeOfUse | None = strawberry.field(default=None, description="Null: any purpose.")
    labels: list[str] = strawberry.field(default_factory=list)
    valid_until: dt.datetime | None = None


@classified(DataClass.CLINICAL, action=Action.ADD)
@strawberry.type(description="How many of one resource type.")
class TypeCount:
    """A count by FHIR type."""

    resource_type: str | None
    count: int | None


@classified(DataClass.CLINICAL, action=Action.ADD)
@strawberry.type(description="An entry that was not imported, or a doubt about one.")
class ImportProblem:
    """What was wrong with an entry, without its values."""

    entry: int | None = strawberry.field(description="Its place in the bundle or file, from 0.")
    code: str | None
    message: str | None
    resource_type: str | None
    fhir_id: str | None
    element: str | None = strawberry.field(description="A FHIR path.")


@classified(DataClass.CLINICAL, action=Action.ADD)
@strawberry.type(description="What became of an imported document.")
class ImportResult:
    """Counts of resources, and at most 200 errors and 200 warnings."""

    row_access: strawberry.Private[RowAccess]
    added: int | None
    updated: int | None
    unchanged: int | None
    by_type: list[TypeCount] | None
    skipped: list[TypeCount] | None = strawberry.field(description="Types that a record does not hold.")
    errors: list[ImportProblem] | None
    warnings: list[ImportProblem] | None
    error_count: int | None
    warning_count: int | None


# What payloads lead to guards itself; the lists of errors are about the caller's own input.


@classified(DataClass.PUBLIC)
@strawberry.type
class ImportBundlePayload:
    """What became of the document, or why all of it was refused."""

    result: ImportResult | None = None
    user: User | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class ClearancePayload:
    """The clearance in force now, or what was wrong."""

    clearance: Clearance | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class CareTeamPayload:
    """The relationship as it stands now, or what was wrong."""

    member: CareTeamMember | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class ConsentPayload:
    """The consent as it stands now, or what was wrong."""

    consent: Consent | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    """What can be done to records."""

    @resolved(authenticated=True)
    async def import_bundle(
        self, info: MedicalInfo, input: Annotated[ImportBundleInput, ADDING]
    ) -> ImportBundlePayload | None:
        """Take a FHIR R4 document into somebody's record; again changes nothing."""
        context, patient_id, purpose = info.context, str(input.user_id), input.purpose.value
        await require(context.decisions, patient_id, Action.ADD, purpose=purpose)
        try:
            report = await context.importer.run(
                await _content(input),
                patient_id=patient_id,
                imported_by=context.caller_id,
                at_utc=context.now(),
                patient_reference=_reference(input.patient_reference),
                may_amend=await may(context.decisions, patient_id, Action.WRITE, purpose=purpose),
            )
        except DocumentRefused as refused:
            return ImportBundlePayload(user_errors=[UserError(code=refused.code, message=refused.message)])
        return ImportBundlePayload(
            result=_result(report, row_access(patient_id, purpose)), user=User(id=input.user_id)
        )

    @resolved(authenticated=True)
    async def set_clearance(
        self, info: MedicalInfo, input: Annotated[SetClearanceInput, WRITING]
    ) -> ClearancePayload | None:
        """Say whether somebody may train; the earlier clearance stays in the history."""
        context, patient_id = info.context, str(input.user_id)
        await require(context.decisions, patient_id, Action.WRITE, purpose=input.purpose.value)
        restrictions = [
            clean_text(each, "restrictions", characters_max=RESTRICTION_CHARACTERS_MAX)
            for each in input.restrictions[: model.RESTRICTIONS_MAX + 1]
        ]
        try:
            clearance = await context.care.set_clearance(
                patient_id,
                status=input.status,
                restrictions=restrictions,
                valid_until_utc=input.valid_until,
                set_by=context.caller_id,
                now_utc=context.now(),
            )
        except RuleBroken as broken:
            return ClearancePayload(user_errors=_told(broken))
        return ClearancePayload(clearance=Clearance.of(clearance))

    @resolved(authenticated=True)
    async def add_to_care_team(
        self, info: MedicalInfo, input: Annotated[AddToCareTeamInput, ADDING]
    ) -> CareTeamPayload | None:
        """Let a practitioner treat somebody: the person themselves, or one who treats them, may say so."""
        context, patient_id = info.context, str(input.user_id)
        await require(context.decisions, patient_id, Action.ADD, purpose=input.purpose.value)
        now = context.now()
        try:
            member = await context.care.add_to_care_team(
                patient_id,
                _user_id(input.practitioner_id),
                valid_from_utc=input.valid_from or now,
                valid_until_utc=input.valid_until,
                added_by=context.caller_id,
                now_utc=now,
            )
        except RuleBroken as broken:
            return CareTeamPayload(user_errors=_told(broken))
        return CareTeamPayload(member=CareTeamMember.of(member, input.purpose.value, now))

    @resolved(authenticated=True)
    async def end_care(
        self, info: MedicalInfo, id: Annotated[strawberry.ID, OF_BOTH_IN_CARE]
    ) -> CareTeamPayload | None:
        """End a treating relationship now: either of the two may."""
        context, now = info.context, info.context.now()
        caller_id = context.caller_id
        member = await context.care.membership(str(id))
        if member is None:
            raise not_found()
        if member.patient_id == caller_id:
            await require(context.decisions, caller_id, Action.ANNOTATE, purpose=None)
        elif member.practitioner_id != caller_id or not acts_as(context.subject, Role.MEDICAL_SPECIALIST):
            raise not_found()
        ended = await context.care.end_care(member.id, now_utc=now) or member
        return CareTeamPayload(member=CareTeamMember.of(ended, None, now))

    @resolved(authenticated=True)
    async def grant_consent(
        self, info: MedicalInfo, input: Annotated[GrantConsentInput, OWN_CONSENT]
    ) -> ConsentPayload | None:
        """Permit or deny others to see the caller's record, from now on."""
        context, now = info.context, info.context.now()
        patient_id = await _own_record(info)
        new = NewConsent(
            patient_id=patient_id,
            decision=input.decision,
            data_class=input.data_class,
            actor_id=None if input.actor_id is None else _user_id(input.actor_id),
            purpose=None if input.purpose is None else input.purpose.value,
            labels=frozenset(input.labels[: model.LABELS_MAX + 1]),
            valid_until_utc=input.valid_until,
        )
        try:
            consent = await context.care.grant_consent(new, now_utc=now)
        except RuleBroken as broken:
            return ConsentPayload(user_errors=_told(broken))
        return ConsentPayload(consent=Consent.of(consent, None, now))

    @resolved(authenticated=True)
    async def revoke_consent(
        self, info: MedicalInfo, id: Annotated[strawberry.ID, OF_THE_PATIENT]
    ) -> ConsentPayload | None:
        """End one of the caller's consents now."""
        context, now = info.context, info.context.now()
        patient_id = await _own_record(info)
        consent = await context.care.consent(str(id))
        if consent is None or consent.patient_id != patient_id:
            raise not_found()
        ended = await context.care.revoke_consent(consent, now_utc=now)
        return ConsentPayload(consent=Consent.of(ended, None, now))


async def _own_record(info: MedicalInfo) -> str:
    """The caller, as a patient. Consent is given by nobody else, and by no program that acts for them.

    Errors: PublicError FORBIDDEN.
    """
    patient_id = info.context.caller_id
    await require(info.context.decisions, patient_id, Action.ANNOTATE, purpose=None)
    return patient_id


async def _content(input: ImportBundleInput) -> bytes:
    """The document.  Errors: PublicError BAD_INPUT; DocumentRefused past 20 MB."""
    given: object = input.file
    if (given is None) == (input.json is None):
        raise PublicError("BAD_INPUT", "give the document as `file` or as `json`, one of the two")
    if input.json is not None:
        return input.json.encode("utf-8", "surrogatepass")
    if not isinstance(given, UploadedFile):
        raise PublicError("BAD_INPUT", "`file` is a file of a multipart request")
    parts: list[bytes] = []
    size = 0
    while part := await given.read(_READ_BYTES):
        parts.append(part)
        size += len(part)
        if size > DOCUMENT_BYTES_MAX:
            raise DocumentRefused(
                "DOCUMENT_TOO_LARGE", f"the document is over {DOCUMENT_BYTES_MAX} bytes: split it"
            )
    return b"".join(parts)


def _reference(given: str | None) -> str | None:
    if given is None:
        return None
    return clean_text(given, "patientReference", characters_max=REFERENCE_CHARACTERS_MAX)


def _user_id(given: strawberry.ID) -> str:
    """Errors: PublicError FORBIDDEN for what cannot be the id of anybody."""
    if not 0 < len(given) <= 100:
        raise PublicError("FORBIDDEN", FORBIDDEN_MESSAGE)
    return str(given)


def _result(report: ImportReport, access: RowAccess) -> ImportResult:
    return ImportResult(
        row_access=access,
        added=report.added,
        updated=report.updated,
        unchanged=report.unchanged,
        by_type=_counts(report.by_type),
        skipped=_counts(report.skipped),
        errors=[_problem(each) for each in report.errors[:PROBLEMS_SHOWN_MAX]],
        warnings=[_problem(each) for each in report.warnings[:PROBLEMS_SHOWN_MAX]],
        error_count=len(report.errors),
        warning_count=len(report.warnings),
    )


def _counts(by_type: Mapping[str, int]) -> list[TypeCount]:
    return [TypeCount(resource_type=name, count=count) for name, count in sorted(by_type.items())]


def _problem(each: EntryProblem) -> ImportProblem:
    return ImportProblem(
        entry=each.entry,
        code=each.code,
        message=each.message,
        resource_type=each.resource_type,
        fhir_id=each.fhir_id,
        element=each.element,
    )


def _told(broken: RuleBroken) -> list[UserError]:
    return [UserError(code=broken.code, message=broken.message)]
