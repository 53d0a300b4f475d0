"""Medical's part of the graph for emergencies: break the glass, tell the patient, close the review."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Protocol, cast

import strawberry
from sqlalchemy import ColumnElement, or_
from strawberry.federation.schema_directives import Authenticated

from authz.classes import Action, DataClass, Purpose
from authz.question import Question
from authz.rows import OwnerFilter
from datastores.events.port import LiveEvents
from subgraphs.kit import (
    Connection,
    PublicError,
    UserError,
    binding,
    classified,
    clean_text,
    connection,
    not_found,
    page_request,
    resolved,
    ruled,
    sets,
)
from subgraphs.kit.absence import decide_as_if_hidden
from subgraphs.medical import model, mutations, preview
from subgraphs.medical.access import FORBIDDEN_MESSAGE
from subgraphs.medical.events import BREAK_GLASS_USED
from subgraphs.medical.graph import BreakGlassGrant, MedicalInfo
from subgraphs.medical.model import BREAK_GLASS_MINUTES_MAX, REASON_CHARACTERS_MAX, RuleBroken
from subgraphs.medical.tables import break_glass

OPENING = strawberry.argument(
    metadata=sets(DataClass.AUDIT, Action.BREAK_GLASS, owner="userId", purpose=Purpose.EMERGENCY_TREATMENT)
)
JOINING = strawberry.argument(metadata=ruled(by="AUDIT break_glass of the patient, as another clinician"))
OF_WHO_OPENED = strawberry.argument(metadata=ruled(by="the clinician who opened the record"))
OF_THE_PATIENT = strawberry.argument(metadata=ruled(by="the patient whose record was opened"))
REVIEWING = strawberry.argument(metadata=ruled(by="AUDIT review of the patient, by who had no part in it"))
OF_VISIBLE_GRANTS = strawberry.argument(metadata=ruled(by="AUDIT read of every grant that it chooses from"))
NOTE_CHARACTERS_MAX = 2_000


def _stream(description: str) -> Callable[[Callable[..., Any]], Any]:
    """A stream for callers who have logged in."""
    made = strawberry.subscription(description=description, directives=[Authenticated()])
    return cast(Callable[[Callable[..., Any]], Any], made)


@strawberry.input
class BreakGlassInput:
    """Whose record has to be opened, why, and for how long."""

    user_id: strawberry.ID
    reason: str = strawberry.field(description="In 20 to 1000 characters; the patient reads it.")
    minutes: int = strawberry.field(default=BREAK_GLASS_MINUTES_MAX, description="1 to 60.")


@strawberry.input
class CloseBreakGlassReviewInput:
    """How an emergency is judged."""

    id: strawberry.ID
    outcome: model.ReviewOutcome
    note: str


@classified(DataClass.PUBLIC)
@strawberry.type
class BreakGlassPayload:
    """The grant as it stands now, or what was wrong."""

    grant: BreakGlassGrant | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class Query(preview.Query):
    """Questions that medical answers, with those about emergencies."""

    @resolved(authenticated=True)
    async def break_glass_grants(
        self,
        info: MedicalInfo,
        review_open: Annotated[bool | None, OF_VISIBLE_GRANTS] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[BreakGlassGrant] | None:
        """Emergencies that concern the caller: a patient's own, a clinician's own, all for who reviews."""
        bound_to = binding(info.context.subject.id, "Query.breakGlassGrants", {"reviewOpen": review_open})
        return await _page(info, await _visible(info, review_open), bound_to, first=first, after=after)


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation(mutations.Mutation):
    """What can be done to records, also in an emergency."""

    @resolved(authenticated=True)
    async def break_glass(
        self, info: MedicalInfo, input: Annotated[BreakGlassInput, OPENING]
    ) -> BreakGlassPayload | None:
        """Open somebody's record for an hour at most; the patient is told, and it will be reviewed."""
        context, patient_id = info.context, str(input.user_id)
        await _require(info, patient_id, Action.BREAK_GLASS)
        reason = clean_text(input.reason, "reason", characters_max=REASON_CHARACTERS_MAX)
        try:
            grant = await context.emergencies.open(
                patient_id,
                context.caller_id,
                reason=reason,
                minutes=input.minutes,
                now_utc=context.now(),
            )
        except RuleBroken as broken:
            return _refused(broken)
        return _payload(info, grant)

    @resolved(authenticated=True)
    async def confirm_break_glass(
        self, info: MedicalInfo, id: Annotated[strawberry.ID, JOINING]
    ) -> BreakGlassPayload | None:
        """Stand by a colleague's emergency as second clinician: what is restricted opens to them too."""
        context, grant = info.context, await _decided_grant(info, id, Action.BREAK_GLASS)
        try:
            confirmed = await context.emergencies.confirm(grant, context.caller_id, now_utc=context.now())
        except RuleBroken as broken:
            return _refused(broken)
        return _payload(info, confirmed)

    @resolved(authenticated=True)
    async def end_break_glass(
        self, info: MedicalInfo, id: Annotated[strawberry.ID, OF_WHO_OPENED]
    ) -> BreakGlassPayload | None:
        """Shut the record again before its time; who opened it may."""
        context, grant = info.context, await _grant(info, id)
        if grant.clinician_id != context.caller_id:
            raise not_found()
        context.trail.acts_on(grant.patient_id, data_class=DataClass.AUDIT, rule="own-act")
        try:
            ended = await context.emergencies.end(grant, now_utc=context.now())
        except RuleBroken as broken:
            return _refused(broken)
        return _payload(info, ended)

    @resolved(authenticated=True)
    async def acknowledge_break_glass(
        self, info: MedicalInfo, id: Annotated[strawberry.ID, OF_THE_PATIENT]
    ) -> BreakGlassPayload | None:
        """The patient has seen that the record was opened."""
        context, grant = info.context, await _grant(info, id)
        if grant.patient_id != context.caller_id:
            raise not_found()
        return _payload(info, await context.emergencies.acknowledge(grant, now_utc=context.now()))

    @resolved(authenticated=True)
    async def close_break_glass_review(
        self, info: MedicalInfo, input: Annotated[CloseBreakGlassReviewInput, REVIEWING]
    ) -> BreakGlassPayload | None:
        """Judge an emergency: an administrator who had no part in it. An unjustified one ends at once."""
        context, grant = info.context, await _decided_grant(info, input.id, Action.REVIEW)
        note = clean_text(input.note, "note", characters_max=NOTE_CHARACTERS_MAX)
        try:
            closed = await context.emergencies.close_review(
                grant, context.caller_id, outcome=input.outcome, note=note, now_utc=context.now()
            )
        except RuleBroken as broken:
            return _refused(broken)
        return _payload(info, closed)


@classified(DataClass.PUBLIC)
@strawberry.type
class Subscription:
    """Streams."""

    @_stream("Each time somebody opens the caller's record in an emergency, or a second clinician joins.")
    async def break_glass_used(self, info: MedicalInfo) -> AsyncIterator[BreakGlassGrant | None]:
        """Notices to the patient."""
        return _used(info, info.context.events.subscribe([BREAK_GLASS_USED], key=info.context.caller_id))


async def _used(info: MedicalInfo, stream: LiveEvents) -> AsyncIterator[BreakGlassGrant | None]:
    context = info.context
    try:
        async for event in stream:
            found = await context.emergencies.grants([str(event.payload["grant_id"])])
            for grant in found.values():
                yield BreakGlassGrant.of(grant, context)
    finally:
        await stream.aclose()


class _Filters(Protocol):
    """The part of authz's `RequestAuthorizer` that filters lists."""

    async def visible_owner_filter(self, data_class: DataClass, action: str = "read") -> OwnerFilter:
        """Whose rows a list may hold."""
        ...


async def _visible(info: MedicalInfo, review_open: bool | None) -> ColumnElement[bool]:
    """The grants that the caller may read, as the policy says of each of them."""
    decisions = cast(_Filters, info.context.decisions)
    columns = break_glass.c
    found = await decisions.visible_owner_filter(DataClass.AUDIT)
    visible = or_(
        *[
            found.predicate(owner=columns.patient_id, created_by=clinician)
            for clinician in (columns.clinician_id, columns.second_clinician_id)
        ]
    )
    if review_open is None:
        return visible
    return visible & (columns.outcome.is_(None) if review_open else columns.outcome.is_not(None))


async def _page(
    info: MedicalInfo, visible: ColumnElement[bool], bound_to: str, *, first: int | None, after: str | None
) -> Connection[BreakGlassGrant]:
    context = info.context
    request = page_request(context.signer, bound_to=bound_to, first=first, after=after)
    before = None
    if request.after is not None:
        try:
            at_utc, grant_id = request.after
            before = (dt.datetime.fromisoformat(at_utc), str(grant_id))
        except (TypeError, ValueError):
            raise PublicError(
                "BAD_CURSOR", "the cursor is not one of this list; start again without it"
            ) from None
    grants, count = await context.emergencies.page(visible, limit=request.limit, before=before)
    return connection(
        grants,
        request,
        context.signer,
        bound_to=bound_to,
        sort_key=lambda grant: (grant.opened_at_utc.isoformat(), grant.id),
        node=lambda grant: BreakGlassGrant.of(grant, context),
        total_count=count,
    )


async def _require(
    info: MedicalInfo, patient_id: str, action: Action, *, grant: model.BreakGlassGrant | None = None
) -> None:
    """Errors: PublicError FORBIDDEN where the policy says no, with what would open it.

    About a grant that is there, who could do nothing about it gets the NOT_FOUND of a missing one.
    """
    question = Question(
        patient_id,
        DataClass.AUDIT,
        action,
        purpose=Purpose.EMERGENCY_TREATMENT if action is Action.BREAK_GLASS else None,
        created_by=None if grant is None else grant.clinician_id,
    )
    [answer] = await info.context.decisions.decide([question])
    if not answer.allowed:
        if grant is not None and answer.obligation is None:
            raise not_found()
        extensions = {} if answer.obligation is None else {"obligation": answer.obligation.value}
        raise PublicError("FORBIDDEN", FORBIDDEN_MESSAGE, extensions=extensions)


async def _decided_grant(info: MedicalInfo, id: strawberry.ID, action: Action) -> model.BreakGlassGrant:
    """A grant that the caller may do this about.  Errors: PublicError NOT_FOUND, FORBIDDEN."""
    found = await info.context.grants.load(str(id))
    if found is None:
        await decide_as_if_hidden(info.context, str(id), DataClass.AUDIT, action)
        raise not_found()
    await _require(info, found.patient_id, action, grant=found)
    return found


async def _grant(info: MedicalInfo, id: strawberry.ID) -> model.BreakGlassGrant:
    """Errors: PublicError NOT_FOUND."""
    found = await info.context.grants.load(str(id))
    if found is None:
        raise not_found()
    return found


def _payload(info: MedicalInfo, grant: model.BreakGlassGrant) -> BreakGlassPayload:
    return BreakGlassPayload(grant=BreakGlassGrant.of(grant, info.context))


def _refused(broken: RuleBroken) -> BreakGlassPayload:
    return BreakGlassPayload(user_errors=[UserError(code=broken.code, message=broken.message)])
