"""Profiles' part of the graph: queries and mutations, thin."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from authz.classes import DataClass, Visibility
from subgraphs.kit import UserError, classified, clean_text, not_found, resolved, ruled, sets
from subgraphs.profiles import changes, model
from subgraphs.profiles.entities import CoachLink, Profile, ProfilesInfo, Settings
from subgraphs.profiles.model import RuleBroken

SETTING = strawberry.argument(metadata=sets(DataClass.PERSONAL))
OF_BOTH_ENDS = strawberry.argument(metadata=ruled(by="the link's athlete and coach"))
OF_THE_ATHLETE = strawberry.argument(metadata=ruled(by="the link's athlete"))
OF_THE_COACH = strawberry.argument(metadata=ruled(by="the invited coach"))


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    """Questions that profiles answers."""

    @resolved(authenticated=True)
    async def coach_link(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_BOTH_ENDS]
    ) -> CoachLink | None:
        """One of the caller's links, at either end."""
        link = await info.context.links.load(str(id))
        if link is None:
            raise not_found()
        return CoachLink.of(link, info)


@strawberry.input
class UpdateProfileInput:
    """What to change; what is left out stays, null takes away where it may be absent."""

    display_name: str | None = UNSET
    birth_date: dt.date | None = UNSET
    sex: model.Sex | None = UNSET
    height_m: float | None = UNSET
    home_region: str | None = UNSET
    locale: str | None = UNSET
    time_zone: str | None = UNSET
    units: model.Units | None = UNSET
    version: int | None = strawberry.field(default=None, description="The version this was made to.")


@strawberry.input
class UpdateSettingsInput:
    """What to change; what is left out stays."""

    name_visibility: Visibility | None = UNSET
    details_visibility: Visibility | None = UNSET
    week_starts_on: int | None = UNSET


@strawberry.input
class InviteCoachInput:
    """Whom to let in, to what, and until when."""

    coach_id: strawberry.ID
    scopes: list[model.CoachScope]
    message: str = ""
    valid_until: dt.datetime | None = strawberry.field(default=None, description="365 days if left out.")


# What a payload tells is its actor's own, or guards itself: hence PUBLIC.


@classified(DataClass.PUBLIC)
@strawberry.type
class ProfilePayload:
    """The profile as it is now, or what was wrong."""

    profile: Profile | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class SettingsPayload:
    """The settings as they are now, or what was wrong."""

    settings: Settings | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class CoachLinkPayload:
    """The link as it is now, or what was wrong."""

    coach_link: CoachLink | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    """What can be done to profiles and coach links."""

    @resolved(authenticated=True)
    async def update_profile(
        self, info: ProfilesInfo, input: Annotated[UpdateProfileInput, SETTING]
    ) -> ProfilePayload | None:
        """Change the caller's own profile."""
        return await updated(info, info.context.caller_id, input)

    @resolved(authenticated=True)
    async def update_settings(
        self, info: ProfilesInfo, input: Annotated[UpdateSettingsInput, SETTING]
    ) -> SettingsPayload | None:
        """Change the caller's own settings."""
        given = _given(input, "name_visibility details_visibility week_starts_on")
        try:
            profile = await changes.change_profile(
                info.context.profiles, info.context.caller_id, given, version=None
            )
        except RuleBroken as broken:
            return SettingsPayload(user_errors=told(broken))
        return SettingsPayload(settings=Settings.of(profile))

    @resolved(authenticated=True)
    async def invite_coach(
        self, info: ProfilesInfo, input: Annotated[InviteCoachInput, SETTING]
    ) -> CoachLinkPayload | None:
        """Ask somebody to be the caller's coach. Nothing is open before they accept."""
        message = clean_text(input.message, "message", characters_max=model.MESSAGE_CHARACTERS_MAX)
        return await _link(
            info,
            changes.invite(
                info.context.profiles,
                athlete_id=info.context.caller_id,
                coach_id=str(input.coach_id),
                scopes=frozenset(input.scopes),
                message=message,
                valid_until_utc=input.valid_until,
            ),
        )

    @resolved(authenticated=True)
    async def accept_coach(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_COACH]
    ) -> CoachLinkPayload | None:
        """The invited coach says yes; the scopes are open from now on."""
        actor_id = info.context.caller_id
        return await _changed(info, id, lambda link, now: model.accepted(link, actor_id=actor_id, now=now))

    @resolved(authenticated=True)
    async def decline_coach(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_COACH]
    ) -> CoachLinkPayload | None:
        """The invited coach says no."""
        actor_id = info.context.caller_id
        return await _changed(info, id, lambda link, now: model.declined(link, actor_id=actor_id, now=now))

    @resolved(authenticated=True)
    async def set_coach_scopes(
        self,
        info: ProfilesInfo,
        id: Annotated[strawberry.ID, OF_BOTH_ENDS],
        scopes: Annotated[list[model.CoachScope], OF_BOTH_ENDS],
    ) -> CoachLinkPayload | None:
        """Open and close; the coach may only give away."""
        actor_id = info.context.caller_id
        return await _changed(
            info,
            id,
            lambda link, now: model.with_scopes(link, frozenset(scopes), actor_id=actor_id, now=now),
        )

    @resolved(authenticated=True)
    async def pause_coach_link(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_ATHLETE]
    ) -> CoachLinkPayload | None:
        """The athlete closes everything for now."""
        actor_id = info.context.caller_id
        return await _changed(info, id, lambda link, now: model.paused(link, actor_id=actor_id, now=now))

    @resolved(authenticated=True)
    async def resume_coach_link(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_ATHLETE]
    ) -> CoachLinkPayload | None:
        """The athlete opens it again."""
        actor_id = info.context.caller_id
        return await _changed(info, id, lambda link, now: model.resumed(link, actor_id=actor_id, now=now))

    @resolved(authenticated=True)
    async def end_coach_link(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_BOTH_ENDS]
    ) -> CoachLinkPayload | None:
        """Either end ends it for good."""
        return await _changed(info, id, lambda link, now: model.ended(link, now=now))


async def updated(info: ProfilesInfo, user_id: str, input: UpdateProfileInput) -> ProfilePayload:
    """The payload of a change to somebody's profile; who may make it, was decided before."""
    given = _given(input, "display_name birth_date sex height_m home_region locale time_zone units")
    if "display_name" in given:
        given["display_name"] = clean_text(
            given["display_name"], "displayName", characters_max=model.DISPLAY_NAME_CHARACTERS_MAX
        )
    try:
        profile = await changes.change_profile(info.context.profiles, user_id, given, version=input.version)
    except RuleBroken as broken:
        return ProfilePayload(user_errors=told(broken))
    return ProfilePayload(profile=Profile(row=profile))


def _given(input: Any, names: str) -> dict[str, Any]:
    """The named inputs that were given. Null for one that cannot be absent counts as left out."""
    may_be_absent = {"birth_date", "sex", "height_m", "home_region"}
    given = {name: getattr(input, name) for name in names.split() if getattr(input, name) is not UNSET}
    return {name: value for name, value in given.items() if value is not None or name in may_be_absent}


async def _changed(info: ProfilesInfo, id: strawberry.ID, change: changes.Change) -> CoachLinkPayload:
    return await _link(
        info,
        changes.change_link(info.context.profiles, str(id), actor_id=info.context.caller_id, change=change),
    )


async def _link(info: ProfilesInfo, pending: Awaitable[model.CoachLink]) -> CoachLinkPayload:
    try:
        return CoachLinkPayload(coach_link=CoachLink.of(await pending, info))
    except RuleBroken as broken:
        return CoachLinkPayload(user_errors=told(broken))


def told(broken: RuleBroken) -> list[UserError]:
    """A broken rule as payloads tell of it."""
    return [UserError(code=broken.code, field=broken.field, message=broken.message)]
