"""The policy compiled: a cell for (party, class, action, purpose) holds what is left to ask of a single case.

Most cells need nothing more and answer with one ready decision; the others run a few closures.
INVARIANT: for every case the table's answer is Casbin's (a property test holds it to that).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from authz.classes import DataClass, Purpose
from authz.identity.subject import ANONYMOUS
from authz.policies.case import Case, Party
from authz.policies.conditions import Depends
from authz.policies.rules import VIEWS, Policy, Rule
from authz.policies.standing import Holds
from authz.question import DEFAULT_DENY, Decision, Obligation, Question

log = logging.getLogger("stadion.authz")

CELLS_MAX = 16_384

Key = tuple[Party, str, str, Purpose | None]


@dataclass(frozen=True, slots=True)
class OpenRule:
    """A rule that speaks of the cell, with the conditions that a case has still to meet."""

    rule: Rule
    decision: Decision
    left: tuple[Holds, ...]

    def fires(self, case: Case) -> bool:
        """Whether all of what is left holds; what raises counts against the subject."""
        # A plain loop: this is the only code that runs for every single row.
        try:
            for holds in self.left:
                if not holds(case):
                    return False
        except Exception as error:
            log.warning("a condition of `%s` raised %s", self.rule.name, type(error).__name__)
            return not self.rule.allows
        return True


@dataclass(frozen=True, slots=True)
class Cell:
    """What the policy says to one party about one class, action and purpose.

    `always` is the answer where no case can change it. `mendable` are the allows, also those that the
    stated purpose shuts, for which a caller can do something; they only serve to say what.
    """

    always: Decision | None
    denies: tuple[OpenRule, ...] = ()
    allows: tuple[OpenRule, ...] = ()
    mendable: tuple[Rule, ...] = ()

    def decide(self, case: Case) -> Decision:
        """The decision about this case."""
        if self.always is not None:
            return self.always
        for deny in self.denies:
            if deny.fires(case):
                return self._explained_deny(deny, case)
        for allow in self.allows:
            if allow.fires(case):
                return allow.decision
        return Decision(allowed=False, rule=DEFAULT_DENY, obligation=self._what_is_missing(case))

    def _explained_deny(self, deny: OpenRule, case: Case) -> Decision:
        # Only who would else be allowed learns that consent is what is missing.
        obligation = next((each.obligation for each in deny.rule.conditions if each.obligation), None)
        if obligation is None or not any(allow.fires(case) for allow in self.allows):
            return deny.decision
        return replace(deny.decision, obligation=obligation)

    def _what_is_missing(self, case: Case) -> Obligation | None:
        missing = (_only_obligation(rule, case) for rule in self.mendable)
        return next((obligation for obligation in missing if obligation is not None), None)


class DecisionTable:
    """The compiled policy. Cells are made when first asked for; at most `CELLS_MAX` are kept."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._cells: dict[Key, Cell] = {}
        self._concerned: dict[tuple[str, str], tuple[Rule, ...]] = {}

    def cell(self, party: Party, question: Question) -> Cell:
        """The cell for what this party asks."""
        key = (party, question.data_class, question.action, question.purpose)
        found = self._cells.get(key)
        if found is None:
            if len(self._cells) >= CELLS_MAX:
                self._cells.clear()
            found = self._cells[key] = self._compile(key)
        return found

    def concerned(self, data_class: str, action: str) -> tuple[Rule, ...]:
        """All rules about this class and action, whoever they are about."""
        known = self._concerned.get((data_class, action))
        if known is None:
            known = tuple(rule for rule in self.policy.rules if rule.concerns(data_class, action))
            self._concerned[data_class, action] = known
        return known

    def _compile(self, key: Key) -> Cell:
        party, data_class, action, purpose = key
        rules = [rule for rule in self.concerned(data_class, action) if rule.parties <= party]
        rules = [rule for rule in rules if not any(each.never_for & party for each in rule.conditions)]
        rules = [rule.reaching(party) for rule in rules]
        shut = {rule.name for rule in rules if _shut_by_purpose(rule, purpose)}
        denies = _opened(rule for rule in rules if not rule.allows and rule.name not in shut)
        allowing = _most_open_first(rules)
        allows = _opened(rule for rule in allowing if rule.name not in shut)
        mendable = tuple(rule for rule in allowing if any(each.obligation for each in rule.conditions))
        return Cell(_foregone(denies, allows, mendable), denies, allows, mendable)


def _opened(rules: Iterable[Rule]) -> tuple[OpenRule, ...]:
    return tuple(
        OpenRule(
            rule,
            Decision(allowed=rule.allows, rule=rule.name, mask=rule.mask),
            tuple(each.holds for each in rule.conditions if each.depends is not Depends.PURPOSE),
        )
        for rule in rules
    )


def _most_open_first(rules: Iterable[Rule]) -> list[Rule]:
    return sorted((rule for rule in rules if rule.allows), key=lambda rule: VIEWS.index(rule.view))


def _shut_by_purpose(rule: Rule, purpose: Purpose | None) -> bool:
    probe = Case(ANONYMOUS, Question(None, DataClass.PUBLIC, purpose=purpose), (), (), _ANY_TIME)
    return not all(each.holds(probe) for each in rule.conditions if each.depends is Depends.PURPOSE)


def _foregone(
    denies: Sequence[OpenRule], allows: Sequence[OpenRule], mendable: Sequence[Rule]
) -> Decision | None:
    """The decision that no case can change, if there is one."""
    unconditional = next((deny for deny in denies if not deny.left), None)
    if unconditional is not None:
        return unconditional.decision
    if not allows and not mendable:
        return Decision(allowed=False, rule=DEFAULT_DENY)
    if not denies and allows and not allows[0].left:
        return allows[0].decision
    return None


def _only_obligation(rule: Rule, case: Case) -> Obligation | None:
    """What the caller could mend, if that is all that the rule lacks; the first in the rule's order."""
    first: Obligation | None = None
    try:
        for each in rule.conditions:
            if not each.holds(case):
                if each.obligation is None:
                    return None
                first = first or each.obligation
    except Exception:
        return None
    return first


_ANY_TIME = datetime.min.replace(tzinfo=UTC)
