"""Accounts' entities and what a request loads of them, each in one query for all that ask."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import strawberry
from aiodataloader import DataLoader
from strawberry.types.info import Info

from authz.classes import Action, DataClass, Role
from subgraphs.accounts import device_store, model, role_store
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.oauth import model as oauth_model
from subgraphs.accounts.oauth.entities import ApiClient, ScopeMeaning
from subgraphs.accounts.role_scopes import RoleScope
from subgraphs.kit import CursorSigner, RequestContext, classified, resolved

ACCOUNT = classified(DataClass.SECURITY, action=Action.EVENTS)
"""What administrators see too: how an account stands, not what it proves itself with."""

strawberry.enum(model.UserStatus, description="Whether an account may be used.")
strawberry.enum(device_store.DeviceState, description="What is known of a device.")
strawberry.enum(model.AssignmentState, description="Where a granted role stands.")


@dataclass(kw_only=True)
class AccountsContext(RequestContext):
    """What accounts' resolvers find in `info.context`."""

    accounts: Accounts
    cursors: CursorSigner
    handles: DataLoader[str, str | None]
    users: DataLoader[str, model.User | None]
    roles: DataLoader[str, list[model.RoleAssignment] | None]
    sessions: DataLoader[str, list[model.Session] | None]
    factors: DataLoader[str, bool | None]
    organisations: DataLoader[str, role_store.Organisation | None]
    memberships: DataLoader[str, list[role_store.Organisation] | None]
    devices: DataLoader[str, list[device_store.Device] | None]
    clients: DataLoader[str, oauth_model.ApiClient | None]
    authorizations: DataLoader[str, list[oauth_model.Authorization] | None]

    @property
    def origin(self) -> str:
        """Where attempts are counted as coming from: the address, else the client program."""
        address = self.subject.client_address
        return model.origin_of(address) if address else self.subject.client_id or "unknown"


AccountsInfo = Info[AccountsContext, None]


@classified(DataClass.PUBLIC)
@strawberry.type(description="A club, a team, a clinic: people whom a role may be for.")
class Organisation:
    """An organisation."""

    id: strawberry.ID
    name: str

    @classmethod
    def of(cls, row: role_store.Organisation) -> Organisation:
        """The GraphQL object of a row."""
        return cls(id=strawberry.ID(row.id), name=row.name)


@ACCOUNT
@strawberry.type(description="A machine of somebody's that holds a key, and that sessions are bound to.")
class Device:
    """One device."""

    owner_id: strawberry.Private[str]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    name: str | None
    thumbprint: str | None = strawberry.field(description="Of its public key.")
    state: device_store.DeviceState | None
    decided_by: strawberry.ID | None = strawberry.field(description="Who said what its state says.")
    created_at: dt.datetime | None
    last_seen_at: dt.datetime | None

    @classmethod
    def of(cls, device: device_store.Device) -> Device:
        """The GraphQL object of a row."""
        return cls(
            owner_id=device.user_id,
            id=strawberry.ID(device.id),
            name=device.name,
            thumbprint=device.thumbprint,
            state=device.state,
            decided_by=None if device.decided_by is None else strawberry.ID(device.decided_by),
            created_at=device.created_at_utc,
            last_seen_at=device.last_seen_at_utc,
        )


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
    licence_region: str | None = strawberry.field(description="Where its holder may practise.")
    replaces: strawberry.ID | None = strawberry.field(
        description="The assignment that this one widens: approving this one ends that one."
    )
    data_classes: list[DataClass] | None = strawberry.field(description="Empty: every class.")
    regions: list[str] | None = strawberry.field(
        description="Whom it is for, by where they are at home. With no region, organisation or person named,"
        " it is for everybody."
    )
    scope: strawberry.Private[RoleScope]

    @resolved()
    def people(self) -> list[User] | None:
        """Whom it is for, by name."""
        return [User(id=strawberry.ID(each)) for each in sorted(self.scope.people)]

    @resolved()
    async def organisations(self, info: AccountsInfo) -> list[Organisation] | None:
        """Whom it is for, by where they are members."""
        found = await info.context.organisations.load_many(sorted(self.scope.organisations))
        return [Organisation.of(each) for each in found if each is not None]

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
            licence_region=assignment.licence_region,
            replaces=None if assignment.replaces is None else strawberry.ID(assignment.replaces),
            data_classes=sorted(assignment.scope.classes),
            regions=sorted(assignment.scope.regions),
            scope=assignment.scope,
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
    device_id: strawberry.ID | None = strawberry.field(description="The registered device it is bound to.")

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
            device_id=None if session.device_id is None else strawberry.ID(session.device_id),
        )


@classified(DataClass.SECURITY)
@strawberry.type(description="What somebody lets a program do for them.")
class Authorization:
    """One authorization of the caller's."""

    owner_id: strawberry.Private[str]
    client_id: strawberry.Private[str]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    scopes: list[str] | None
    created_at: dt.datetime | None
    last_used_at: dt.datetime | None
    expires_at: dt.datetime | None

    @resolved()
    async def client(self, info: AccountsInfo) -> ApiClient | None:
        """Which program."""
        found = await info.context.clients.load(self.client_id)
        return None if found is None else ApiClient.of(found)

    @resolved()
    def meanings(self) -> list[ScopeMeaning] | None:
        """What the scopes let it do, in words."""
        return [ScopeMeaning.of(each) for each in self.scopes or []]

    @classmethod
    def of(cls, row: oauth_model.Authorization) -> Authorization:
        """The GraphQL object of a row."""
        return cls(
            owner_id=row.user_id or "",
            client_id=row.client_id,
            id=strawberry.ID(row.id),
            scopes=sorted(row.scopes),
            created_at=row.created_at_utc,
            last_used_at=row.last_used_at_utc,
            expires_at=row.expires_at_utc,
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
        return await info.context.handles.load(str(self.id))

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

    @resolved()
    async def organisations(self, info: AccountsInfo) -> list[Organisation] | None:
        """Where this user is a member, by name."""
        found = await info.context.memberships.load(str(self.id))
        return [Organisation.of(each) for each in found or []]

    @resolved()
    async def devices(self, info: AccountsInfo) -> list[Device] | None:
        """This user's registered devices, newest first."""
        found = await info.context.devices.load(str(self.id))
        return [Device.of(each) for each in found or []]

    @resolved(classified(DataClass.SECURITY))
    async def authorizations(self, info: AccountsInfo) -> list[Authorization] | None:
        """What this user lets programs do for them, newest first."""
        found = await info.context.authorizations.load(str(self.id))
        return [Authorization.of(each) for each in found or []]

    @resolved(classified(DataClass.SECURITY))
    async def second_factor(self, info: AccountsInfo) -> bool | None:
        """Whether log-in asks for a code."""
        return await info.context.factors.load(str(self.id))

    @classmethod
    async def resolve_reference(cls, info: AccountsInfo, id: str) -> User | None:
        """The user of an id, if there is one."""
        return None if await info.context.handles.load(id) is None else cls(id=strawberry.ID(id))
