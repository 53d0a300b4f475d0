"""What accounts' mutations take and give back.

What a payload tells is its actor's own, just made or just proven: hence PUBLIC, tokens included.
"""

from __future__ import annotations

import datetime as dt

import strawberry

from authz.classes import DataClass, Role
from subgraphs.accounts.entities import RoleAssignment, User
from subgraphs.kit import UserError, classified, ruled, shapes

SHOWN_TO_OWNER = ruled(by="whoever logs in: shown in their own list of sessions")


@strawberry.input
class RegisterInput:
    """A new account."""

    handle: str
    email: str
    password: str = strawberry.field(description="15 characters or more.")


@strawberry.input
class LogInInput:
    """What somebody proves with."""

    login: str = strawberry.field(description="A handle or an e-mail address.")
    password: str
    otp: str | None = strawberry.field(default=None, description="The code of the second factor.")
    device: str | None = strawberry.field(
        default=None, description="What the session list shows.", metadata=SHOWN_TO_OWNER
    )


@strawberry.input
class RefreshInput:
    """A refresh token, and an id that a client repeats when it got no answer."""

    refresh_token: str
    request_id: str | None = strawberry.field(default=None, metadata=shapes())


@strawberry.input
class ChangePasswordInput:
    """The password that holds and the one to come."""

    current: str
    new: str = strawberry.field(metadata=ruled(by="whoever proves the password that holds"))


@strawberry.input
class EraseAccountInput:
    """What the owner of an account proves with before everything of theirs is erased."""

    password: str
    otp: str | None = strawberry.field(default=None, description="The code of the second factor.")


@strawberry.input
class GrantRoleInput:
    """A role for somebody."""

    user_id: strawberry.ID
    role: Role
    valid_until: dt.datetime | None = None


@classified(DataClass.PUBLIC)
@strawberry.type
class UserPayload:
    """An account, or what was wrong."""

    user: User | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class LogInPayload:
    """Tokens, or what was wrong."""

    access_token: str | None = None
    refresh_token: str | None = None
    expires_in_s: int | None = strawberry.field(default=None, description="Seconds the access token holds.")
    user: User | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class SessionsPayload:
    """How many sessions were ended, or what was wrong."""

    ended: int = 0
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class SecondFactorPayload:
    """A secret to enter into an authenticator app, or what was wrong."""

    secret: str | None = None
    uri: str | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class RolePayload:
    """A role as it stands now, or what was wrong."""

    role: RoleAssignment | None = None
    user_errors: list[UserError] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class ErasurePayload:
    """Whether everything is on its way out, or what was wrong."""

    erased: bool = False
    user_errors: list[UserError] = strawberry.field(default_factory=list)
