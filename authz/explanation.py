"""Why a decision was taken: the rules that speak to a subject about what was asked, and what each tried."""

from __future__ import annotations

from dataclasses import dataclass

from authz.policies.case import Case, Party
from authz.policies.conditions import KINDS, Condition
from authz.policies.rules import Rule
from authz.question import Decision, Obligation


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """One condition that was tried. `looks_at` says what kind of value it was tried on (`PURPOSE`, `SUBJECT`,
    `OWNER` or `ROW`), never which."""

    text: str
    held: bool
    looks_at: str
    meaning: str
    obligation: Obligation | None


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule that speaks to the subject about what was asked: its line in the policy, to whom it speaks,
    and its conditions in order. `failing` are the texts of those that do not hold."""

    rule: str
    allows: bool
    mask: str | None
    failing: tuple[str, ...]
    line: int
    parties: tuple[str, ...]
    conditions: tuple[ConditionTrace, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with the rules it was taken from, those that hold first. For the owner and for auditors."""

    decision: Decision
    party: Party
    rules: tuple[RuleTrace, ...]


def traced(rule: Rule, case: Case) -> RuleTrace:
    """The rule tried on this case."""
    tried = tuple(_tried(each, case, allows=rule.allows) for each in rule.conditions)
    return RuleTrace(
        rule=rule.name,
        allows=rule.allows,
        mask=rule.mask,
        failing=tuple(each.text for each in tried if not each.held),
        line=rule.line,
        parties=tuple(sorted(rule.parties)),
        conditions=tried,
    )


def _tried(condition: Condition, case: Case, *, allows: bool) -> ConditionTrace:
    try:
        held = condition.holds(case)
    except Exception:
        held = not allows  # what cannot be looked at counts against the subject
    return ConditionTrace(
        text=condition.text,
        held=held,
        looks_at=condition.depends.name,
        meaning=KINDS[condition.text.partition(":")[0]].meaning,
        obligation=condition.obligation,
    )
