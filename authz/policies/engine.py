"""Casbin over the policy: the source of truth that the compiled table is proved equal to. Slow, plain."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import casbin
from casbin.persist import load_policy_line

from authz.policies.case import Case, Party
from authz.policies.conditions import ALWAYS, conditions
from authz.policies.rules import EVERY, VIEWS, Policy
from authz.question import DEFAULT_DENY, Decision

log = logging.getLogger("stadion.authz")


class PolicyEngine:
    """Enforces one policy by Casbin, about a millisecond a view: for tests, `explain` and `diff`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._enforcer = casbin.Enforcer(casbin_model(), PolicyLines(policy.lines()))
        self._enforcer.add_function("listed", listed)
        self._enforcer.add_function("within", within)
        self._enforcer.add_function("holds", holds)
        self._enforcer.add_function("reaches", reaches)

    def decide(self, party: Party, case: Case) -> Decision:
        """The decision without obligation: the most open view that Casbin allows."""
        question = case.question
        for view in self._views(question.data_class, question.action):
            allowed, rule = self._enforcer.enforce_ex(view, party, question.data_class, question.action, case)
            if allowed:
                return Decision(allowed=True, rule=rule[0], mask=None if view == VIEWS[0] else view)
            if rule and rule[-1] == "deny":
                return Decision(allowed=False, rule=rule[0])
        return Decision(allowed=False, rule=DEFAULT_DENY)

    def _views(self, data_class: str, action: str) -> list[str]:
        used = {rule.view for rule in self._policy.rules if rule.concerns(data_class, action)}
        return [view for view in VIEWS if view in used] or [VIEWS[0]]


def casbin_model() -> casbin.Model:
    """Stadion's Casbin model, from `model.conf`."""
    model = casbin.Model()
    model.load_model_from_text(files("authz.policies").joinpath("model.conf").read_text(encoding="utf-8"))
    return model


def listed(word: str, cell: str) -> bool:
    """Whether a cell of words joined by | names this one, or is `*`."""
    return cell == EVERY or word in cell.split("|")


def within(parties: str, party: Party) -> bool:
    """Whether the subject is all that the rule's parties ask for."""
    return party.issuperset(parties.split("+"))


def reaches(parties: str, effect: str, case: Case) -> bool:
    """Whether every role that the rule asks for counts for the owner; a deny counts for everybody."""
    if effect == "deny":
        return True
    limited = {limit.role.value for limit in case.subject.limits} & set(parties.split("+"))
    return holds(" & ".join(f"assigned:{role}" for role in sorted(limited)) or ALWAYS, effect, case)


def holds(text: str, effect: str, case: Case) -> bool:
    """Whether all conditions hold; one that raises counts against the subject, in allow and in deny."""
    try:
        return all(condition.holds(case) for condition in conditions(text))
    except Exception as error:
        log.warning("a condition of `%s` raised %s", text, type(error).__name__)
        return effect == "deny"


class PolicyLines(casbin.persist.Adapter):  # type: ignore[misc]
    """Our Casbin adapter: gives it the very lines that were read, stored or shipped."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = tuple(lines)

    def load_policy(self, model: Any) -> None:
        """Called once by the enforcer."""
        for line in self._lines:
            load_policy_line(line, model)
