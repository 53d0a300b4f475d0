"""Accounts' part of the graph for how far roles reach, for organisations, and for devices."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated

import strawberry
from sqlalchemy import Connection as Transaction

from authz.classes import DataClass
from authz.facts.model import RelationshipFact
from datastores.errors import Conflict
from datastores.events.outbox import time_ordered_id
from subgraphs.accounts import administration, device_store, devices, events, graph, role_store, store
from subgraphs.accounts.access import require_administrator
from subgraphs.accounts.entities import AccountsInfo, Device, Organisation, User
from subgraphs.accounts.graph import ADMINISTERING, administers_all, administers_role, administers_user
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.payloads import ChangeRoleInput, RolePayload
from subgraphs.accounts.role_scopes import EVERYWHERE
from subgraphs.kit import (
    Connection,
    UserError,
    binding,
    classified,
    clean_text,
    connection,
    not_found,
    page_request,
    proves,
    resolved,
    ruled,
    shapes,
)
from subgraphs.kit.absence import decide_as_if_hidden

ORGANISATION_CHARACTERS_MAX = 80
OF_THE_MEMBER = strawberry.argument(metadata=ruled(by="the member"))
OF_THE_DEVICE = strawberry.argument(metadata=ruled(by="the device's owner, or SECURITY force_reset of them"))
JUDGING = strawberry.argument(metadata=ruled(by="SECURITY force_reset of the device's owner"))
PROVING = strawberry.argument(metadata=proves())
NAMING = strawberry.argument(metadata=shapes())


@classified(DataClass.PUBLIC)
@strawberry.type
class OrganisationPayload:
    """The organisation as it is now, or what was wrong."""

    organisation: Organisation | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class DevicePayload:
    """The device as it is known now, or what was wrong."""

    device: Device | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class Query(graph.Query):
    """Questions that accounts answers, with those about organisations."""

    @resolved(authenticated=True)
    async def organisations(
        self, info: AccountsInfo, first: int | None = None, after: str | None = None
    ) -> Connection[Organisation] | None:
        """All organisations by name, for administrators with a second factor."""
        context, caller_id = info.context, require_administrator(info.context.subject)
        bound_to = binding(caller_id, "Query.organisations", {})
        asked = page_request(context.cursors, bound_to=bound_to, first=first, after=after)
        after_name = None if asked.after is None else str(asked.after[0])
        found, total = await context.accounts.relational.read(
            lambda c: role_store.organisations_page(c, after_name=after_name, limit=asked.limit)
        )
        return connection(
            found,
            asked,
            context.cursors,
            bound_to=bound_to,
            sort_key=lambda row: (row.name,),
            node=Organisation.of,
            total_count=total,
        )

    @resolved(authenticated=True)
    async def organisation_members(
        self,
        info: AccountsInfo,
        id: Annotated[strawberry.ID, ADMINISTERING],
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[User] | None:
        """Who is in an organisation, for administrators with a second factor."""
        context, caller_id = info.context, require_administrator(info.context.subject)
        bound_to = binding(caller_id, "Query.organisationMembers", {"id": id})
        asked = page_request(context.cursors, bound_to=bound_to, first=first, after=after)
        after_id = None if asked.after is None else str(asked.after[0])
        found, total = await context.accounts.relational.read(
            lambda c: role_store.members_page(c, str(id), after_id=after_id, limit=asked.limit)
        )
        return connection(
            found,
            asked,
            context.cursors,
            bound_to=bound_to,
            sort_key=lambda user_id: (user_id,),
            node=lambda user_id: User(id=strawberry.ID(user_id)),
            total_count=total,
        )


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation(graph.Mutation):
    """What can be done to accounts, with organisations and devices."""

    @resolved(authenticated=True)
    async def change_role(
        self, info: AccountsInfo, input: Annotated[ChangeRoleInput, ADMINISTERING]
    ) -> RolePayload | None:
        """Let a role reach another way, or end at another time. Widening a sensitive one waits for a second
        administrator, and the role stays as it is until then."""
        actor_id = await administers_role(info, str(input.id))
        return await graph.role_payload(
            administration.change_role(
                info.context.accounts,
                actor_id=actor_id,
                assignment_id=str(input.id),
                scope=EVERYWHERE if input.scope is None else input.scope.scope(),
                valid_until_utc=input.valid_until,
            )
        )

    @resolved(authenticated=True)
    async def create_organisation(
        self, info: AccountsInfo, name: Annotated[str, ADMINISTERING]
    ) -> OrganisationPayload | None:
        """A new organisation, whom roles may be for."""
        administers_all(info, None)
        text = clean_text(name, "name", characters_max=ORGANISATION_CHARACTERS_MAX)
        return await _organisation(_founded(info.context.accounts, text))

    @resolved(authenticated=True)
    async def add_member(
        self,
        info: AccountsInfo,
        organisation_id: Annotated[strawberry.ID, ADMINISTERING],
        user_id: Annotated[strawberry.ID, ADMINISTERING],
    ) -> OrganisationPayload | None:
        """Let somebody be in an organisation: roles that are for it count for them from now on."""
        administers_all(info, str(user_id))
        return await _organisation(
            _membership(info.context.accounts, str(organisation_id), str(user_id), member=True)
        )

    @resolved(authenticated=True)
    async def remove_member(
        self,
        info: AccountsInfo,
        organisation_id: Annotated[strawberry.ID, ADMINISTERING],
        user_id: Annotated[strawberry.ID, ADMINISTERING],
    ) -> OrganisationPayload | None:
        """Take somebody out of an organisation."""
        administers_all(info, str(user_id))
        return await _organisation(
            _membership(info.context.accounts, str(organisation_id), str(user_id), member=False)
        )

    @resolved(authenticated=True)
    async def leave_organisation(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, OF_THE_MEMBER]
    ) -> OrganisationPayload | None:
        """The caller goes."""
        return await _organisation(_left(info.context.accounts, str(id), info.context.caller_id))

    @resolved(authenticated=True)
    async def register_device(
        self, info: AccountsInfo, name: Annotated[str, NAMING], proof: Annotated[str, PROVING]
    ) -> DevicePayload | None:
        """Know the machine that holds a key as the caller's, and bind this session to it. The proof is for
        `register` and the session's id; from now on each refresh asks for one."""
        text = clean_text(name, "name", characters_max=devices.NAME_CHARACTERS_MAX)
        context = info.context
        return await _device(devices.register(context.accounts, context.subject, name=text, proof=proof))

    @resolved(authenticated=True)
    async def revoke_device(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, OF_THE_DEVICE]
    ) -> DevicePayload | None:
        """Take a device away: every session that is bound to it ends."""
        device = await _known(info, id)
        caller_id = info.context.caller_id
        if device.user_id != caller_id:
            await administers_user(info, device.user_id)
        return await _device(devices.revoke(info.context.accounts, device_id=device.id, actor_id=caller_id))

    @resolved(authenticated=True)
    async def attest_device(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, JUDGING]
    ) -> DevicePayload | None:
        """Vouch for somebody's device: it is managed, and its key is where it should be."""
        return await _judged(info, id, device_store.DeviceState.ATTESTED)

    @resolved(authenticated=True)
    async def mark_device_compromised(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, JUDGING]
    ) -> DevicePayload | None:
        """Let a device see nothing sensitive of others; its sessions go on, and can be watched."""
        return await _judged(info, id, device_store.DeviceState.COMPROMISED)


async def _founded(accounts: Accounts, name: str) -> role_store.Organisation:
    now = accounts.now()
    if not name:
        raise RuleBroken("BAD_NAME", "name", f"a name has 1 to {ORGANISATION_CHARACTERS_MAX} characters")
    organisation = role_store.Organisation(time_ordered_id(now), name, now)
    try:
        await accounts.relational.write(lambda c: role_store.add_organisation(c, organisation))
    except Conflict:
        raise RuleBroken("NAME_TAKEN", "name", "there is an organisation of this name") from None
    return organisation


async def _membership(
    accounts: Accounts, organisation_id: str, user_id: str, *, member: bool
) -> role_store.Organisation:
    def work(transaction: Transaction) -> role_store.Organisation:
        now = accounts.now()
        organisation = role_store.organisations_by_id(transaction, [organisation_id]).get(organisation_id)
        if organisation is None:
            raise RuleBroken("NOT_FOUND", "organisationId", "not found")
        if user_id not in store.users_by_id(transaction, [user_id]):
            raise RuleBroken("NOT_FOUND", "userId", "not found")
        fact = role_store.set_member(transaction, organisation_id, user_id, member=member, now=now)
        if fact is None:
            if member:
                raise RuleBroken("A_MEMBER", "userId", "this person is a member already")
            raise RuleBroken("NOT_A_MEMBER", "userId", "this person is no member")
        _tell(accounts, transaction, fact, now)
        return organisation

    return await accounts.relational.write(work)


async def _left(accounts: Accounts, organisation_id: str, user_id: str) -> role_store.Organisation:
    """Errors: RuleBroken NOT_FOUND, the same for an organisation that is none and for one of others."""

    def work(transaction: Transaction) -> role_store.Organisation:
        now = accounts.now()
        fact = role_store.set_member(transaction, organisation_id, user_id, member=False, now=now)
        if fact is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        _tell(accounts, transaction, fact, now)
        return role_store.organisations_by_id(transaction, [organisation_id])[organisation_id]

    return await accounts.relational.write(work)


def _tell(accounts: Accounts, transaction: Transaction, fact: RelationshipFact, now: datetime) -> None:
    # tokens name organisations: those that were issued until now name others
    renewed = events.tokens_revoked(fact.subject_id, reason="membership changed", at_utc=now)
    accounts.outbox.append(transaction, [events.relationship_changed(fact, at_utc=now), renewed])


async def _organisation(pending: Awaitable[role_store.Organisation]) -> OrganisationPayload:
    try:
        return OrganisationPayload(organisation=Organisation.of(await pending))
    except RuleBroken as broken:
        return OrganisationPayload(user_errors=graph.told(broken))


async def _known(info: AccountsInfo, id: strawberry.ID) -> device_store.Device:
    """Errors: PublicError NOT_FOUND, the same for a device of others to who may not know of it."""
    device = await info.context.accounts.relational.read(lambda c: device_store.by_id(c, str(id)))
    if device is None:
        await decide_as_if_hidden(info.context, str(id), DataClass.SECURITY, "events")
        raise not_found()
    if device.user_id != info.context.caller_id:
        seen = await info.context.decision(device.user_id, DataClass.SECURITY, "events")
        if not seen.allowed:
            raise not_found()
    return device


async def _judged(info: AccountsInfo, id: strawberry.ID, state: device_store.DeviceState) -> DevicePayload:
    device = await _known(info, id)
    actor_id = await administers_user(info, device.user_id)
    return await _device(
        devices.judge(info.context.accounts, device_id=device.id, state=state, actor_id=actor_id)
    )


async def _device(pending: Awaitable[device_store.Device]) -> DevicePayload:
    try:
        return DevicePayload(device=Device.of(await pending))
    except RuleBroken as broken:
        return DevicePayload(user_errors=graph.told(broken))
