"""Who would see what if a consent were given: told to the patient before anything is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import strawberry

from authz.classes import Action, DataClass, Purpose, Role
from authz.identity.subject import Subject
from authz.question import Decision, Question
from subgraphs.kit import (
    Connection,
    PublicError,
    PurposeOfUse,
    RowAccess,
    binding,
    classified,
    moment_ahead,
    resolved,
)
from subgraphs.kit.pages import listed
from subgraphs.medical import graph
from subgraphs.medical.access import require, row_access
from subgraphs.medical.care import NewConsent
from subgraphs.medical.graph import MedicalInfo, User
from subgraphs.medical.model import LABELS_MAX, Consent, RuleBroken, checked_consent, checked_period
from subgraphs.medical.mutations import OWN_CONSENT, GrantConsentInput

VIEWERS_MAX = 50
LABELS = ("genetic", "hiv", "mental", "reproductive", "substance")


@classified(DataClass.CLINICAL)
@strawberry.type(description="What one viewer may see of one part of the record, now and then.")
class ConsentEffect:
    """One viewer, one part."""

    row_access: strawberry.Private[RowAccess]
    viewer: User | None
    data_class: DataClass | None
    label: str | None = strawberry.field(description="Which restricted part; null: what is not restricted.")
    purpose: PurposeOfUse | None
    before: bool | None = strawberry.field(description="Whether the viewer may see it now.")
    after: bool | None = strawberry.field(description="Whether they may once the consent is given.")
    rule: str | None = strawberry.field(description="The policy line that would decide.")
    rule_before: str | None = strawberry.field(description="The policy line that decides now.")
    obligation: str | None = strawberry.field(description="What the viewer could do then, where refused.")


@strawberry.input
class ConsentEffectFilter:
    """Which effects; what is not given does not narrow."""

    viewer_id: strawberry.ID | None = None
    data_class: DataClass | None = None
    label: str | None = None
    after: bool | None = strawberry.field(default=None, description="Those that would see it, or would not.")
    changed: bool | None = strawberry.field(
        default=None, description="Those for whom the consent changes something, or changes nothing."
    )

    def lets(self, effect: ConsentEffect) -> bool:
        """Whether it is one of those."""
        return (
            (self.viewer_id is None or effect.viewer == User(id=self.viewer_id))
            and (self.data_class is None or effect.data_class is self.data_class)
            and (self.label is None or effect.label == self.label)
            and (self.after is None or effect.after is self.after)
            and (self.changed is None or self.changed is (effect.before is not effect.after))
        )


@classified(DataClass.PUBLIC)
@strawberry.type
class Query(graph.Query):
    """Questions that medical answers, with those about what is not yet."""

    @resolved(authenticated=True)
    async def consent_preview(
        self,
        info: MedicalInfo,
        draft: Annotated[GrantConsentInput, OWN_CONSENT],
        *,
        at: Annotated[dt.datetime | None, OWN_CONSENT] = None,
        filter: Annotated[ConsentEffectFilter | None, OWN_CONSENT] = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[ConsentEffect] | None:
        """Who of those who treat the caller, and of those named, would see what, now or `at` a moment to
        come; nothing is stored."""
        context, now = info.context, info.context.now()
        patient_id = context.caller_id
        await require(context.decisions, patient_id, Action.ANNOTATE, purpose=None)
        consent = _checked(draft, patient_id, now)
        purpose = consent.purpose or Purpose.TREATMENT
        questions = [
            Question(patient_id, DataClass.CLINICAL, labels=labels, purpose=purpose)
            for labels in (frozenset[str](), *(frozenset({label}) for label in _labels(consent)))
        ]
        moment = moment_ahead(at, now=now)
        authorizer = context.authorizer if moment is None else context.authorizer.at(moment)
        effects: list[ConsentEffect] = []
        for viewer_id in await _viewers(info, patient_id, consent):
            viewer = Subject(id=viewer_id, roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
            now_seen = await authorizer.for_request(viewer).decide(questions)
            supposed = authorizer.supposing(consent.fact())
            then_seen = await supposed.for_request(viewer).decide(questions)
            effects += _effects(viewer_id, questions, now_seen, then_seen)
        chosen = [each for each in effects if filter is None or filter.lets(each)]
        return listed(
            chosen,
            context.signer,
            bound_to=binding(
                patient_id,
                "Query.consentPreview",
                {"draft": str(draft), "at": str(at), "filter": str(filter)},
            ),
            first=first,
            after=after,
            last=last,
            before=before,
        )


def _checked(draft: GrantConsentInput, patient_id: str, now: dt.datetime) -> Consent:
    """The consent that the draft would become.  Errors: PublicError with what `grantConsent` would say."""
    new = NewConsent(
        patient_id=patient_id,
        decision=draft.decision,
        data_class=draft.data_class,
        actor_id=None if draft.actor_id is None else str(draft.actor_id),
        purpose=None if draft.purpose is None else draft.purpose.value,
        labels=frozenset(draft.labels[: LABELS_MAX + 1]),
        valid_until_utc=draft.valid_until,
    )
    try:
        checked_consent(new.data_class, new.labels, new.decision)
        checked_period(now, new.valid_until_utc)
    except RuleBroken as broken:
        raise PublicError(broken.code, broken.message) from None
    return Consent(
        "draft", patient_id, new.decision, new.actor_id, new.purpose, new.data_class, new.labels,
        now, new.valid_until_utc, version=1,
    )  # fmt: skip


def _labels(consent: Consent) -> Sequence[str]:
    return sorted(consent.labels) or LABELS


async def _viewers(info: MedicalInfo, patient_id: str, consent: Consent) -> list[str]:
    """Who treats the patient now, and whom the consent names; at most `VIEWERS_MAX`."""
    team = await info.context.care_teams.load(patient_id) or []
    treating = [each.practitioner_id for each in team if each.in_force(info.context.now())]
    named = [] if consent.actor_id is None else [consent.actor_id]
    return list(dict.fromkeys([*named, *treating]))[:VIEWERS_MAX]


def _effects(
    viewer_id: str, questions: Sequence[Question], before: Sequence[Decision], after: Sequence[Decision]
) -> list[ConsentEffect]:
    return [
        ConsentEffect(
            row_access=row_access(str(asked.owner_id), asked.purpose),
            viewer=User(id=strawberry.ID(viewer_id)),
            data_class=DataClass.CLINICAL_RESTRICTED if asked.labels else DataClass.CLINICAL,
            label=next(iter(asked.labels), None),
            purpose=None if asked.purpose is None else PurposeOfUse(asked.purpose),
            before=now.allowed,
            after=then.allowed,
            rule=then.rule,
            rule_before=now.rule,
            obligation=None if then.obligation is None else then.obligation.value,
        )
        for asked, now, then in zip(questions, before, after, strict=True)
    ]
