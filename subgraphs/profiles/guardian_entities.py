"""Guardianships as profiles' graph shows them, to both ends and to who confirms them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.types.info import Info

from authz.classes import Action, DataClass
from subgraphs.kit import RowAccess, classified, resolved
from subgraphs.profiles import guardianship

if TYPE_CHECKING:
    from subgraphs.profiles.entities import ProfilesContext, User

strawberry.enum(guardianship.GuardianKind, description="By what right somebody is a guardian.")
strawberry.enum(
    guardianship.GuardianshipState, description="Where a guardianship stands. Only ACTIVE opens anything."
)
Person = Annotated["User", strawberry.lazy("subgraphs.profiles.entities")]
GUARDIANSHIP = classified(DataClass.PERSONAL, action=Action.GUARDIANSHIP)


@GUARDIANSHIP
@strawberry.federation.type(keys=["id"], description="That somebody is, or asks to be, a minor's guardian.")
class Guardianship:
    """A guardianship. To its guardian it is their own, to everybody else the minor's."""

    row: strawberry.Private[guardianship.Guardianship]
    row_access: strawberry.Private[RowAccess]
    id: strawberry.ID

    @resolved()
    def minor(self) -> Person | None:
        """Who is guarded."""
        return _person(self.row.minor_id)

    @resolved()
    def guardian(self) -> Person | None:
        """Who guards."""
        return _person(self.row.guardian_id)

    @resolved()
    def kind(self) -> guardianship.GuardianKind | None:
        """By what right."""
        return self.row.kind

    @resolved()
    def state(self, info: Info) -> guardianship.GuardianshipState | None:
        """Where it stands now."""
        return self.row.current_state(info.context.profiles.now())

    @resolved()
    def evidence(self) -> str | None:
        """What proves it, in the guardian's words."""
        return self.row.evidence

    @resolved()
    def contested(self) -> bool | None:
        """Whether the minor has said no: then a moderator decides."""
        return self.row.contested

    @resolved()
    def restricted_until(self) -> dt.date | None:
        """The day until which the guardian sees what is restricted; null where never."""
        return self.row.restricted_until

    @resolved()
    def created_at(self) -> dt.datetime | None:
        """When it was asked for."""
        return self.row.created_at_utc

    @resolved()
    def decided_by(self) -> Person | None:
        """Who confirmed, declined or ended it."""
        return None if self.row.decided_by is None else _person(self.row.decided_by)

    @resolved()
    def valid_from(self) -> dt.datetime | None:
        """When it was confirmed."""
        return self.row.valid_from_utc

    @resolved()
    def valid_until(self) -> dt.datetime | None:
        """When the minor comes of age, or when it was ended."""
        return self.row.valid_until_utc

    @classmethod
    def of(cls, row: guardianship.Guardianship, context: ProfilesContext) -> Guardianship:
        """The GraphQL object of a row, as this caller sees it."""
        own = context.subject.id is not None and context.subject.id == row.guardian_id
        owner = row.guardian_id if own else row.minor_id
        return cls(row=row, row_access=RowAccess(owner_id=owner), id=strawberry.ID(row.id))

    @classmethod
    async def resolve_reference(cls, info: Info, id: str) -> Guardianship | None:
        """One that the caller may know of; others are as if they did not exist."""
        row = await info.context.guardianships.load(id)
        return None if row is None or not await knows(info.context, row) else cls.of(row, info.context)


async def knows(context: ProfilesContext, row: guardianship.Guardianship) -> bool:
    """Whether the caller may know that there is this guardianship."""
    if context.subject.id == row.guardian_id:
        return True
    decision = await context.decision(row.minor_id, DataClass.PERSONAL, Action.GUARDIANSHIP)
    return decision.allowed


def _person(user_id: str) -> User:
    from subgraphs.profiles.entities import User

    return User(id=strawberry.ID(user_id))
