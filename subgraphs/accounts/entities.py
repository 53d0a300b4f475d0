"""Accounts' entities and what a request loads of them, each in one query for all that ask."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import strawberry
from aiodataloader import DataLoader
from strawberry.types.info import Info

from authz.classes import Action, DataClass, Role
from subgraphs.accounts import model
from subgraphs.accounts.log_in import Accounts
from subgraphs.kit import CursorSigner, RequestContext, classified, resolved

ACCOUNT = classified(DataClass.SECURITY, action=Action.EVENTS)
"""What administrators see too: how an account stands, not what it proves itself with."""

strawberry.enum(Role, description="What an administrator has granted somebody.")
strawberry.enum(model.UserStatus, description="Whether an account may be used.")
strawberry.enum(model.AssignmentState, description="Where a granted role stands.")


@dataclass(kw_only=True)
class AccountsContext(RequestContext):
    """What accounts' resolvers find in `info.context`."""

    accounts: Accounts
    cursors: CursorSigner
    users: DataLoader[str, model.User | None]
    roles: DataLoader[str, list[model.RoleAssignment] | None]
    sessions: DataLoader[str, list[model.Session] | None]
    factors: DataLoader[str, bool | None]

    @property
    def origin(self) -> str:
        """Where attempts are counted as coming from: the address, else the client program."""
        address = self.subject.client_address
        return model.origin_of(address) if address else self.subject.client_id or "unknown"


AccountsInfo = Info[AccountsContext, None]


@ACCOUNT
@strawberry.type(description="A role that somebody was granted.")
class RoleAssignment:
    """A role, who gave it and how long it holds."""

    owner_id: strawberry.Private[str]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    role: Role | None
    state: model.AssignmentState | None
    granted_by: strawberry.ID | None
    approved_by: strawberry.ID | None
    created_at: dt.datetime | None
    valid_until: dt.datetime | None

    @resolved(classified(DataClass.PUBLIC))
    def user(self) -> User:
        """Whose role it is."""
        return User(id=strawberry.ID(self.owner_id))

    @classmethod
    def of(cls, assignment: model.RoleAssignment) -> RoleAssignment:
        """The GraphQL object of a row."""
        approved_by = assignment.approved_by
        return cls(
            owner_id=assignment.user_id,
            id=strawberry.ID(assignment.id),
            role=assignment.role,
            state=assignment.state,
            granted_by=strawberry.ID(assignment.granted_by),
            approved_by=None if approved_by is None else strawberry.ID(approved_by),
            created_at=assignment.created_at_utc,
            valid_until=assignment.valid_until_utc,
        )


@classified(DataClass.SECURITY)
@strawberry.type(description="A log-in on one device, and everything refreshed from it.")
class Session:
    """One session of the caller."""

    owner_id: strawberry.Private[str]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    device: str | None = strawberry.field(description="What the client called itself.")
    acr: int | None = strawberry.field(description="1 with a password, 2 with a second factor.")
    created_at: dt.datetime | None
    last_seen_at: dt.datetime | None
    expires_at: dt.datetime | None

    @resolved()
    def current(self, info: AccountsInfo) -> bool | None:
        """Whether this request belongs to it."""
        return self.id == info.context.subject.session_id

    @classmethod
    def of(cls, session: model.Session) -> Session:
        """The GraphQL object of a row."""
        return cls(
            owner_id=session.user_id,
            id=strawberry.ID(session.id),
            device=session.device,
            acr=session.acr,
            created_at=session.created_at_utc,
            last_seen_at=session.last_seen_at_utc,
            expires_at=session.expires_at_utc,
        )


@ACCOUNT
@strawberry.federation.type(keys=["id"], description="Somebody with an account.")
class User:
    """Owned here; other domains add fields by `id`."""

    id: strawberry.ID

    def owner_id(self) -> str:
        """Everybody owns their own account."""
        return str(self.id)

    @resolved(classified(DataClass.PUBLIC))
    async def handle(self, info: AccountsInfo) -> str | None:
        """The public name, unique on this platform."""
        user = await info.context.users.load(str(self.id))
        return None if user is None else user.handle

    @resolved(classified(DataClass.PERSONAL, action=Action.CONTACT))
    async def email(self, info: AccountsInfo) -> str | None:
        """The address, as its owner wrote it."""
        user = await info.context.users.load(str(self.id))
        return None if user is None else user.email

    @resolved()
    async def status(self, info: AccountsInfo) -> model.UserStatus | None:
        """Whether the account may be used."""
        user = await info.context.users.load(str(self.id))
        return None if user is None else user.status

    @resolved()
    async def created_at(self, info: AccountsInfo) -> dt.datetime | None:
        """When the account was made."""
        user = await info.context.users.load(str(self.id))
        return None if user is None else user.created_at_utc

    @resolved()
    async def roles(self, info: AccountsInfo) -> list[RoleAssignment] | None:
        """What this user was granted and not deprived of, oldest first."""
        assignments = await info.context.roles.load(str(self.id))
        return [RoleAssignment.of(each) for each in assignments or []]

    @resolved(classified(DataClass.SECURITY))
    async def sessions(self, info: AccountsInfo) -> list[Session] | None:
        """Where this user is logged in, newest first, at most 100."""
        found = await info.context.sessions.load(str(self.id))
        return [Session.of(each) for each in found or []]

    @resolved(classified(DataClass.SECURITY))
    async def second_factor(self, info: AccountsInfo) -> bool | None:
        """Whether log-in asks for a code."""
        return await info.context.factors.load(str(self.id))

    @classmethod
    async def resolve_reference(cls, info: AccountsInfo, id: str) -> User | None:
        """The user of an id, if there is one."""
        user = await info.context.users.load(id)
        return None if user is None else cls(id=strawberry.ID(user.id))
