"""Why a decision was taken: the rules that speak to a subject about what was asked, and what each lacks."""

from __future__ import annotations

from dataclasses import dataclass

from authz.policies.case import Case, Party
from authz.policies.rules import Rule
from authz.question import Decision


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule that speaks to the subject about what was asked, and which of its conditions fail."""

    rule: str
    allows: bool
    mask: str | None
    failing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with the rules it was taken from, those that hold first. For the owner and for auditors."""

    decision: Decision
    party: Party
    rules: tuple[RuleTrace, ...]


def traced(rule: Rule, case: Case) -> RuleTrace:
    """The rule tried on this case."""
    failing = []
    for each in rule.conditions:
        try:
            held = each.holds(case)
        except Exception:
            held = not rule.allows
        if not held:
            failing.append(each.text)
    return RuleTrace(rule.name, rule.allows, rule.mask, tuple(failing))
