"""Explanations as the graph tells them: which line decided, what it looked at, and who sees a field."""

from __future__ import annotations

from enum import Enum

import strawberry

from authz.classes import DataClass, Role
from authz.explanation import ConditionTrace, Explanation, RuleTrace
from subgraphs.audit import explaining
from subgraphs.audit.entities import AuditInfo, User
from subgraphs.kit import Connection, PurposeOfUse, binding, classified, reads, resolved
from subgraphs.kit.pages import listed


@strawberry.enum(description="What was decided.")
class AuditDecision(Enum):
    """Spelled as the policy spells it."""

    ALLOW = "allow"
    DENY = "deny"


@strawberry.enum(description="What kind of value a condition looks at.")
class LooksAt(Enum):
    """From what is known first to what only the row tells."""

    PURPOSE = "PURPOSE"
    SUBJECT = "SUBJECT"
    OWNER = "OWNER"
    ROW = "ROW"


@strawberry.input
class RuleFilter:
    """Which rules; what is not given does not narrow."""

    decision: AuditDecision | None = strawberry.field(
        default=None, metadata=reads("RuleExplanation.allows"), description="Rules that allow, or that deny."
    )
    holds: bool | None = strawberry.field(
        default=None, metadata=reads("RuleExplanation.holds"), description="Whether all conditions hold."
    )

    def lets(self, trace: RuleTrace) -> bool:
        """Whether it is one of those."""
        if self.decision is not None and trace.allows is not (self.decision is AuditDecision.ALLOW):
            return False
        return self.holds is None or self.holds is not bool(trace.failing)


@classified(DataClass.AUDIT)
@strawberry.type(description="A condition of a policy line, as it was tried.")
class ConditionExplanation:
    """Which kind of value it looked at, never the value."""

    condition: str | None
    holds: bool | None
    looks_at: LooksAt | None
    meaning: str | None
    obligation: str | None = strawberry.field(description="What the viewer could do about it.")

    @classmethod
    def of(cls, trace: ConditionTrace) -> ConditionExplanation:
        """The GraphQL object of a trace."""
        return cls(
            condition=trace.text,
            holds=trace.held,
            looks_at=LooksAt(trace.looks_at),
            meaning=trace.meaning,
            obligation=None if trace.obligation is None else trace.obligation.value,
        )


@classified(DataClass.AUDIT)
@strawberry.type(description="A policy line that speaks of the viewer and the field.")
class RuleExplanation:
    """One rule, and what it lacks."""

    owner_id: strawberry.Private[str]
    rule: str | None
    line: int | None = strawberry.field(description="Its line in the policy that is in force.")
    allows: bool | None
    holds: bool | None = strawberry.field(description="Whether all of its conditions hold.")
    parties: list[str] | None = strawberry.field(description="All that the viewer must be for it to speak.")
    view: str | None = strawberry.field(description="How the value would be shortened; null: not at all.")
    conditions: list[ConditionExplanation] | None
    failing_conditions: list[str] | None

    @classmethod
    def of(cls, trace: RuleTrace, owner_id: str) -> RuleExplanation:
        """The GraphQL object of a trace."""
        return cls(
            owner_id=owner_id,
            rule=trace.rule,
            line=trace.line,
            allows=trace.allows,
            holds=not trace.failing,
            parties=list(trace.parties),
            view=trace.mask,
            conditions=[ConditionExplanation.of(each) for each in trace.conditions],
            failing_conditions=list(trace.failing),
        )


@classified(DataClass.AUDIT)
@strawberry.type(description="Why somebody may or may not read a field of somebody's.")
class AccessExplanation:
    """The decision, and the rules it was taken from, those that hold first."""

    owner_id: strawberry.Private[str]
    explanation: strawberry.Private[Explanation]
    coordinate: str | None
    data_class: DataClass | None
    action: str | None
    policy_version: str | None = strawberry.field(description="The fingerprint of the policy that decided.")

    @resolved()
    def allowed(self) -> bool | None:
        """Whether the viewer may."""
        return self.explanation.decision.allowed

    @resolved()
    def view(self) -> str | None:
        """How the value is shortened; null: not at all."""
        return self.explanation.decision.mask

    @resolved()
    def rule(self) -> str | None:
        """The rule that decides."""
        return self.explanation.decision.rule

    @resolved()
    def line(self) -> int | None:
        """The deciding rule's line in the policy; null where none speaks."""
        traces = self.explanation.rules
        return next((each.line for each in traces if each.rule == self.explanation.decision.rule), None)

    @resolved()
    def obligation(self) -> str | None:
        """What the viewer could do to be allowed."""
        obligation = self.explanation.decision.obligation
        return None if obligation is None else obligation.value

    @resolved()
    def parties(self) -> list[str] | None:
        """What the viewer is to the owner, as the policy names it."""
        return sorted(self.explanation.party)

    @resolved()
    def rules(
        self,
        info: AuditInfo,
        *,
        filter: RuleFilter | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[RuleExplanation] | None:
        """All rules that speak of the viewer and the field."""
        chosen = filter or RuleFilter()
        found = [each for each in self.explanation.rules if chosen.lets(each)]
        name = f"AccessExplanation.rules {self.owner_id} {self.coordinate} {self.policy_version} {chosen}"
        return listed(
            [RuleExplanation.of(each, self.owner_id) for each in found],
            info.context.cursors,
            bound_to=binding(info.context.subject.id, name),
            first=first,
            after=after,
            last=last,
            before=before,
        )


@strawberry.input
class ViewerFilter:
    """Which viewers; what is not given does not narrow."""

    user_id: strawberry.ID | None = strawberry.field(default=None, description="One person.")
    role: Role | None = strawberry.field(default=None, description="One whole role.")
    whole: bool | None = strawberry.field(
        default=None, description="Those who see the whole value, or those who see it shortened."
    )
    any_purpose: bool | None = strawberry.field(
        default=None, description="Those who need state no purpose, or those who must."
    )

    def lets(self, viewer: explaining.Viewer) -> bool:
        """Whether it is one of those."""
        return (
            (self.user_id is None or viewer.user_id == str(self.user_id))
            and (self.role is None or viewer.role is self.role)
            and (self.whole is None or self.whole is (viewer.view is None))
            and (self.any_purpose is None or self.any_purpose is viewer.any_purpose)
        )


@classified(DataClass.AUDIT)
@strawberry.type(description="Somebody, or everybody in a role, who sees a field.")
class Viewer:
    """One viewer."""

    owner_id: strawberry.Private[str]
    user: User | None = strawberry.field(description="Null for a role.")
    role: Role | None = strawberry.field(description="Everybody in it, without any relation.")
    view: str | None = strawberry.field(description="How the value is shortened at best; null: not at all.")
    any_purpose: bool | None = strawberry.field(description="Whether no purpose has to be stated.")
    purposes: list[PurposeOfUse] | None = strawberry.field(description="For which they see it.")
    rules: list[str] | None

    @classmethod
    def of(cls, viewer: explaining.Viewer, owner_id: str) -> Viewer:
        """The GraphQL object of a viewer."""
        return cls(
            owner_id=owner_id,
            user=None if viewer.user_id is None else User(id=strawberry.ID(viewer.user_id)),
            role=viewer.role,
            view=viewer.view,
            any_purpose=viewer.any_purpose,
            purposes=[PurposeOfUse(each) for each in viewer.purposes],
            rules=list(viewer.rules),
        )
