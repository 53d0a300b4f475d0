"""Guardians of minors: who asks to be one, who confirms it, and when it ends. Pure.

REQUESTED by the guardian with a proof -> confirmed by another guardian or by a moderator -> ACTIVE until the
minor comes of age, or until it is ended. A minor who contests it leaves the word to a moderator alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from authz.classes import Relation
from authz.facts.model import RelationshipFact
from subgraphs.profiles.ages import majority_years, own_consent_years
from subgraphs.profiles.model import Profile, RuleBroken, age_years

EVIDENCE_CHARACTERS_MIN = 20
EVIDENCE_CHARACTERS_MAX = 1_000
REQUEST_MAX = timedelta(days=30)
REQUESTS_PER_GUARDIAN_MAX = 5
GUARDIANS_PER_MINOR_MAX = 4


class GuardianKind(StrEnum):
    """By what right somebody is a guardian."""

    PARENT = "PARENT"
    LEGAL_GUARDIAN = "LEGAL_GUARDIAN"


class GuardianshipState(StrEnum):
    """Where a guardianship stands. Only ACTIVE opens anything."""

    REQUESTED = "REQUESTED"
    ACTIVE = "ACTIVE"
    DECLINED = "DECLINED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Guardianship:
    """That somebody is, or asks to be, the guardian of a minor.

    `contested`: the minor has said no, so that only a moderator decides. `restricted_until`: the day until
    which what is restricted is open, None for never. `valid_until_utc` is set when it becomes ACTIVE.
    INVARIANT: `version` grows with every change of any guardianship between the two.
    """

    id: str
    minor_id: str
    guardian_id: str
    kind: GuardianKind
    state: GuardianshipState
    evidence: str
    contested: bool
    restricted_until: date | None
    created_at_utc: datetime
    decided_by: str | None
    valid_from_utc: datetime | None
    valid_until_utc: datetime | None
    version: int

    def participant(self, user_id: str | None) -> bool:
        """Whether it is theirs: it belongs to both its ends."""
        return user_id is not None and user_id in (self.minor_id, self.guardian_id)

    def current_state(self, now: datetime) -> GuardianshipState:
        """The state, with time taken into account: whoever came of age has no guardian."""
        if self.state is GuardianshipState.REQUESTED and now >= self.created_at_utc + REQUEST_MAX:
            return GuardianshipState.DECLINED
        over = self.valid_until_utc is not None and now >= self.valid_until_utc
        return GuardianshipState.ENDED if over and self.state is GuardianshipState.ACTIVE else self.state

    def fact(self, now: datetime) -> RelationshipFact:
        """What decisions are to know of it; one that is not ACTIVE has ended."""
        active = self.state is GuardianshipState.ACTIVE
        opened = active and self.restricted_until is not None
        return RelationshipFact(
            subject_id=self.guardian_id,
            relation=Relation.GUARDIAN,
            object_id=self.minor_id,
            scopes=frozenset({f"restricted:until:{self.restricted_until}"} if opened else ()),
            valid_from_utc=min(self.valid_from_utc or now, now),
            valid_until_utc=self.valid_until_utc if active else now,
            version=self.version,
        )


def is_of_age(profile: Profile | None, today: date) -> bool | None:
    """Whether somebody may guard; None where they do not say when they were born."""
    if profile is None or profile.birth_date is None:
        return None
    return age_years(profile.birth_date, today) >= majority_years(profile.home_region)


def requested(
    *,
    id: str,
    guardian_id: str,
    of_age: bool | None,
    minor_id: str,
    kind: GuardianKind,
    evidence: str,
    now: datetime,
    version: int,
) -> Guardianship:
    """Somebody's word that they are a guardian. Whether the other is a minor is not told before it is
    confirmed: a request must not tell a stranger how old somebody is. `of_age` is None where the guardian
    does not say when they were born.  Errors: RuleBroken.
    """
    if of_age is None:
        raise RuleBroken("BIRTH_DATE_NEEDED", "minorId", "first say in your profile when you were born")
    if not of_age:
        raise RuleBroken("NOT_OF_AGE", "minorId", "a guardian is of age where they are at home")
    if guardian_id == minor_id:
        raise RuleBroken("OWN_GUARDIAN", "minorId", "nobody is their own guardian")
    if not EVIDENCE_CHARACTERS_MIN <= len(evidence) <= EVIDENCE_CHARACTERS_MAX:
        told = f"say in {EVIDENCE_CHARACTERS_MIN} to {EVIDENCE_CHARACTERS_MAX} characters what proves it"
        raise RuleBroken("BAD_EVIDENCE", "evidence", told)
    state = GuardianshipState.REQUESTED
    return Guardianship(
        id, minor_id, guardian_id, kind, state, evidence, contested=False, restricted_until=None,
        created_at_utc=now, decided_by=None, valid_from_utc=None, valid_until_utc=None, version=version,
    )  # fmt: skip


def confirmed(
    asked: Guardianship,
    minor: Profile | None,
    *,
    by: str,
    as_guardian: bool,
    open_restricted: bool,
    now: datetime,
) -> Guardianship:
    """Somebody else stands by it: it is ACTIVE until the minor comes of age where they are at home now.

    A minor who says later to be at home elsewhere comes of age no sooner by that.

    `as_guardian`: by the right of being one, which neither decides what the minor contests nor opens what is
    restricted. Errors: RuleBroken.
    """
    _require_state(asked, GuardianshipState.REQUESTED, now)
    if as_guardian and (asked.contested or open_restricted):
        raise RuleBroken("MODERATOR_NEEDED", "id", "this is for a moderator to decide")
    if minor is None or minor.birth_date is None:
        raise RuleBroken("NOT_A_MINOR", "id", "nothing says that this person is a minor")
    today = now.astimezone(ZoneInfo(minor.time_zone)).date()
    of_age, own_word = majority_years(minor.home_region), own_consent_years(minor.home_region)
    if age_years(minor.birth_date, today) >= of_age:
        raise RuleBroken("NOT_A_MINOR", "id", "this person is of age and needs no guardian")
    restricted_until = birthday(minor.birth_date, own_word) if open_restricted else None
    if restricted_until is not None and restricted_until <= today:
        told = f"from {own_word} on, what is restricted stays with the minor"
        raise RuleBroken("TOO_OLD", "openRestricted", told)
    return _next(
        asked,
        state=GuardianshipState.ACTIVE,
        decided_by=by,
        restricted_until=restricted_until,
        valid_from_utc=now,
        valid_until_utc=_first_moment_utc(birthday(minor.birth_date, of_age), minor.time_zone),
    )


def declined(asked: Guardianship, *, by: str, now: datetime) -> Guardianship:
    """Whoever could confirm it says no, or the guardian takes it back.  Errors: RuleBroken."""
    _require_state(asked, GuardianshipState.REQUESTED, now)
    return _next(asked, state=GuardianshipState.DECLINED, decided_by=by)


def lapsed(asked: Guardianship) -> Guardianship:
    """Nobody has confirmed it in time."""
    return _next(asked, state=GuardianshipState.DECLINED)


def contested(standing: Guardianship, *, now: datetime) -> Guardianship:
    """The minor says no: a moderator has to look at it.  Errors: RuleBroken."""
    if standing.current_state(now) not in (GuardianshipState.REQUESTED, GuardianshipState.ACTIVE):
        raise _wrong_state(standing, now)
    if standing.contested:
        raise RuleBroken("CONTESTED", "id", "this is contested already")
    return _next(standing, contested=True)


def upheld(standing: Guardianship, *, now: datetime) -> Guardianship:
    """A moderator has looked at what the minor contests, and it stays.  Errors: RuleBroken."""
    _require_state(standing, GuardianshipState.ACTIVE, now)
    if not standing.contested:
        raise RuleBroken("NOT_CONTESTED", "id", "nobody contests this")
    return _next(standing, contested=False)


def ended(standing: Guardianship, *, by: str | None, now: datetime) -> Guardianship:
    """It is over: the guardian or a moderator ends it, or time did (None).  Errors: RuleBroken."""
    if by is not None:
        _require_state(standing, GuardianshipState.ACTIVE, now)
    until = min(now, standing.valid_until_utc or now)
    return _next(standing, state=GuardianshipState.ENDED, decided_by=by, valid_until_utc=until)


def birthday(birth_date: date, years: int) -> date:
    """The day on which somebody becomes that old; who was born on 29 February, on 1 March."""
    try:
        return birth_date.replace(year=birth_date.year + years)
    except ValueError:
        return date(birth_date.year + years, 3, 1)


def _first_moment_utc(day: date, time_zone: str) -> datetime:
    return datetime.combine(day, time(), tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def _next(standing: Guardianship, **changes: object) -> Guardianship:
    return replace(standing, version=standing.version + 1, **changes)  # type: ignore[arg-type]


def _require_state(standing: Guardianship, state: GuardianshipState, now: datetime) -> None:
    if standing.current_state(now) is not state:
        raise _wrong_state(standing, now)


def _wrong_state(standing: Guardianship, now: datetime) -> RuleBroken:
    return RuleBroken("WRONG_STATE", "id", f"the guardianship is {standing.current_state(now).value}")
