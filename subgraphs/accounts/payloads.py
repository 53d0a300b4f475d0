"""What accounts' mutations take and give back.

What a payload tells is its actor's own, just made or just proven: hence PUBLIC, tokens included.
"""

from __future__ import annotations

import datetime as dt

import strawberry

from authz.classes import DataClass, Role
from subgraphs.accounts.entities import RoleAssignment, User
from subgraphs.accounts.role_scopes import RoleScope
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
    device_proof: str | None = strawberry.field(
        default=None,
        description="A registered device's, for `log_in` and the login: binds the session to it.",
    )


@strawberry.input
class RefreshInput:
    """A refresh token, and an id that a client repeats when it got no answer."""

    refresh_token: str
    request_id: str | None = strawberry.field(default=None, metadata=shapes())
    device_proof: str | None = strawberry.field(
        default=None, description="Of the device that the session is bound to, for `refresh` and the token."
    )


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
class RoleScopeInput:
    """Whom a role is for, and in which classes. Nobody named is everybody; no class named is every class."""

    people: list[strawberry.ID] = strawberry.field(default_factory=list)
    organisations: list[strawberry.ID] = strawberry.field(default_factory=list)
    regions: list[str] = strawberry.field(
        default_factory=list, description="Where people say that they are at home, such as `NO` or `NO-46`."
    )
    data_classes: list[DataClass] = strawberry.field(default_factory=list)

    def scope(self) -> RoleScope:
        """The scope that it says."""
        return RoleScope(
            people=frozenset(map(str, self.people)),
            organisations=frozenset(map(str, self.organisations)),
            regions=frozenset(self.regions),
            classes=frozenset(self.data_classes),
        )


@strawberry.input
class GrantRoleInput:
    """A role for somebody."""

    user_id: strawberry.ID
    role: Role
    valid_until: dt.datetime | None = None
    scope: RoleScopeInput | None = strawberry.field(default=None, description="Everybody if left out.")
    licence_region: str | None = strawberry.field(
        default=None, description="Where a medical specialist may practise, such as `NO`."
    )


@strawberry.input
class ChangeRoleInput:
    """How far a role in force is to reach from now on, and until when; both are said whole."""

    id: strawberry.ID
    scope: RoleScopeInput | None = strawberry.field(default=None, description="Everybody if left out.")
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
