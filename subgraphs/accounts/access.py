"""Who may do what to accounts that are not their own: administrators with a second factor."""

from __future__ import annotations

from authz.classes import Role
from authz.identity.subject import Subject
from subgraphs.kit import PublicError, Unauthenticated

ADMINISTRATOR_ACR_MIN = 2


def administers(subject: Subject) -> bool:
    """Whether the subject may list and manage accounts: an administrator of everybody."""
    return (
        Role.ADMINISTRATOR in subject.roles
        and subject.limit_of(Role.ADMINISTRATOR) is None
        and subject.acr >= ADMINISTRATOR_ACR_MIN
    )


def require_administrator(subject: Subject) -> str:
    """The administrator's id.  Errors: Unauthenticated; PublicError FORBIDDEN."""
    if subject.id is None:
        raise Unauthenticated
    if administers(subject):
        return subject.id
    lacks_factor = Role.ADMINISTRATOR in subject.roles and subject.acr < ADMINISTRATOR_ACR_MIN
    extensions = {"obligation": "STEP_UP"} if lacks_factor else {}
    raise PublicError("FORBIDDEN", "only an administrator may do this", extensions=extensions)
