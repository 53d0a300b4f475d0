"""Audit's part of the graph, all to read: logs, the check of the chain, explanations."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, replace
from typing import Annotated

import strawberry

from authz.classes import DataClass
from authz.question import Question
from subgraphs.audit import store
from subgraphs.audit.access import forbidden, reads_all, visible_records
from subgraphs.audit.entities import Asked, AuditContext, AuditInfo, AuditRecord, page
from subgraphs.audit.events import SUBJECT
from subgraphs.audit.explanations import AccessExplanation, AuditDecision, Viewer, ViewerFilter
from subgraphs.audit.store import RecordFilter
from subgraphs.kit import (
    Connection,
    PurposeOfUse,
    binding,
    classified,
    clean_text,
    moment_ahead,
    resolved,
    ruled,
)
from subgraphs.kit.pages import listed

ID_CHARACTERS_MAX = 200
OF_OWN_RECORDS = strawberry.argument(metadata=ruled(by="everybody, of the records about themselves"))
OF_SEEN_RECORDS = strawberry.argument(metadata=ruled(by="auditors, and others of their own acts"))
OF_TARGET_OR_AUDITOR = strawberry.argument(metadata=ruled(by="the target and auditors"))


@strawberry.input
class AuditLogFilter:
    """Which records; what is not given does not narrow."""

    target_id: strawberry.ID | None = None
    actor_id: strawberry.ID | None = None
    data_class: DataClass | None = None
    decision: AuditDecision | None = None
    purpose: PurposeOfUse | None = None
    action: str | None = None
    rule: str | None = None
    outcome: str | None = None
    subgraph: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@classified(DataClass.AUDIT)
@strawberry.type(description="Something that was done to the chain after it was written.")
class ChainDamage:
    """What, and at which record."""

    code: str | None
    number: int | None
    message: str | None


@classified(DataClass.AUDIT)
@strawberry.type(description="How a check of the whole chain went.")
class ChainCheck:
    """`intact` when nothing was edited, removed or moved. It is nobody's, so only auditors see it."""

    owner_id: strawberry.Private[str | None]
    intact: bool | None
    records: int | None
    checkpoints: int | None
    last_hash: str | None = strawberry.field(description="Note it elsewhere: it vouches for all before it.")
    public_key: str | None = strawberry.field(description="Checks the checkpoints' signatures (Ed25519).")
    damages: list[ChainDamage] | None = strawberry.field(description="The first 100.")


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    """Questions that audit answers."""

    @resolved(authenticated=True)
    async def my_access_log(
        self,
        info: AuditInfo,
        *,
        filter: Annotated[AuditLogFilter | None, OF_OWN_RECORDS] = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[AuditRecord] | None:
        """Who touched the caller's protected fields, the latest first."""
        own = _pseudonym(info, info.context.caller_id)
        wanted = replace(_wanted(info, filter or AuditLogFilter()), target=own)
        bound_to = binding(None, "Query.myAccessLog", asdict(wanted))
        return await page(info, wanted, bound_to, Asked(first, after, last, before))

    @resolved(authenticated=True)
    async def audit_log(
        self,
        info: AuditInfo,
        *,
        filter: Annotated[AuditLogFilter | None, OF_SEEN_RECORDS] = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[AuditRecord] | None:
        """Everybody's records for administrators, own acts for others; reading it is recorded too."""
        context, given = info.context, filter or AuditLogFilter()
        visible, wanted = await _looks(context, "Query.auditLog"), _wanted(info, given)
        if visible is None or (visible.actor is not None and wanted.actor not in (None, visible.actor)):
            raise forbidden()
        wanted = replace(wanted, actor=visible.actor or wanted.actor)
        bound_to = binding(None, "Query.auditLog", asdict(wanted))
        return await page(info, wanted, bound_to, Asked(first, after, last, before))

    @resolved(authenticated=True)
    async def verify_chain(self, info: AuditInfo) -> ChainCheck | None:
        """Walk the whole chain and name every edit, removal and reordering; for administrators."""
        log = info.context.log
        visible = await _looks(info.context, "Query.verifyChain")
        if visible != RecordFilter():
            raise forbidden()
        report = await log.relational.read(lambda c: store.check_chain(c, log.seal))
        return ChainCheck(
            owner_id=None,
            intact=not report.damages,
            records=report.records,
            checkpoints=report.checkpoints,
            last_hash=report.last_hash,
            public_key=log.seal.public_key,
            damages=[ChainDamage(code=d.code, number=d.number, message=d.message) for d in report.damages],
        )

    @resolved(authenticated=True)
    async def explain_access(
        self,
        info: AuditInfo,
        target_id: Annotated[strawberry.ID, OF_TARGET_OR_AUDITOR],
        coordinate: Annotated[str, OF_TARGET_OR_AUDITOR],
        viewer_id: Annotated[strawberry.ID | None, OF_TARGET_OR_AUDITOR] = None,
        purpose: PurposeOfUse | None = None,
    ) -> AccessExplanation | None:
        """Which rule decides what a viewer (the caller, if not given) may see of a field of the target's."""
        context = info.context
        owner_id = str(target_id)
        auditor = await reads_all(context.decisions)
        if not auditor and owner_id != context.caller_id:
            raise forbidden()
        asked = clean_text(coordinate, "coordinate", characters_max=ID_CHARACTERS_MAX)
        explanation = await context.explainer.explain(
            owner_id=owner_id,
            viewer_id=context.caller_id if viewer_id is None else str(viewer_id),
            coordinate=asked,
            purpose=None if purpose is None else purpose.value,
            auditor=auditor,
        )
        data_class, action = context.explainer.known(asked)
        return AccessExplanation(
            owner_id=owner_id,
            explanation=explanation,
            coordinate=asked,
            data_class=data_class,
            action=action,
            policy_version=context.explainer.policy_version(),
        )

    @resolved(authenticated=True)
    async def who_can_see(
        self,
        info: AuditInfo,
        coordinate: Annotated[str, OF_TARGET_OR_AUDITOR],
        *,
        target_id: Annotated[strawberry.ID | None, OF_TARGET_OR_AUDITOR] = None,
        purpose: PurposeOfUse | None = None,
        at: Annotated[dt.datetime | None, OF_TARGET_OR_AUDITOR] = None,
        filter: Annotated[ViewerFilter | None, OF_TARGET_OR_AUDITOR] = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[Viewer] | None:
        """Who sees a field of the caller's, or for administrators of anybody's: people, then whole roles.
        `at` is a moment to come, as things stand; who looked in the past, `myAccessLog` tells."""
        context = info.context
        owner_id = context.caller_id if target_id is None else str(target_id)
        if owner_id != context.caller_id and not await reads_all(context.decisions):
            raise forbidden()
        asked = clean_text(coordinate, "coordinate", characters_max=ID_CHARACTERS_MAX)
        stated, chosen = None if purpose is None else purpose.value, filter or ViewerFilter()
        moment = moment_ahead(at, now=context.log.now())
        found = await context.explainer.viewers(
            owner_id=owner_id, coordinate=asked, purpose=stated, at=moment
        )
        return listed(
            [Viewer.of(each, owner_id) for each in found if chosen.lets(each)],
            context.cursors,
            bound_to=binding(
                context.subject.id, f"Query.whoCanSee {owner_id} {asked} {stated} {at} {chosen}"
            ),
            first=first,
            after=after,
            last=last,
            before=before,
        )


def _pseudonym(info: AuditInfo, user_id: str) -> str:
    return info.context.log.pseudonyms.of(SUBJECT, user_id)


def _wanted(info: AuditInfo, given: AuditLogFilter) -> RecordFilter:
    return RecordFilter(
        target=None if given.target_id is None else _pseudonym(info, str(given.target_id)),
        actor=None if given.actor_id is None else _pseudonym(info, str(given.actor_id)),
        data_class=None if given.data_class is None else given.data_class.value,
        decision=None if given.decision is None else str(given.decision.value),
        purpose=None if given.purpose is None else str(given.purpose.value),
        action=given.action,
        rule=given.rule,
        outcome=given.outcome,
        subgraph=given.subgraph,
        since_utc=given.since,
        until_utc=given.until,
    )


async def _looks(context: AuditContext, coordinate: str) -> RecordFilter | None:
    """What of the log the caller may see, None for nothing. Looking leaves a record either way."""
    visible, decision = await visible_records(context.decisions, context.caller_id, context.log.pseudonyms)
    question = Question(None, DataClass.AUDIT)
    context.trail.read(question, decision, coordinate, shown=visible is not None)
    return visible
