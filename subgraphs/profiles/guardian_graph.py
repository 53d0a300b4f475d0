"""Profiles' part of the graph for guardians of minors: ask, confirm, contest, end, and act for a ward."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Protocol, cast

import strawberry
from sqlalchemy import Connection as Transaction
from strawberry.federation.schema_directives import Authenticated

from authz.classes import Action, DataClass
from authz.rows import OwnerFilter
from datastores.events.port import LiveEvents
from subgraphs.kit import (
    Connection,
    PublicError,
    RowAccess,
    UserError,
    binding,
    classified,
    clean_text,
    connection,
    not_found,
    page_request,
    resolved,
    ruled,
)
from subgraphs.kit.absence import decide_as_if_hidden
from subgraphs.profiles import graph, guardian_store, guardians, guardianship
from subgraphs.profiles.entities import CoachLink, ProfilesContext, ProfilesInfo
from subgraphs.profiles.events import GUARDIANSHIP_CHANGED
from subgraphs.profiles.graph import CoachLinkPayload, ProfilePayload, UpdateProfileInput
from subgraphs.profiles.guardian_entities import Guardianship, knows
from subgraphs.profiles.model import RuleBroken
from subgraphs.profiles.tables import guardianships

ASKING = strawberry.argument(metadata=ruled(by="anybody of age: nothing opens before others confirm it"))
KNOWING = strawberry.argument(metadata=ruled(by="both ends, and PERSONAL guardianship of the minor"))
VOUCHING = strawberry.argument(metadata=ruled(by="PERSONAL vouch of the minor, as somebody else"))
OF_THE_MINOR = strawberry.argument(metadata=ruled(by="the minor"))
OF_THE_GUARDIAN = strawberry.argument(metadata=ruled(by="the guardian, or PERSONAL vouch of the minor"))
OF_A_WARD = strawberry.argument(metadata=ruled(by="the guardian of the link's athlete"))
WHOSE = strawberry.argument(metadata=ruled(by="PERSONAL write of the ward"))
SETTING_A_WARDS = strawberry.argument(metadata=ruled(by="PERSONAL write of the ward, before it is looked at"))
OWN_RULE = "own-act"


@strawberry.input
class RequestGuardianshipInput:
    """Whose guardian somebody says that they are, by what right, and what proves it."""

    minor_id: strawberry.ID
    kind: guardianship.GuardianKind
    evidence: str = strawberry.field(
        description="In 20 to 1000 characters; the minor and who confirms it read it."
    )


@strawberry.input
class ConfirmGuardianshipInput:
    """Which request somebody stands by."""

    id: strawberry.ID
    open_restricted: bool = strawberry.field(
        default=False,
        description="Also open what is restricted, until the age of own consent. Moderators only.",
    )


@classified(DataClass.PUBLIC)
@strawberry.type
class GuardianshipPayload:
    """The guardianship as it is now, or what was wrong."""

    guardianship: Guardianship | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class Query(graph.Query):
    """Questions that profiles answers, with those about guardians."""

    @resolved(authenticated=True)
    async def guardianship(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, KNOWING]
    ) -> Guardianship | None:
        """One guardianship."""
        return Guardianship.of(await _known(info, id), info.context)

    @resolved(authenticated=True)
    async def guardianships_to_decide(
        self, info: ProfilesInfo, first: int | None = None, after: str | None = None
    ) -> Connection[Guardianship] | None:
        """What waits for somebody's word, oldest first: to moderators all, to others what concerns them."""
        context = info.context
        bound_to = binding(context.subject.id, "Query.guardianshipsToDecide", {})
        asked = page_request(context.cursors, bound_to=bound_to, first=first, after=after)
        visible = await cast(_Filters, context.decisions).visible_owner_filter(
            DataClass.PERSONAL, Action.GUARDIANSHIP
        )
        chosen = guardian_store.to_decide(
            visible.predicate(owner=guardianships.c.minor_id), now=context.profiles.now()
        )
        after_id = None if asked.after is None else str(asked.after[0])
        rows, total = await context.profiles.relational.read(
            lambda c: guardian_store.page(c, chosen, after_id=after_id, limit=asked.limit)
        )
        return connection(
            rows,
            asked,
            context.cursors,
            bound_to=bound_to,
            sort_key=lambda row: (row.id,),
            node=lambda row: Guardianship.of(row, context),
            total_count=total,
        )


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation(graph.Mutation):
    """What can be done to profiles, coach links and guardianships."""

    @resolved(authenticated=True)
    async def request_guardianship(
        self, info: ProfilesInfo, input: Annotated[RequestGuardianshipInput, ASKING]
    ) -> GuardianshipPayload | None:
        """Ask to be known as a minor's guardian. Both are told; nothing opens before somebody confirms it."""
        context, minor_id = info.context, str(input.minor_id)
        evidence = clean_text(input.evidence, "evidence", characters_max=guardianship.EVIDENCE_CHARACTERS_MAX)
        guardian_id = context.caller_id
        context.trail.acts_on(minor_id, data_class=DataClass.PERSONAL, rule=OWN_RULE)
        return await _payload(
            info,
            guardians.request(
                context.profiles,
                guardian_id=guardian_id,
                minor_id=minor_id,
                kind=input.kind,
                evidence=evidence,
            ),
        )

    @resolved(authenticated=True)
    async def confirm_guardianship(
        self, info: ProfilesInfo, input: Annotated[ConfirmGuardianshipInput, VOUCHING]
    ) -> GuardianshipPayload | None:
        """Stand by a request, as another guardian or a moderator; it then holds until the minor is of age."""
        context, row = info.context, await _known(info, input.id)
        await _require_word(info, row)
        return await _payload(
            info,
            guardians.confirm(
                context.profiles, row.id, actor_id=context.caller_id, open_restricted=input.open_restricted
            ),
        )

    @resolved(authenticated=True)
    async def decline_guardianship(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_GUARDIAN]
    ) -> GuardianshipPayload | None:
        """Say no to a request, as who could confirm it; the guardian takes their own back."""
        context, row = info.context, await _known(info, id)
        await _require_own_or_word(info, row)
        actor_id = context.caller_id
        return await _changed(
            info, row, lambda _, asked, now: guardianship.declined(asked, by=actor_id, now=now)
        )

    @resolved(authenticated=True)
    async def contest_guardianship(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_MINOR]
    ) -> GuardianshipPayload | None:
        """The minor says that this is no guardian of theirs: a moderator has to look at it."""
        context, row = info.context, await _known(info, id)
        if row.minor_id != context.caller_id:
            raise not_found()
        return await _changed(info, row, lambda _, known, now: guardianship.contested(known, now=now))

    @resolved(authenticated=True)
    async def uphold_guardianship(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, VOUCHING]
    ) -> GuardianshipPayload | None:
        """A moderator has looked at what the minor contests, and it stays."""
        row = await _known(info, id)
        await _require_word(info, row)
        return await _changed(info, row, _upheld_by(info.context.caller_id))

    @resolved(authenticated=True)
    async def end_guardianship(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_THE_GUARDIAN]
    ) -> GuardianshipPayload | None:
        """End it at once: the guardian themselves, or a moderator."""
        row = await _known(info, id)
        await _require_own_or_word(info, row)
        return await _changed(info, row, _ended_by(info.context.caller_id))

    @resolved(authenticated=True)
    async def update_ward_profile(
        self,
        info: ProfilesInfo,
        user_id: Annotated[strawberry.ID, WHOSE],
        input: Annotated[UpdateProfileInput, SETTING_A_WARDS],
    ) -> ProfilePayload | None:
        """Change the profile of somebody whom the caller guards; the birth date stands."""
        decision = await info.context.decision(str(user_id), DataClass.PERSONAL, Action.WRITE)
        if not decision.allowed:
            raise PublicError("FORBIDDEN", "not allowed to set `input`")
        return await graph.updated(info, str(user_id), input)

    @resolved(authenticated=True)
    async def end_ward_coach_link(
        self, info: ProfilesInfo, id: Annotated[strawberry.ID, OF_A_WARD]
    ) -> CoachLinkPayload | None:
        """A guardian ends what a minor has opened to a coach."""
        context = info.context
        try:
            link = await guardians.end_coach_link(context.profiles, str(id), guardian_id=context.caller_id)
        except RuleBroken as broken:
            return CoachLinkPayload(user_errors=graph.told(broken))
        return CoachLinkPayload(coach_link=CoachLink.of(link, info))


def _stream(description: str) -> Callable[[Callable[..., Any]], Any]:
    """A stream for callers who have logged in."""
    made = strawberry.subscription(description=description, directives=[Authenticated()])
    return cast(Callable[[Callable[..., Any]], Any], made)


@classified(DataClass.PUBLIC)
@strawberry.type
class Subscription:
    """Streams."""

    @_stream("Each change of a guardianship that the caller is an end of.")
    async def guardianship_changed(self, info: ProfilesInfo) -> AsyncIterator[Guardianship | None]:
        """Notices to both ends."""
        context = info.context
        return _told_of(info, context.events.subscribe([GUARDIANSHIP_CHANGED], key=context.caller_id))


class _Filters(Protocol):
    """The part of authz's `RequestAuthorizer` that filters lists."""

    async def visible_owner_filter(self, data_class: DataClass, action: str = "read") -> OwnerFilter:
        """Whose rows a list may hold."""
        ...


async def _told_of(info: ProfilesInfo, stream: LiveEvents) -> AsyncIterator[Guardianship | None]:
    context = info.context
    try:
        async for event in stream:
            row = await _read_anew(context, str(event.payload["guardianship_id"]))
            if row is not None:
                yield Guardianship.of(row, context)
    finally:
        await stream.aclose()


async def _read_anew(context: ProfilesContext, id: str) -> guardianship.Guardianship | None:
    return (await context.profiles.relational.read(lambda c: guardian_store.by_id(c, [id]))).get(id)


async def _known(info: ProfilesInfo, id: strawberry.ID) -> guardianship.Guardianship:
    """Errors: PublicError NOT_FOUND, the same for one that the caller may not know of."""
    row = await info.context.guardianships.load(str(id))
    if row is None:
        await decide_as_if_hidden(info.context, str(id), DataClass.PERSONAL, Action.GUARDIANSHIP)
        raise not_found()
    if not await knows(info.context, row):
        raise not_found()
    return row


async def _require_word(info: ProfilesInfo, row: guardianship.Guardianship) -> None:
    """Errors: PublicError FORBIDDEN where the policy does not let the caller confirm it."""
    access = RowAccess(owner_id=row.minor_id, created_by=row.guardian_id)
    decision = await info.context.decision(access, DataClass.PERSONAL, Action.VOUCH)
    if not decision.allowed:
        extensions = {} if decision.obligation is None else {"obligation": decision.obligation.value}
        raise PublicError("FORBIDDEN", "not allowed to confirm this guardianship", extensions=extensions)


async def _require_own_or_word(info: ProfilesInfo, row: guardianship.Guardianship) -> None:
    if row.guardian_id == info.context.caller_id:
        info.context.trail.acts_on(row.minor_id, data_class=DataClass.PERSONAL, rule=OWN_RULE)
    else:
        await _require_word(info, row)


def _upheld_by(actor_id: str) -> guardians.Change:
    def change(transaction: Transaction, known: guardianship.Guardianship, now: Any) -> Any:
        _refuse_guardians(transaction, known, actor_id, now)
        return guardianship.upheld(known, now=now)

    return change


def _ended_by(actor_id: str) -> guardians.Change:
    def change(transaction: Transaction, known: guardianship.Guardianship, now: Any) -> Any:
        if actor_id != known.guardian_id:
            _refuse_guardians(transaction, known, actor_id, now)
        return guardianship.ended(known, by=actor_id, now=now)

    return change


def _refuse_guardians(
    transaction: Transaction, known: guardianship.Guardianship, actor_id: str, now: Any
) -> None:
    """Errors: RuleBroken: of two guardians neither ends or upholds the other."""
    if guardian_store.guards(transaction, actor_id, known.minor_id, now=now):
        raise RuleBroken("MODERATOR_NEEDED", "id", "this is for a moderator to decide")


async def _changed(
    info: ProfilesInfo, row: guardianship.Guardianship, change: guardians.Change
) -> GuardianshipPayload:
    return await _payload(info, guardians.change_one(info.context.profiles, row.id, change))


async def _payload(info: ProfilesInfo, pending: Awaitable[guardianship.Guardianship]) -> GuardianshipPayload:
    try:
        return GuardianshipPayload(guardianship=Guardianship.of(await pending, info.context))
    except RuleBroken as broken:
        return GuardianshipPayload(user_errors=graph.told(broken))
