"""Subject × resource × action → Decision: the only public verb of authz, the same in all three places."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from datetime import datetime

from authz.classes import DataClass, Relation
from authz.explanation import Explanation, RuleTrace
from authz.facts.model import ConsentFact
from authz.facts.store import Facts
from authz.facts.supposed import SupposedFacts
from authz.identity.clock import Clock, now_utc
from authz.identity.subject import Subject
from authz.identity.surroundings import NO_ZONES, NetworkZones
from authz.policies.case import (
    AUTHENTICATED,
    Case,
    actor_of,
    base_party,
)
from authz.policies.rules import Policy, stadion_policy
from authz.policies.table import DecisionTable
from authz.question import Decision, Obligation, Question
from authz.remembered import RememberedCircles
from authz.request import RequestAuthorizer, some_rule_may_allow
from authz.rows import OwnerFilter

__all__ = [
    "Authorizer",
    "Decision",
    "Explanation",
    "Obligation",
    "OwnerFilter",
    "Question",
    "RequestAuthorizer",
    "RuleTrace",
]

POSSIBILITIES_MAX = 4_096


class Authorizer:
    """The policy of a process with its facts; one a process. `replace_policy` swaps it whole, at once.

    What facts say of a subject is remembered for its next requests until they change, where the facts tell:
    a change by this process counts at once, one of another `remember_s` seconds later (0: nothing is
    remembered). `region` is where its rows lie, where there are several regions.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        policy: Policy | None = None,
        clock: Clock = now_utc,
        zones: NetworkZones = NO_ZONES,
        remember_s: float = 0.0,
        elapsed_s: Callable[[], float] = time.monotonic,
        region: str | None = None,
    ) -> None:
        self._facts = facts
        self._region = region
        self._zones = zones
        self._clock = clock
        self._circles = RememberedCircles(facts, look_every_s=remember_s, elapsed_s=elapsed_s)
        self._possible: dict[tuple[object, ...], bool] = {}
        self._table = DecisionTable(policy or stadion_policy())

    @property
    def policy_version(self) -> str:
        """The fingerprint of the policy in force: part of what a cached plan or answer depends on."""
        return self._table.policy.version

    def replace_policy(self, policy: Policy) -> None:
        """Decide by this policy from the next request on; a running one ends with the one it began with."""
        self._table = DecisionTable(policy)
        self._possible = {}

    def supposing(self, *consents: ConsentFact) -> Authorizer:
        """The same policy, as if these consents were in force besides what is known; nothing is stored."""
        supposed = copy(self)
        supposed._facts = SupposedFacts(self._facts, consents)
        supposed._circles = RememberedCircles(supposed._facts, look_every_s=0.0, elapsed_s=time.monotonic)
        return supposed

    def at(self, moment: datetime) -> Authorizer:
        """The same policy and facts at that moment: what is to end until then has ended, what is to begin has
        begun. Of the past only what each relation was last known as is known."""
        moved = copy(self)
        moved._clock = lambda: moment
        moved._circles = RememberedCircles(self._facts, look_every_s=0.0, elapsed_s=time.monotonic)
        return moved

    def for_request(self, subject: Subject) -> RequestAuthorizer:
        """The decisions of one request, or of one event of a stream."""
        placed, now = self._zones.placed(subject), self._clock()
        if self._region is not None:
            placed = replace(placed, served_in=self._region)
        circle, confirm = self._circles.of((placed.id, actor_of(placed)), now)
        return RequestAuthorizer(
            placed, facts=self._facts, table=self._table, circle=circle, confirm=confirm, now=now
        )

    def can_ever(self, subject: Subject, data_class: DataClass, action: str = "read") -> bool:
        """False only if no relation, consent or attribute could ever let this subject do it.

        What roles and scopes settle is settled here; authentication level and purpose are not, because
        their refusal has to tell the caller what to do.
        """
        # All that a condition settled by the subject alone may look at: not who it is.
        told = (subject.authenticated, subject.roles, subject.scopes, subject.organisations)
        key = (*told, data_class, action)
        known = self._possible.get(key)
        if known is None:
            if len(self._possible) >= POSSIBILITIES_MAX:
                self._possible.clear()
            known = self._possible[key] = self._conceivable(subject, data_class, action)
        return known

    def _conceivable(self, subject: Subject, data_class: DataClass, action: str) -> bool:
        base = base_party(subject)
        relations = _RELATIONS if AUTHENTICATED in base else frozenset()
        question = Question(subject.id, data_class, action)
        case = Case(subject, question, (), (), self._clock())
        return some_rule_may_allow(self._table, base | relations, case)


_RELATIONS = frozenset(relation.value for relation in Relation if relation is not Relation.NONE)
