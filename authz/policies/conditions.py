"""The named conditions a policy line may demand: plain functions of a Case, no expression language.

A condition is written `name` or `name:argument`. What raises does not hold, and counts against the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import IntEnum

from authz.classes import Purpose, Relation, Role, Visibility
from authz.facts.model import ConsentFact
from authz.policies import standing
from authz.policies.case import Case, actor_of
from authz.policies.standing import Holds
from authz.question import Obligation

ALWAYS = "always"


class Depends(IntEnum):
    """The latest thing a condition looks at: it tells when it can be evaluated once for many rows."""

    PURPOSE = 1
    SUBJECT = 2
    OWNER = 3
    ROW = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """A condition before it has its argument.

    `arguments` None: takes none; empty: any word. `never_for`: parties to whom it cannot hold, whatever the
    case. `obligation`: what a caller could do about it.
    """

    make: Callable[[str], Holds]
    depends: Depends
    meaning: str
    arguments: frozenset[str] | None = None
    obligation: Obligation | None = None
    never_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as a rule names it."""

    text: str
    holds: Holds
    depends: Depends
    obligation: Obligation | None
    never_for: frozenset[str]


class UnknownCondition(ValueError):
    """No such condition, or not with that argument."""


def condition(text: str) -> Condition:
    """The condition that `text` names.  Errors: UnknownCondition."""
    name, _, argument = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise UnknownCondition(f"there is no condition `{name}`; use one of {', '.join(sorted(KINDS))}")
    if kind.arguments is None and argument:
        raise UnknownCondition(f"the condition `{name}` takes no argument")
    if kind.arguments is not None and not argument and "" not in kind.arguments:
        raise UnknownCondition(f"the condition `{name}` needs an argument, as in `{name}:…`")
    if kind.arguments and argument not in kind.arguments:
        known = ", ".join(sorted(kind.arguments))
        raise UnknownCondition(f"the condition `{name}` knows no `{argument}`; use one of {known}")
    try:
        holds = kind.make(argument)
    except ValueError as error:
        raise UnknownCondition(f"the condition `{name}` takes no `{argument}`: {error}") from error
    return Condition(text, holds, kind.depends, kind.obligation, kind.never_for)


def conditions(text: str) -> tuple[Condition, ...]:
    """All conditions of a rule, in its order; `always` is none.  Errors: UnknownCondition."""
    if text == ALWAYS:
        return ()
    return tuple(condition(part.strip()) for part in text.split("&"))


# --- the subject


def _acr(argument: str) -> Holds:
    level = int(argument)
    return lambda case: case.subject.acr >= level


def _amr(argument: str) -> Holds:
    return lambda case: argument in case.subject.amr


def _auth_time(argument: str) -> Holds:
    """Errors: ValueError for anything but a number of minutes."""
    if not argument.isdecimal() or not int(argument):
        raise ValueError("minutes are written as a number, such as `15`")
    age_max = timedelta(minutes=int(argument))
    return lambda case: (
        case.subject.authenticated_at_utc is not None
        and case.now - case.subject.authenticated_at_utc <= age_max
    )


def _organisation(argument: str) -> Holds:
    return lambda case: argument in case.subject.organisations


def _granted(argument: str) -> Holds:
    # A token is bound to the person who granted it: no scope reaches anybody else's rows.
    return lambda case: _acts_for_owner(case) and argument in case.subject.scopes


def _granted_metric(argument: str) -> Holds:
    return lambda case: (
        _acts_for_owner(case) and standing.covers_metric(case.subject.scopes, argument, case.question)
    )


def _smart(argument: str) -> Holds:
    """SMART App Launch v2: `patient/Observation.rs`, `patient/*.rs`."""

    def holds(case: Case) -> bool:
        wanted = (case.question.resource_type or "", "*")
        return _acts_for_owner(case) and any(
            scope == f"patient/{kind}.{letters}" and argument in letters
            for scope in case.subject.scopes
            for kind, letters in [_smart_parts(scope)]
            if kind in wanted
        )

    return holds


def _service_scope(_: str) -> Holds:
    def holds(case: Case) -> bool:
        return f"service:{case.question.data_class}:{case.question.action}" in case.subject.scopes

    return holds


# --- where and when


def _zone(argument: str) -> Holds:
    return lambda case: case.subject.network_zone == argument


def _device(argument: str) -> Holds:
    known_as = {argument, "attested"} if argument == "registered" else {argument}
    return lambda case: case.subject.device in known_as


def _outside_hours(argument: str) -> Holds:
    first, last = _hours(argument)
    return lambda case: not first <= case.now.astimezone(UTC).hour < last


def _hours(argument: str) -> tuple[int, int]:
    """Errors: ValueError for anything but `08-18`."""
    first, _, last = argument.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last) <= 24):
        raise ValueError("hours are written as `08-18`, in UTC")
    return int(first), int(last)


# --- purpose and consent


def _purpose(argument: str) -> Holds:
    purpose = Purpose(argument)
    return lambda case: case.question.purpose is purpose


def _purpose_of_care(_: str) -> Holds:
    care = (Purpose.TREATMENT, Purpose.EMERGENCY_TREATMENT)
    return lambda case: case.question.purpose in care


def _consent_denies(_: str) -> Holds:
    return lambda case: any(
        consent.decision == "deny"
        and _concerns(consent, case)
        and consent.data_class in (None, case.question.data_class)
        and (not consent.labels or bool(consent.labels & case.question.labels))
        for consent in case.consents
    )


def _consent_permits(_: str) -> Holds:
    """Explicit: given for this class, and for every label the row carries."""

    def holds(case: Case) -> bool:
        given = [
            consent.labels
            for consent in case.consents
            if consent.decision == "permit"
            and _concerns(consent, case)
            and consent.data_class is case.question.data_class
        ]
        return bool(given) and case.question.labels <= frozenset().union(*given)

    return holds


# --- the row


def _visible(argument: str) -> Holds:
    shown = _SHOWN_TO[Visibility(argument)]
    return lambda case: case.question.visibility in shown


def _own_act(_: str) -> Holds:
    return lambda case: case.question.created_by is not None and case.question.created_by == case.subject.id


def _not_own_act(_: str) -> Holds:
    return lambda case: case.question.created_by not in (None, "", case.subject.id)


def _four_eyes(_: str) -> Holds:
    return lambda case: case.question.approved_by not in (None, "", case.subject.id)


def _legal_hold(_: str) -> Holds:
    return lambda case: "legal_hold" in case.question.labels


def _licensed_here(_: str) -> Holds:
    return lambda case: case.question.region is None or case.question.region == case.subject.region


# --- regions


def _abroad(_: str) -> Holds:
    """Rows would leave their region: the caller is at home in another."""
    return lambda case: (
        case.subject.served_in is not None and case.subject.region not in (None, case.subject.served_in)
    )


def _abroad_in(argument: str) -> Holds:
    leaves = _abroad(argument)
    return lambda case: leaves(case) and case.subject.region == argument


_SHOWN_TO = {
    Visibility.EVERYONE: frozenset({Visibility.EVERYONE}),
    Visibility.FRIENDS: frozenset({Visibility.EVERYONE, Visibility.FRIENDS}),
}

_ANY: frozenset[str] = frozenset()

KINDS: Mapping[str, Kind] = {
    "acr": Kind(
        _acr,
        Depends.SUBJECT,
        "authenticated at this level or above",
        frozenset({"1", "2", "3"}),
        Obligation.STEP_UP,
    ),
    "amr": Kind(
        _amr,
        Depends.SUBJECT,
        "logged in with this, among others",
        frozenset({"pwd", "otp", "mfa", "pop"}),
        Obligation.STEP_UP,
    ),
    # Not settled by what a caller is: it stops holding by itself.
    "auth_time": Kind(
        _auth_time, Depends.OWNER, "logged in this many minutes ago at most", _ANY, Obligation.STEP_UP
    ),
    "organisation": Kind(
        _organisation, Depends.SUBJECT, "a member, or a program, of this organisation", _ANY
    ),
    "granted": Kind(_granted, Depends.SUBJECT, "the owner granted the client this scope", _ANY),
    "granted_metric": Kind(_granted_metric, Depends.ROW, "…for all metrics or this one", _ANY),
    "smart": Kind(_smart, Depends.ROW, "a SMART scope of the owner for the row's type", frozenset("cruds")),
    "service_scope": Kind(_service_scope, Depends.SUBJECT, "scope `service:CLASS:ACTION`"),
    # Not settled by what a caller is: the same caller may stand elsewhere, or ask later.
    "zone": Kind(_zone, Depends.OWNER, "the call comes from this network zone", _ANY),
    "device": Kind(
        _device,
        Depends.OWNER,
        "the device in use is known as this; an attested one is registered too",
        frozenset({"registered", "attested", "compromised"}),
    ),
    "outside_hours": Kind(_outside_hours, Depends.OWNER, "it is not between these hours of UTC", _ANY),
    "assigned": Kind(
        standing.assigned,
        Depends.OWNER,
        "this role counts for the owner, by its limits",
        frozenset(role.value for role in Role),
    ),
    "link": Kind(standing.link, Depends.OWNER, "a coach link with this scope", _ANY),
    "link_metric": Kind(standing.link_metric, Depends.ROW, "…for all metrics or this one", _ANY),
    "guardian_scope": Kind(standing.guardian_scope, Depends.OWNER, "guardianship with this scope", _ANY),
    "not_owner": Kind(
        standing.not_owner, Depends.OWNER, "somebody else's row", never_for=frozenset({Relation.SELF.value})
    ),
    "emergency": Kind(
        standing.emergency,
        Depends.OWNER,
        "a break-glass grant with reason, an hour at most",
        frozenset({"", "second_clinician"}),
    ),
    "no_emergency": Kind(
        standing.no_emergency, Depends.OWNER, "no such grant", frozenset({"", "second_clinician"})
    ),
    "purpose": Kind(
        _purpose,
        Depends.PURPOSE,
        "the caller states this purpose",
        frozenset(purpose.value for purpose in Purpose),
        Obligation.PURPOSE,
    ),
    "purpose_of_care": Kind(
        _purpose_of_care, Depends.PURPOSE, "TREAT or ETREAT", obligation=Obligation.PURPOSE
    ),
    "consent_denies": Kind(
        _consent_denies, Depends.OWNER, "the owner denies it", obligation=Obligation.CONSENT
    ),
    "consent_permits": Kind(
        _consent_permits, Depends.ROW, "the owner permits it, by label", obligation=Obligation.CONSENT
    ),
    "visible": Kind(
        _visible, Depends.ROW, "the owner shows the row to this circle", frozenset({"everyone", "friends"})
    ),
    "own_act": Kind(_own_act, Depends.ROW, "the row records the subject's own act"),
    "not_own_act": Kind(_not_own_act, Depends.ROW, "the row records somebody else's act"),
    "four_eyes": Kind(_four_eyes, Depends.ROW, "a second person approved it"),
    "legal_hold": Kind(_legal_hold, Depends.ROW, "the row is under legal hold"),
    # Not settled by what a caller is: at home it does not hold.
    "abroad": Kind(
        _abroad, Depends.OWNER, "the caller is at home in another region", obligation=Obligation.REGION
    ),
    "abroad_in": Kind(_abroad_in, Depends.OWNER, "…in this one", _ANY, obligation=Obligation.REGION),
    "licensed_here": Kind(_licensed_here, Depends.ROW, "the subject's region is the row's, if it has one"),
}


def _acts_for_owner(case: Case) -> bool:
    return case.subject.id is not None and case.subject.id == case.question.owner_id


def _smart_parts(scope: str) -> tuple[str, str]:
    kind, _, letters = scope.removeprefix("patient/").partition(".")
    return kind, letters


def _concerns(consent: ConsentFact, case: Case) -> bool:
    return (
        consent.patient_id == case.question.owner_id
        and consent.actor_id in (None, actor_of(case.subject))
        and consent.purpose in (None, case.question.purpose)
    )
