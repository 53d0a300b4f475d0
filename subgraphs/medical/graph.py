"""Medical's part of the graph, to read: the record of a person, clearance, care team, consents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import strawberry
from strawberry.types.info import Info

from authz.classes import Action, DataClass, Purpose, Role
from subgraphs.kit import (
    Connection,
    PublicError,
    PurposeOfUse,
    RowAccess,
    binding,
    classified,
    clean_text,
    connection,
    page_request,
    reads,
    resolved,
    wants_total,
)
from subgraphs.kit.absence import decide_as_if_hidden
from subgraphs.medical import model, resources
from subgraphs.medical.access import acts_as, row_access
from subgraphs.medical.entities import MedicalContext, OpenResource, ResourceList
from subgraphs.medical.model import ResourceType

CODE_CHARACTERS_MAX = 200
PATIENTS_LISTED_MAX = 500

MedicalInfo = Info[MedicalContext, None]
Node = TypeVar("Node")

strawberry.enum(model.ClearanceStatus, description="Whether somebody may train.")
strawberry.enum(model.ReviewOutcome, description="What the review of an emergency found.")
strawberry.enum(model.ConsentDecision, description="What a patient decided.")


@classified(DataClass.CLINICAL, action=Action.CLEARANCE)
@strawberry.type(description="A physician's word on whether somebody may train: all that a coach sees.")
class Clearance:
    """One clearance."""

    owner_id: strawberry.Private[str]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    status: model.ClearanceStatus | None
    restrictions: list[str] | None = strawberry.field(description="What to keep from, a sentence each.")
    valid_until: dt.datetime | None
    set_at: dt.datetime | None

    @classmethod
    def of(cls, clearance: model.Clearance) -> Clearance:
        """The GraphQL object of a clearance."""
        return cls(
            owner_id=clearance.patient_id,
            id=strawberry.ID(clearance.id),
            status=clearance.status,
            restrictions=list(clearance.restrictions),
            valid_until=clearance.valid_until_utc,
            set_at=clearance.set_at_utc,
        )


@classified(DataClass.CLINICAL)
@strawberry.type(description="Somebody who treats a person, and for how long.")
class CareTeamMember:
    """One treating relationship."""

    row_access: strawberry.Private[RowAccess]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    practitioner: User | None
    valid_from: dt.datetime | None
    valid_until: dt.datetime | None
    active: bool | None

    @classmethod
    def of(
        cls, member: model.CareTeamMember, purpose: Purpose | None, now_utc: dt.datetime
    ) -> CareTeamMember:
        """The GraphQL object of a membership."""
        return cls(
            row_access=row_access(member.patient_id, purpose),
            id=strawberry.ID(member.id),
            practitioner=User(id=strawberry.ID(member.practitioner_id)),
            valid_from=member.valid_from_utc,
            valid_until=member.valid_until_utc,
            active=member.in_force(now_utc),
        )


@classified(DataClass.CLINICAL)
@strawberry.type(description="What a person permits or denies others to see of their record.")
class Consent:
    """One consent."""

    row_access: strawberry.Private[RowAccess]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    decision: model.ConsentDecision | None
    actor: User | None = strawberry.field(description="Whom it concerns; null: everybody.")
    purpose: PurposeOfUse | None = strawberry.field(description="For what; null: any purpose.")
    data_class: DataClass | None
    labels: list[str] | None
    valid_from: dt.datetime | None
    valid_until: dt.datetime | None
    active: bool | None

    @classmethod
    def of(cls, consent: model.Consent, purpose: Purpose | None, now_utc: dt.datetime) -> Consent:
        """The GraphQL object of a consent."""
        actor_id = consent.actor_id
        return cls(
            row_access=row_access(consent.patient_id, purpose),
            id=strawberry.ID(consent.id),
            decision=consent.decision,
            actor=None if actor_id is None else User(id=strawberry.ID(actor_id)),
            purpose=None if consent.purpose is None else PurposeOfUse(consent.purpose),
            data_class=consent.data_class,
            labels=sorted(consent.labels),
            valid_from=consent.valid_from_utc,
            valid_until=consent.valid_until_utc,
            active=not consent.ended(now_utc),
        )


@classified(DataClass.AUDIT)
@strawberry.type(description="How an emergency is judged by somebody who had no part in it.")
class BreakGlassReview:
    """Open until it is closed."""

    open: bool | None
    due_at: dt.datetime | None = strawberry.field(description="Until when it is to be closed.")
    overdue: bool | None
    outcome: model.ReviewOutcome | None
    note: str | None
    reviewed_by: User | None
    reviewed_at: dt.datetime | None

    @classmethod
    def of(cls, grant: model.BreakGlassGrant, now_utc: dt.datetime) -> BreakGlassReview:
        """The GraphQL object of a grant's review."""
        review = grant.review
        return cls(
            open=review is None,
            due_at=grant.review_due_at_utc,
            overdue=review is None and grant.review_due_at_utc <= now_utc,
            outcome=None if review is None else review.outcome,
            note=None if review is None else review.note,
            reviewed_by=None if review is None else User(id=strawberry.ID(review.reviewed_by)),
            reviewed_at=None if review is None else review.reviewed_at_utc,
        )


@classified(DataClass.AUDIT)
@strawberry.federation.type(keys=["id"], description="Somebody opened a record in an emergency.")
class BreakGlassGrant:
    """For the patient, for who opened it, and for who reviews it."""

    id: strawberry.ID
    row_access: strawberry.Private[RowAccess]
    patient: User | None
    clinician: User | None
    second_clinician: User | None = strawberry.field(description="Who confirmed it; opens the restricted.")
    reason: str | None
    opened_at: dt.datetime | None
    valid_until: dt.datetime | None = strawberry.field(description="It ends by itself.")
    active: bool | None
    seen_by_patient_at: dt.datetime | None
    review: BreakGlassReview | None

    @classmethod
    def of(cls, grant: model.BreakGlassGrant, context: MedicalContext) -> BreakGlassGrant:
        """The GraphQL object of a grant: the act of the viewer, where the viewer is one of the clinicians."""
        now_utc, second, viewer = context.now(), grant.second_clinician_id, context.subject.id
        return cls(
            id=strawberry.ID(grant.id),
            row_access=RowAccess(
                owner_id=grant.patient_id,
                created_by=second if viewer is not None and viewer == second else grant.clinician_id,
            ),
            patient=User(id=strawberry.ID(grant.patient_id)),
            clinician=User(id=strawberry.ID(grant.clinician_id)),
            second_clinician=None if second is None else User(id=strawberry.ID(second)),
            reason=grant.reason,
            opened_at=grant.opened_at_utc,
            valid_until=grant.valid_until_utc,
            active=grant.in_force(now_utc),
            seen_by_patient_at=grant.seen_by_patient_at_utc,
            review=BreakGlassReview.of(grant, now_utc),
        )

    @classmethod
    async def resolve_reference(cls, info: MedicalInfo, id: str) -> BreakGlassGrant | None:
        """One grant; a hidden one is as absent as a missing one."""
        found = await info.context.grants.load(id)
        if found is None:
            await decide_as_if_hidden(info.context, id, DataClass.AUDIT)
            return None
        grant = cls.of(found, info.context)
        answer = await info.context.decision(grant.row_access, DataClass.AUDIT)
        return grant if answer.allowed else None


@classified(DataClass.CLINICAL)
@strawberry.type(description="The clinical record of a person, read for one purpose.")
class MedicalRecord:
    """Lists hold what the caller may read, newest first; restricted resources need explicit consent."""

    row_access: strawberry.Private[RowAccess]

    @resolved()
    async def patient(self, info: MedicalInfo) -> resources.Patient | None:
        """The person as hospitals know them; of several, the one imported last."""
        request = page_request(info.context.signer, bound_to="", first=1)
        rows, _ = await info.context.page(self._list(ResourceType.PATIENT), request)
        return resources.patient(rows[0]) if rows else None

    @resolved()
    async def observations(
        self,
        info: MedicalInfo,
        code: Annotated[str | None, strawberry.argument(metadata=reads("Observation.code"))] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[resources.Observation] | None:
        """Measurements and findings; `code` is a LOINC code such as `8867-4`, or `system|code`."""
        wanted = self._list(ResourceType.OBSERVATION, code)
        return await _page(info, wanted, "observations", resources.observation, first=first, after=after)

    @resolved()
    async def conditions(
        self,
        info: MedicalInfo,
        code: Annotated[str | None, strawberry.argument(metadata=reads("Condition.code"))] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[resources.Condition] | None:
        """Diagnoses and problems."""
        wanted = self._list(ResourceType.CONDITION, code)
        return await _page(info, wanted, "conditions", resources.condition, first=first, after=after)

    @resolved()
    async def allergies(
        self, info: MedicalInfo, first: int | None = None, after: str | None = None
    ) -> Connection[resources.AllergyIntolerance] | None:
        """Allergies and intolerances."""
        wanted = self._list(ResourceType.ALLERGY_INTOLERANCE)
        return await _page(info, wanted, "allergies", resources.allergy_intolerance, first=first, after=after)

    @resolved()
    async def medications(
        self, info: MedicalInfo, first: int | None = None, after: str | None = None
    ) -> Connection[resources.MedicationStatement] | None:
        """Medicines that the person takes or took."""
        wanted = self._list(ResourceType.MEDICATION_STATEMENT)
        return await _page(
            info, wanted, "medications", resources.medication_statement, first=first, after=after
        )

    @resolved()
    async def reports(
        self, info: MedicalInfo, first: int | None = None, after: str | None = None
    ) -> Connection[resources.DiagnosticReport] | None:
        """Reports of laboratories and examinations."""
        wanted = self._list(ResourceType.DIAGNOSTIC_REPORT)
        return await _page(info, wanted, "reports", resources.diagnostic_report, first=first, after=after)

    def _list(self, resource_type: ResourceType, code: str | None = None) -> ResourceList:
        owner_id = self.row_access.owner_id
        if owner_id is None:
            raise ValueError("a record belongs to somebody")
        if code is not None:
            code = clean_text(code, "code", characters_max=CODE_CHARACTERS_MAX)
        return ResourceList(owner_id, resource_type, self.row_access.purpose, code)


@classified(DataClass.CLINICAL)
@strawberry.federation.type(keys=["id"], description="Somebody with an account.")
class User:
    """Owned by accounts; here are the fields that medical adds."""

    id: strawberry.ID

    def owner_id(self) -> str:
        """Everybody owns their own record."""
        return str(self.id)

    @resolved()
    async def medical_record(self, info: MedicalInfo, purpose: PurposeOfUse) -> MedicalRecord | None:
        """The clinical record, read for a stated purpose."""
        return MedicalRecord(row_access=row_access(str(self.id), purpose.value))

    @resolved(classified(DataClass.CLINICAL, action=Action.CLEARANCE))
    async def clearance(self, info: MedicalInfo) -> Clearance | None:
        """The clearance in force; null where there is none or it has expired."""
        found = await info.context.clearances.load(str(self.id))
        if found is None or not found.in_force(info.context.now()):
            return None
        return Clearance.of(found)

    @resolved()
    async def care_team(
        self, info: MedicalInfo, purpose: PurposeOfUse | None = None
    ) -> list[CareTeamMember] | None:
        """Who treats, treated or will treat this person, the latest first."""
        found = await info.context.care_teams.load(str(self.id)) or []
        stated = None if purpose is None else purpose.value
        return [CareTeamMember.of(each, stated, info.context.now()) for each in found]

    @resolved()
    async def consents(self, info: MedicalInfo, purpose: PurposeOfUse | None = None) -> list[Consent] | None:
        """What this person permits and denies, ended consents too, the latest first."""
        found = await info.context.consents.load(str(self.id)) or []
        stated = None if purpose is None else purpose.value
        return [Consent.of(each, stated, info.context.now()) for each in found]

    @classmethod
    def resolve_reference(cls, info: MedicalInfo, id: str) -> User:
        """Anybody may have a record; the fields are guarded."""
        return cls(id=strawberry.ID(id))


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    """Questions that medical answers."""

    @resolved(authenticated=True)
    async def patients_in_my_care(self, info: MedicalInfo) -> list[User] | None:
        """Whom the caller treats now, at most 500."""
        caller_id = info.context.caller_id
        if not acts_as(info.context.subject, Role.MEDICAL_SPECIALIST):
            return []
        patients = await info.context.care.patients_of(
            caller_id, now_utc=info.context.now(), limit=PATIENTS_LISTED_MAX
        )
        return [User(id=strawberry.ID(patient_id)) for patient_id in patients]


async def _page(
    info: MedicalInfo,
    wanted: ResourceList,
    name: str,
    node: Callable[[OpenResource], Any],
    *,
    first: int | None,
    after: str | None,
) -> Connection[Any]:
    context = info.context
    filters = {"of": wanted.patient_id, "purpose": wanted.purpose, "code": wanted.code}
    bound_to = binding(context.subject.id, f"MedicalRecord.{name}", filters)
    request = page_request(context.signer, bound_to=bound_to, first=first, after=after)
    if request.after is not None and len(request.after) != 2:
        raise PublicError("BAD_CURSOR", "the cursor is not one of this list; start again without it")
    rows, count = await context.page(wanted, request, counted=wants_total(info))
    return connection(
        rows,
        request,
        context.signer,
        bound_to=bound_to,
        sort_key=lambda row: (row.day, row.id),
        node=node,
        total_count=count,
    )
