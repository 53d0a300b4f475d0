"""Conditions that look at what a subject is to the owner of a row: its relations, their scopes and times."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from authz.classes import Purpose, Relation, Role
from authz.policies.case import Case
from authz.question import Question

Holds = Callable[[Case], bool]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
BREAK_GLASS_MAX = timedelta(minutes=60)


def assigned(argument: str) -> Holds:
    """The role counts for this person: it is not limited, or this class is open to it everywhere, or a fact
    says so by the words `ROLE` or `ROLE:CLASS`, until the end after an `@` if there is one."""

    def holds(case: Case) -> bool:
        limit = case.subject.limit_of(argument)
        data_class = case.question.data_class
        if limit is None or data_class in limit.classes:
            return True
        words = (argument, f"{argument}:{data_class}")
        return any(
            word in words and (not end or case.now < datetime.fromisoformat(end))
            for word, _, end in (scope.partition("@") for scope in _scopes(case, Relation.ASSIGNED))
        )

    return holds


def link(argument: str) -> Holds:
    """A coach link with this scope."""
    return lambda case: argument in _scopes(case, Relation.COACH)


def link_metric(argument: str) -> Holds:
    """A coach link with this scope, for all metrics or the row's."""
    return lambda case: covers_metric(_scopes(case, Relation.COACH), argument, case.question)


def guardian_scope(argument: str) -> Holds:
    """The scope as it is, or `SCOPE:until:DAY` before that day of UTC: children grow out of it."""
    bounded = f"{argument}:until:"

    def holds(case: Case) -> bool:
        scopes = _scopes(case, Relation.GUARDIAN)
        today = case.now.astimezone(UTC).date().isoformat()
        return argument in scopes or any(
            today < scope.removeprefix(bounded) and _DAY.fullmatch(scope, len(bounded)) is not None
            for scope in scopes
            if scope.startswith(bounded)
        )

    return holds


def not_owner(_: str) -> Holds:
    """Somebody else's row; a partner's own person counts as somebody else."""
    return lambda case: (
        case.question.owner_id is None
        or case.subject.id != case.question.owner_id
        or Role.PARTNER in case.subject.roles
    )


def emergency(argument: str) -> Holds:
    """A break-glass grant: one clinician, one patient, a reason, an hour at most."""
    return lambda case: any(
        fact.relation is Relation.BREAK_GLASS
        and "reason" in fact.scopes
        and (not argument or argument in fact.scopes)
        and fact.valid_until_utc is not None
        and fact.valid_until_utc - fact.valid_from_utc <= BREAK_GLASS_MAX
        for fact in case.facts
    )


def no_emergency(argument: str) -> Holds:
    """The grant overrides a denied consent only for who could read by it: role, purpose and level too."""
    granted = emergency(argument)
    return lambda case: (
        not (
            case.question.purpose is Purpose.EMERGENCY_TREATMENT
            and case.subject.acr >= 2
            and Role.MEDICAL_SPECIALIST in case.subject.roles
            and granted(case)
        )
    )


def _scopes(case: Case, relation: Relation) -> frozenset[str]:
    return frozenset().union(*(fact.scopes for fact in case.facts if fact.relation is relation))


def covers_metric(scopes: frozenset[str], scope: str, question: Question) -> bool:
    """Whether scopes hold this one, for all metrics or for the one that is asked about."""
    return scope in scopes or (question.metric is not None and f"{scope}:{question.metric}" in scopes)
