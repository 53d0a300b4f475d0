"""Accounts' part of the graph: queries and mutations, thin."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated

import strawberry

from authz.classes import Action, DataClass, Role
from authz.question import DEFAULT_DENY
from subgraphs.accounts import administration, erasure, log_in, model, store
from subgraphs.accounts.access import administers, require_administrator
from subgraphs.accounts.entities import AccountsInfo, RoleAssignment, User
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.payloads import (
    ChangePasswordInput,
    EraseAccountInput,
    ErasurePayload,
    GrantRoleInput,
    LogInInput,
    LogInPayload,
    RefreshInput,
    RegisterInput,
    RolePayload,
    SecondFactorPayload,
    SessionsPayload,
    UserPayload,
)
from subgraphs.accounts.role_scopes import EVERYWHERE
from subgraphs.kit import (
    Connection,
    UserError,
    binding,
    classified,
    connection,
    not_found,
    page_request,
    proves,
    resolved,
    ruled,
    wants_total,
)

PENDING_LISTED_MAX = 100
PROVING = strawberry.argument(metadata=proves())
FOUNDING = strawberry.argument(metadata=ruled(by="anybody: it becomes their own account"))
ANY_USER = strawberry.argument(metadata=ruled(by="whoever logged in: the fields guard themselves"))
OWN_SESSION = strawberry.argument(metadata=ruled(by="the owner of the session"))
ADMINISTERING = strawberry.argument(metadata=ruled(by="administrators with a second factor"))


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    """Questions that accounts answers."""

    @resolved()
    async def me(self, info: AccountsInfo) -> User | None:
        """The caller; null for one who has not logged in."""
        subject_id = info.context.subject.id
        if subject_id is None or await info.context.handles.load(subject_id) is None:
            return None
        return User(id=strawberry.ID(subject_id))

    @resolved(authenticated=True)
    async def user(self, info: AccountsInfo, id: Annotated[strawberry.ID, ANY_USER]) -> User | None:
        """One user. What the caller may not read of them is null."""
        if await info.context.handles.load(str(id)) is None:
            raise not_found()
        return User(id=id)

    @resolved(authenticated=True)
    async def users(
        self,
        info: AccountsInfo,
        handle_prefix: Annotated[str | None, ADMINISTERING] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[User] | None:
        """All users by handle, for administrators with a second factor."""
        caller_id, signer = require_administrator(info.context.subject), info.context.cursors
        bound_to = binding(caller_id, "Query.users", {"handlePrefix": handle_prefix})
        page = page_request(signer, bound_to=bound_to, first=first, after=after)
        found, total = await info.context.accounts.relational.read(
            lambda c: (
                store.users_page(
                    c,
                    after_handle=None if page.after is None else str(page.after[0]),
                    handle_prefix=handle_prefix,
                    limit=page.limit,
                ),
                store.count_users(c, handle_prefix=handle_prefix) if wants_total(info) else None,
            )
        )
        for user in found:
            info.context.users.prime(user.id, user)
            info.context.handles.prime(user.id, user.handle)
        return connection(
            found,
            page,
            signer,
            bound_to=bound_to,
            sort_key=lambda user: (user.handle,),
            node=lambda user: User(id=strawberry.ID(user.id)),
            total_count=total,
        )

    @resolved(authenticated=True)
    async def pending_roles(self, info: AccountsInfo) -> list[RoleAssignment] | None:
        """Granted roles that wait for a second administrator, oldest first, at most 100."""
        require_administrator(info.context.subject)
        pending = await info.context.accounts.relational.read(
            lambda c: store.pending_roles(c, limit=PENDING_LISTED_MAX)
        )
        return [RoleAssignment.of(each) for each in pending]


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    """What can be done to accounts."""

    @resolved()
    async def register(
        self, info: AccountsInfo, input: Annotated[RegisterInput, FOUNDING]
    ) -> UserPayload | None:
        """A new account. Log in afterwards."""
        try:
            user = await log_in.register(
                info.context.accounts, handle=input.handle, email=input.email, password=input.password
            )
        except RuleBroken as broken:
            return UserPayload(user_errors=told(broken))
        return UserPayload(user=User(id=strawberry.ID(user.id)))

    @resolved()
    async def log_in(self, info: AccountsInfo, input: Annotated[LogInInput, PROVING]) -> LogInPayload | None:
        """An access token for 10 minutes, and a refresh token to get the next with."""
        return await _tokens(
            info,
            log_in.log_in(
                info.context.accounts,
                login=input.login,
                password=input.password,
                otp=input.otp,
                device=input.device or "",
                proof=input.device_proof,
                origin=info.context.origin,
            ),
        )

    @resolved()
    async def refresh(
        self, info: AccountsInfo, input: Annotated[RefreshInput, PROVING]
    ) -> LogInPayload | None:
        """The next tokens. A refresh token is good for once; using it again ends its session."""
        return await _tokens(
            info,
            log_in.refresh(
                info.context.accounts,
                refresh_token=input.refresh_token,
                request_id=input.request_id,
                proof=input.device_proof,
            ),
        )

    @resolved(authenticated=True)
    async def log_out(self, info: AccountsInfo) -> SessionsPayload | None:
        """End the session of this request."""
        return await _ended(
            log_in.end_sessions(
                info.context.accounts,
                info.context.caller_id,
                only=info.context.subject.session_id or "",
                reason="logged out",
            )
        )

    @resolved(authenticated=True)
    async def revoke_session(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, OWN_SESSION]
    ) -> SessionsPayload | None:
        """End one of the caller's sessions."""
        return await _ended(
            log_in.end_sessions(
                info.context.accounts, info.context.caller_id, only=str(id), reason="revoked by its owner"
            )
        )

    @resolved(authenticated=True)
    async def revoke_other_sessions(self, info: AccountsInfo) -> SessionsPayload | None:
        """End all of the caller's sessions but this one."""
        return await _ended(
            log_in.end_sessions(
                info.context.accounts,
                info.context.caller_id,
                but=info.context.subject.session_id or "",
                reason="revoked by its owner",
            )
        )

    @resolved(authenticated=True)
    async def change_password(
        self, info: AccountsInfo, input: Annotated[ChangePasswordInput, PROVING]
    ) -> UserPayload | None:
        """A new password; every other session ends."""
        context = info.context
        return await _done(
            info,
            log_in.change_password(
                context.accounts,
                context.caller_id,
                context.subject.session_id,
                current=input.current,
                new=input.new,
            ),
        )

    @resolved(authenticated=True)
    async def enrol_totp(
        self, info: AccountsInfo, password: Annotated[str, PROVING]
    ) -> SecondFactorPayload | None:
        """A secret for an authenticator app; in force once `confirmTotp` has seen a code."""
        try:
            secret, uri = await log_in.enrol_totp(
                info.context.accounts, info.context.caller_id, password=password
            )
        except RuleBroken as broken:
            return SecondFactorPayload(user_errors=told(broken, info))
        return SecondFactorPayload(secret=secret, uri=uri)

    @resolved(authenticated=True)
    async def confirm_totp(self, info: AccountsInfo, otp: Annotated[str, PROVING]) -> UserPayload | None:
        """Put the second factor in force; log in with it to get its rights."""
        return await _done(info, log_in.confirm_totp(info.context.accounts, info.context.caller_id, otp=otp))

    @resolved(authenticated=True)
    async def disable_totp(
        self, info: AccountsInfo, password: Annotated[str, PROVING], otp: Annotated[str, PROVING]
    ) -> UserPayload | None:
        """Take the second factor away; every other session ends."""
        context = info.context
        return await _done(
            info,
            log_in.disable_totp(
                context.accounts, context.caller_id, context.subject.session_id, password=password, otp=otp
            ),
        )

    @resolved(authenticated=True)
    async def erase_account(
        self, info: AccountsInfo, input: Annotated[EraseAccountInput, PROVING]
    ) -> ErasurePayload | None:
        """Erase the caller's account and everything of theirs, for good."""
        own = info.context
        try:
            await erasure.erase(own.accounts, own.caller_id, password=input.password, otp=input.otp)
        except RuleBroken as broken:
            return ErasurePayload(user_errors=told(broken, info))
        return ErasurePayload(erased=True)

    @resolved(authenticated=True)
    async def grant_role(
        self, info: AccountsInfo, input: Annotated[GrantRoleInput, ADMINISTERING]
    ) -> RolePayload | None:
        """Give somebody a role. Sensitive ones wait for a second administrator."""
        actor_id = administers_all(info, str(input.user_id))
        return await role_payload(
            administration.grant_role(
                info.context.accounts,
                actor_id=actor_id,
                user_id=str(input.user_id),
                grant=administration.Grant(
                    role=input.role,
                    valid_until_utc=input.valid_until,
                    scope=EVERYWHERE if input.scope is None else input.scope.scope(),
                    licence_region=input.licence_region,
                ),
            )
        )

    @resolved(authenticated=True)
    async def approve_role(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> RolePayload | None:
        """Put a pending role in force."""
        actor_id = await administers_role(info, str(id))
        return await role_payload(
            administration.approve_role(info.context.accounts, actor_id=actor_id, assignment_id=str(id))
        )

    @resolved(authenticated=True)
    async def revoke_role(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> RolePayload | None:
        """End a role at once."""
        await administers_role(info, str(id))
        return await role_payload(administration.revoke_role(info.context.accounts, assignment_id=str(id)))

    @resolved(authenticated=True)
    async def suspend_user(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> UserPayload | None:
        """Shut an account and end its sessions."""
        actor_id = await administers_user(info, str(id))
        return await _done(
            info, administration.suspend(info.context.accounts, actor_id=actor_id, user_id=str(id)), id
        )

    @resolved(authenticated=True)
    async def reset_second_factor(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> UserPayload | None:
        """Take away a second factor that its owner has lost; every session of theirs ends."""
        actor_id = await administers_user(info, str(id))
        return await _done(
            info, administration.reset_factor(info.context.accounts, actor_id=actor_id, user_id=str(id)), id
        )

    @resolved(authenticated=True)
    async def reinstate_user(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> UserPayload | None:
        """Open a suspended account again."""
        await administers_user(info, str(id))
        return await _done(info, administration.reinstate(info.context.accounts, user_id=str(id)), id)


def administers_all(info: AccountsInfo, user_id: str | None) -> str:
    """The administrator's id; the record of the mutation says whose account it is about."""
    subject = info.context.subject
    allowed = administers(subject)
    rule = Role.ADMINISTRATOR.value if allowed else DEFAULT_DENY
    info.context.trail.acts_on(user_id, data_class=DataClass.SECURITY, rule=rule, allowed=allowed)
    return require_administrator(subject)


async def administers_user(info: AccountsInfo, user_id: str) -> str:
    """As `administers_all`, or by a limited role that is for this person."""
    subject = info.context.subject
    if subject.limit_of(Role.ADMINISTRATOR) is not None and subject.id is not None:
        decision = await info.context.decision(user_id, DataClass.SECURITY, Action.FORCE_RESET)
        if decision.allowed:
            return subject.id
    return administers_all(info, user_id)


async def administers_role(info: AccountsInfo, assignment_id: str) -> str:
    """As `administers_all`, about whoever holds the assignment."""
    if not administers(info.context.subject):
        return administers_all(info, None)
    relational = info.context.accounts.relational
    assignment = await relational.read(lambda c: store.role_assignment(c, assignment_id))
    return administers_all(info, None if assignment is None else assignment.user_id)


async def _tokens(info: AccountsInfo, pending: Awaitable[log_in.LoggedIn]) -> LogInPayload:
    try:
        logged_in = await pending
    except RuleBroken as broken:
        return LogInPayload(user_errors=told(broken, info))
    return LogInPayload(
        access_token=logged_in.access_token,
        refresh_token=logged_in.refresh_token,
        expires_in_s=logged_in.expires_in_s,
        user=User(id=strawberry.ID(logged_in.user.id)),
    )


async def _ended(pending: Awaitable[int]) -> SessionsPayload:
    try:
        return SessionsPayload(ended=await pending)
    except RuleBroken as broken:
        return SessionsPayload(user_errors=told(broken))


async def _done(
    info: AccountsInfo, pending: Awaitable[None], user_id: strawberry.ID | None = None
) -> UserPayload:
    try:
        await pending
    except RuleBroken as broken:
        return UserPayload(user_errors=told(broken, info))
    return UserPayload(user=User(id=user_id or strawberry.ID(info.context.caller_id)))


async def role_payload(pending: Awaitable[model.RoleAssignment]) -> RolePayload:
    """The role as it is now, or what was wrong."""
    try:
        return RolePayload(role=RoleAssignment.of(await pending))
    except RuleBroken as broken:
        return RolePayload(user_errors=told(broken))


def told(broken: RuleBroken, info: AccountsInfo | None = None) -> list[UserError]:
    """A broken rule as payloads tell of it, and the answer's head of when it may hold again."""
    if broken.wait_s and info is not None:
        info.context.answer_headers.retry_after(broken.wait_s)
    return [UserError(code=broken.code, field=broken.field, message=broken.message)]
