"""Profiles' values and rules: what a profile may say, and how a coach link goes from state to state. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import available_timezones

from authz.classes import Relation, Visibility
from authz.facts.model import RelationshipFact

DISPLAY_NAME_CHARACTERS_MAX = 80
AGE_YEARS_MIN = 13
AGE_YEARS_MAX = 120
HEIGHT_M_MIN = 0.5
HEIGHT_M_MAX = 2.75
LINK_DEFAULT = timedelta(days=365)
LINK_MAX = timedelta(days=730)
INVITATION_MAX = timedelta(days=30)
COACHES_PER_ATHLETE_MAX = 20
ATHLETES_PER_COACH_MAX = 1_000
MESSAGE_CHARACTERS_MAX = 500

_TIME_ZONES = frozenset(available_timezones())


class Sex(StrEnum):
    """Which variant of a formula fits a body; not gender, which nobody asks for."""

    FEMALE = "FEMALE"
    MALE = "MALE"


class Units(StrEnum):
    """How distances and weights are shown. Inside they are SI."""

    METRIC = "METRIC"
    IMPERIAL = "IMPERIAL"


class AgeBand(StrEnum):
    """How old somebody is, as others see it."""

    UNDER_18 = "UNDER_18"
    FROM_18 = "FROM_18"
    FROM_30 = "FROM_30"
    FROM_40 = "FROM_40"
    FROM_50 = "FROM_50"
    FROM_60 = "FROM_60"
    FROM_70 = "FROM_70"


class CoachScope(StrEnum):
    """What an athlete opens to a coach; the values are the words of policies."""

    TRAINING = "training"
    PLAN = "plan"
    LOCATION = "location"
    WELLNESS = "wellness"
    CLEARANCE = "clearance"
    CONTACT = "contact"
    SOCIAL = "social"


class LinkState(StrEnum):
    """Where a coach link stands. Only ACTIVE opens anything."""

    INVITED = "INVITED"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Profile:
    """What somebody says of themselves. `version` counts changes, for optimistic locking."""

    user_id: str
    display_name: str
    birth_date: date | None = None
    sex: Sex | None = None
    height_m: float | None = None
    home_region: str | None = None
    locale: str = "en"
    time_zone: str = "UTC"
    units: Units = Units.METRIC
    name_visibility: Visibility = Visibility.FRIENDS
    details_visibility: Visibility = Visibility.PRIVATE
    week_starts_on: int = 1
    version: int = 1


@dataclass(frozen=True, slots=True)
class CoachLink:
    """An athlete's word that a coach may see `scopes` of what is theirs, until `valid_until_utc`.

    INVARIANT: `version` grows with every change of any link between the two, so that the fact of a later
    link is newer than that of an earlier one.
    """

    id: str
    athlete_id: str
    coach_id: str
    state: LinkState
    scopes: frozenset[CoachScope]
    message: str
    created_at_utc: datetime
    valid_from_utc: datetime
    valid_until_utc: datetime
    version: int

    def participant(self, user_id: str | None) -> bool:
        """Whether the link is theirs: it belongs to both its ends."""
        return user_id is not None and user_id in (self.athlete_id, self.coach_id)

    def current_state(self, now: datetime) -> LinkState:
        """The state, with time taken into account: what has run out is ENDED."""
        lapsed = self.state is LinkState.INVITED and now >= self.created_at_utc + INVITATION_MAX
        return LinkState.ENDED if lapsed or now >= self.valid_until_utc else self.state

    def fact(self, now: datetime) -> RelationshipFact:
        """What decisions are to know of the link; one that is not ACTIVE has ended."""
        active = self.state is LinkState.ACTIVE
        return RelationshipFact(
            subject_id=self.coach_id,
            relation=Relation.COACH,
            object_id=self.athlete_id,
            scopes=frozenset(scope.value for scope in self.scopes) if active else frozenset(),
            valid_from_utc=min(self.valid_from_utc, now),
            valid_until_utc=self.valid_until_utc if active else now,
            version=self.version,
        )


class RuleBroken(Exception):
    """A rule of this domain did not hold. `field` names the input; the message may be shown."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code, self.field, self.message = code, field, message


def checked_profile(profile: Profile, *, today: date) -> Profile:
    """`profile`, if everything in it can be so.  Errors: RuleBroken."""
    if not 1 <= len(profile.display_name) <= DISPLAY_NAME_CHARACTERS_MAX:
        message = f"a name has 1 to {DISPLAY_NAME_CHARACTERS_MAX} characters"
        raise RuleBroken("BAD_NAME", "displayName", message)
    if profile.birth_date is not None:
        _check_age(profile.birth_date, today)
    if profile.height_m is not None and not HEIGHT_M_MIN <= profile.height_m <= HEIGHT_M_MAX:
        message = f"a height is from {HEIGHT_M_MIN} to {HEIGHT_M_MAX} m"
        raise RuleBroken("BAD_HEIGHT", "heightM", message)
    if profile.home_region is not None and not re.fullmatch(
        r"[A-Z]{2}(-[A-Z0-9]{1,3})?", profile.home_region
    ):
        message = "a region is an ISO 3166 code such as `NO` or `NO-46`"
        raise RuleBroken("BAD_REGION", "homeRegion", message)
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", profile.locale):
        raise RuleBroken("BAD_LOCALE", "locale", "a locale is a BCP 47 tag such as `nb-NO`")
    if profile.time_zone not in _TIME_ZONES:
        raise RuleBroken("BAD_TIME_ZONE", "timeZone", "a time zone is an IANA name such as `Europe/Oslo`")
    if not 1 <= profile.week_starts_on <= 7:
        raise RuleBroken("BAD_WEEKDAY", "weekStartsOn", "a weekday is from 1 (Monday) to 7 (Sunday)")
    return profile


def _check_age(birth_date: date, today: date) -> None:
    if birth_date > today:
        raise RuleBroken("BAD_BIRTH_DATE", "birthDate", "this day has not come yet")
    age = age_years(birth_date, today)
    if age < AGE_YEARS_MIN:
        raise RuleBroken("TOO_YOUNG", "birthDate", f"an account is for people of {AGE_YEARS_MIN} or older")
    if age > AGE_YEARS_MAX:
        raise RuleBroken("BAD_BIRTH_DATE", "birthDate", f"nobody is older than {AGE_YEARS_MAX} years")


def unseen(user_id: str) -> Profile:
    """What stands for a profile that the database itself keeps from a caller: nothing of it is open."""
    return Profile(user_id, "", name_visibility=Visibility.PRIVATE, details_visibility=Visibility.PRIVATE)


def region_facts(before: Profile, after: Profile, *, now: datetime) -> list[RelationshipFact]:
    """What decisions are to know of a move: roles may be for the people of a region. Who is at home in a
    part of a region is at home in the region."""
    left, come = _regions(before.home_region), _regions(after.home_region)
    return [
        RelationshipFact(
            subject_id=after.user_id,
            relation=Relation.MEMBER,
            object_id=f"region:{region}",
            scopes=frozenset(),
            valid_from_utc=now,
            valid_until_utc=None if region in come else now,
            version=after.version,
        )
        for region in sorted(left ^ come)
    ]


def _regions(home_region: str | None) -> frozenset[str]:
    return frozenset() if home_region is None else frozenset({home_region, home_region[:2]})


def age_years(birth_date: date, today: date) -> int:
    """Whole years; somebody born on 29 February turns a year older on 1 March."""
    had_birthday = (today.month, today.day) >= (birth_date.month, birth_date.day)
    return today.year - birth_date.year - (0 if had_birthday else 1)


def age_band(birth_date: date, today: date) -> AgeBand:
    """The band that others see instead of a birth date."""
    age = age_years(birth_date, today)
    if age < 18:
        return AgeBand.UNDER_18
    return AgeBand(f"FROM_{18 if age < 30 else min(70, age // 10 * 10)}")


def invited(
    *,
    id: str,
    athlete_id: str,
    coach_id: str,
    scopes: frozenset[CoachScope],
    message: str,
    valid_until_utc: datetime | None,
    now: datetime,
    version: int,
) -> CoachLink:
    """An athlete's invitation.  Errors: RuleBroken."""
    if athlete_id == coach_id:
        raise RuleBroken("OWN_COACH", "coachId", "nobody is their own coach")
    if not scopes:
        raise RuleBroken("NO_SCOPES", "scopes", "open at least one scope")
    until = now + LINK_DEFAULT if valid_until_utc is None else valid_until_utc
    if not now < until <= now + LINK_MAX:
        message = f"a link ends within {LINK_MAX.days} days from now"
        raise RuleBroken("BAD_END", "validUntil", message)
    return CoachLink(id, athlete_id, coach_id, LinkState.INVITED, scopes, message, now, now, until, version)


def accepted(link: CoachLink, *, actor_id: str, now: datetime) -> CoachLink:
    """The coach says yes, to the scopes as they are.  Errors: RuleBroken."""
    _require(link, actor_id == link.coach_id, LinkState.INVITED, now)
    return _next(link, state=LinkState.ACTIVE, valid_from_utc=now)


def declined(link: CoachLink, *, actor_id: str, now: datetime) -> CoachLink:
    """The coach says no.  Errors: RuleBroken."""
    _require(link, actor_id == link.coach_id, LinkState.INVITED, now)
    return _next(link, state=LinkState.ENDED, valid_until_utc=now)


def with_scopes(link: CoachLink, scopes: frozenset[CoachScope], *, actor_id: str, now: datetime) -> CoachLink:
    """Other scopes: the athlete opens and closes, the coach may only give away.  Errors: RuleBroken."""
    if link.current_state(now) is LinkState.ENDED:
        raise _wrong_state(link, now)
    if not scopes:
        raise RuleBroken("NO_SCOPES", "scopes", "to open nothing, end or pause the link")
    if actor_id != link.athlete_id and not scopes <= link.scopes:
        raise RuleBroken("SCOPE_WIDENED", "scopes", "only the athlete opens more")
    return _next(link, scopes=scopes)


def paused(link: CoachLink, *, actor_id: str, now: datetime) -> CoachLink:
    """The athlete closes everything for now.  Errors: RuleBroken."""
    _require(link, actor_id == link.athlete_id, LinkState.ACTIVE, now)
    return _next(link, state=LinkState.PAUSED)


def resumed(link: CoachLink, *, actor_id: str, now: datetime) -> CoachLink:
    """The athlete opens it again.  Errors: RuleBroken."""
    _require(link, actor_id == link.athlete_id, LinkState.PAUSED, now)
    return _next(link, state=LinkState.ACTIVE)


def ended(link: CoachLink, *, now: datetime) -> CoachLink:
    """Either end ends it for good.  Errors: RuleBroken."""
    if link.current_state(now) is LinkState.ENDED:
        raise _wrong_state(link, now)
    return _next(link, state=LinkState.ENDED, valid_until_utc=now)


def _next(link: CoachLink, **changes: object) -> CoachLink:
    return replace(link, version=link.version + 1, **changes)  # type: ignore[arg-type]


def _require(link: CoachLink, allowed: bool, state: LinkState, now: datetime) -> None:
    if not allowed:
        raise RuleBroken("NOT_YOURS", "id", "this is for the other end of the link to do")
    if link.current_state(now) is not state:
        raise _wrong_state(link, now)


def _wrong_state(link: CoachLink, now: datetime) -> RuleBroken:
    return RuleBroken("WRONG_STATE", "id", f"the link is {link.current_state(now).value}")
