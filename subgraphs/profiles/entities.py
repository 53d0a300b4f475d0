"""Profiles' entities and what a request loads of them, each in one query for all that ask."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

import strawberry
from aiodataloader import DataLoader
from strawberry.types.info import Info

from authz.classes import Action, DataClass, Purpose, Visibility
from datastores.events.port import Events
from subgraphs.kit import (
    Connection,
    CursorSigner,
    PurposeOfUse,
    RequestContext,
    RowAccess,
    binding,
    classified,
    connection,
    page_request,
    reads,
    resolved,
)
from subgraphs.profiles import guardianship, model, store
from subgraphs.profiles.access import link_owner, profile_access
from subgraphs.profiles.changes import Profiles
from subgraphs.profiles.guardian_entities import GUARDIANSHIP, Guardianship

for _enum, _description in (
    (model.Sex, "Which variant of a formula fits a body; not gender."),
    (model.Units, "How distances and weights are shown."),
    (model.AgeBand, "How old somebody is, as others see it."),
    (model.CoachScope, "What an athlete opens to a coach."),
    (model.LinkState, "Where a coach link stands. Only ACTIVE opens anything."),
    (Visibility, "To whom somebody shows something."),
):
    strawberry.enum(_enum, description=_description)


@dataclass(kw_only=True)
class ProfilesContext(RequestContext):
    """What profiles' resolvers find in `info.context`."""

    profiles: Profiles
    cursors: CursorSigner
    people: DataLoader[str, model.Profile | None]
    known: DataLoader[str, bool | None]
    links: DataLoader[str, model.CoachLink | None]
    coaches: DataLoader[str, list[model.CoachLink] | None]
    guardianships: DataLoader[str, guardianship.Guardianship | None]
    guardians: DataLoader[str, list[guardianship.Guardianship] | None]
    wards: DataLoader[str, list[guardianship.Guardianship] | None]
    events: Events


ProfilesInfo = Info[ProfilesContext, None]
NAME = classified(DataClass.PERSONAL, action=Action.NAME)
IDENTITY = classified(DataClass.PERSONAL, action=Action.IDENTITY)


@classified(DataClass.PERSONAL)
@strawberry.type(description="What somebody says of themselves.")
class Profile:
    """A profile, its parts each for their own circle."""

    row: strawberry.Private[model.Profile]
    purpose: strawberry.Private[Purpose | None] = None

    def row_access(self, data_class: DataClass, action: str) -> RowAccess:
        """Whose it is, and to whom this part is shown."""
        return profile_access(self.row, data_class, action, purpose=self.purpose)

    @resolved(NAME)
    def display_name(self) -> str | None:
        """The name that others know somebody by."""
        return self.row.display_name

    @resolved(IDENTITY)
    def birth_date(self) -> dt.date | None:
        """The day of birth; to some callers only its year, as 1 January."""
        return self.row.birth_date

    @resolved(IDENTITY)
    def sex(self) -> model.Sex | None:
        """For formulas that differ by it."""
        return self.row.sex

    @resolved()
    def height_m(self) -> float | None:
        """Height in metres."""
        return self.row.height_m

    @resolved(classified(DataClass.SOCIAL))
    def age_band(self, info: ProfilesInfo) -> model.AgeBand | None:
        """How old somebody is, as others see it."""
        today = info.context.profiles.now().date()
        return None if self.row.birth_date is None else model.age_band(self.row.birth_date, today)

    @resolved(classified(DataClass.SOCIAL))
    def home_region(self) -> str | None:
        """Where somebody is at home, an ISO 3166 code."""
        return self.row.home_region

    @resolved()
    def locale(self) -> str | None:
        """The language and its region, a BCP 47 tag."""
        return self.row.locale

    @resolved()
    def time_zone(self) -> str | None:
        """The IANA name of the time zone that days are counted in."""
        return self.row.time_zone

    @resolved()
    def units(self) -> model.Units | None:
        """How distances and weights are shown."""
        return self.row.units

    @resolved()
    def version(self) -> int | None:
        """Counts changes; hand it back with the next one."""
        return self.row.version


@classified(DataClass.PERSONAL)
@strawberry.type(description="How somebody wants things.")
class Settings:
    """Settings are nobody's but their owner's."""

    owner_id: strawberry.Private[str]
    name_visibility: Visibility | None = strawberry.field(description="Who sees the display name.")
    details_visibility: Visibility | None = strawberry.field(description="Who sees age band and home region.")
    week_starts_on: int | None = strawberry.field(description="1 (Monday) to 7 (Sunday).")

    @classmethod
    def of(cls, profile: model.Profile) -> Settings:
        """The GraphQL object of a row."""
        return cls(
            owner_id=profile.user_id,
            name_visibility=profile.name_visibility,
            details_visibility=profile.details_visibility,
            week_starts_on=profile.week_starts_on,
        )


@classified(DataClass.PERSONAL)
@strawberry.federation.type(keys=["id"], description="What an athlete opens to a coach, and until when.")
class CoachLink:
    """A link, seen by one of its ends."""

    row: strawberry.Private[model.CoachLink]
    owner_id: strawberry.Private[str]
    id: strawberry.ID

    @resolved()
    def athlete(self) -> User | None:
        """Who opens."""
        return User(id=strawberry.ID(self.row.athlete_id))

    @resolved()
    def coach(self) -> User | None:
        """Who is let in."""
        return User(id=strawberry.ID(self.row.coach_id))

    @resolved()
    async def athlete_name(self, info: ProfilesInfo) -> str | None:
        """Who opens, by the name that both ends of a link know each other by."""
        athlete = await info.context.people.load(self.row.athlete_id)
        return None if athlete is None else athlete.display_name

    @resolved()
    async def coach_name(self, info: ProfilesInfo) -> str | None:
        """Who is let in, by the name that both ends of a link know each other by."""
        coach = await info.context.people.load(self.row.coach_id)
        return None if coach is None else coach.display_name

    @resolved()
    def state(self, info: ProfilesInfo) -> model.LinkState | None:
        """Where the link stands now."""
        return self.row.current_state(info.context.profiles.now())

    @resolved()
    def scopes(self) -> list[model.CoachScope] | None:
        """What is open while the link is ACTIVE."""
        return sorted(self.row.scopes)

    @resolved()
    def message(self) -> str | None:
        """What the athlete wrote with the invitation."""
        return self.row.message

    @resolved()
    def created_at(self) -> dt.datetime | None:
        """When the athlete invited."""
        return self.row.created_at_utc

    @resolved()
    def valid_from(self) -> dt.datetime | None:
        """When the coach accepted."""
        return None if self.row.state is model.LinkState.INVITED else self.row.valid_from_utc

    @resolved()
    def valid_until(self) -> dt.datetime | None:
        """When the link ends, or ended."""
        return self.row.valid_until_utc

    @classmethod
    def of(cls, link: model.CoachLink, info: ProfilesInfo) -> CoachLink:
        """The GraphQL object of a row, as this caller sees it."""
        return cls(row=link, owner_id=link_owner(link, info.context.subject), id=strawberry.ID(link.id))

    @classmethod
    async def resolve_reference(cls, info: ProfilesInfo, id: str) -> CoachLink | None:
        """A link of the caller's; others' are as if they did not exist."""
        link = await info.context.links.load(id)
        return None if link is None else cls.of(link, info)


@classified(DataClass.PERSONAL)
@strawberry.federation.type(keys=["id"])
class User:
    """Of accounts; profiles adds what people say of themselves and who coaches them."""

    id: strawberry.ID

    def owner_id(self) -> str:
        """Everybody owns what is theirs."""
        return str(self.id)

    @resolved(classified(DataClass.PUBLIC))
    async def profile(self, info: ProfilesInfo, purpose: PurposeOfUse | None = None) -> Profile | None:
        """What this user says of themselves; callers whose rights depend on it state a purpose."""
        row = await info.context.people.load(str(self.id))
        if row is None and await info.context.known.load(str(self.id)):
            row = model.unseen(str(self.id))
        return None if row is None else Profile(row=row, purpose=None if purpose is None else purpose.value)

    @resolved()
    async def settings(self, info: ProfilesInfo) -> Settings | None:
        """How this user wants things."""
        row = await info.context.people.load(str(self.id))
        return None if row is None else Settings.of(row)

    @resolved()
    async def coaches(
        self,
        info: ProfilesInfo,
        state: Annotated[
            model.LinkState | None, strawberry.argument(metadata=reads("CoachLink.state"))
        ] = None,
    ) -> list[CoachLink] | None:
        """This user's links with coaches, newest first, at most 100."""
        links = await info.context.coaches.load(str(self.id)) or []
        now = info.context.profiles.now()
        return [
            CoachLink.of(link, info) for link in links if state is None or link.current_state(now) is state
        ]

    @resolved()
    async def athletes(
        self,
        info: ProfilesInfo,
        state: Annotated[
            model.LinkState | None, strawberry.argument(metadata=reads("CoachLink.state"))
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[CoachLink] | None:
        """This user's roster: links with athletes, INVITED, ACTIVE and PAUSED unless a state is named."""
        context, now = info.context, info.context.profiles.now()
        going = [model.LinkState.INVITED, model.LinkState.ACTIVE, model.LinkState.PAUSED]
        states = going if state is None else [state]
        bound_to = binding(context.subject.id, "User.athletes", {"coach": self.id, "states": states})
        page = page_request(context.cursors, bound_to=bound_to, first=first, after=after)
        links, total = await context.profiles.relational.read(
            lambda c: (
                store.roster_page(
                    c,
                    str(self.id),
                    states=states,
                    after_id=None if page.after is None else str(page.after[0]),
                    limit=page.limit,
                    now=now,
                ),
                store.count_roster(c, str(self.id), states=states, now=now),
            )
        )
        return connection(
            links,
            page,
            context.cursors,
            bound_to=bound_to,
            sort_key=lambda link: (link.id,),
            node=lambda link: CoachLink.of(link, info),
            total_count=total,
        )

    @resolved(GUARDIANSHIP)
    async def guardians(self, info: ProfilesInfo) -> list[Guardianship] | None:
        """Who guards this user, asks to, or did, newest first, at most 100."""
        found = await info.context.guardians.load(str(self.id)) or []
        return [Guardianship.of(each, info.context) for each in found]

    @resolved(GUARDIANSHIP)
    async def wards(self, info: ProfilesInfo) -> list[Guardianship] | None:
        """Whom this user guards, asks to, or did, newest first, at most 100."""
        found = await info.context.wards.load(str(self.id)) or []
        return [Guardianship.of(each, info.context) for each in found]

    @classmethod
    def resolve_reference(cls, info: ProfilesInfo, id: str) -> User:
        """Whatever is asked of a user whom accounts knows; of others there is nothing to tell."""
        return cls(id=strawberry.ID(id))
