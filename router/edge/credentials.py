"""Credentials: the token of a request or a connection → the Subject who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from authz.errors import InvalidToken
from authz.identity.clock import now_utc
from authz.identity.proof_of_possession import SCHEME
from authz.identity.subject import ANONYMOUS, Subject
from router.errors import ClientError

Authenticate: TypeAlias = Callable[[str], Awaitable[Subject]]
"""Token → Subject. Raises InvalidToken where the token is not to be believed; the client is not told why."""
AuthenticateNow: TypeAlias = Callable[[str], Subject | None]
"""As `Authenticate`, where nothing has to be waited for; None elsewhere."""
IsActive: TypeAlias = Callable[[Subject], bool]
"""Whether the session behind a Subject still stands; asked at every event of a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How this router knows its callers. Without `authenticate`, tokens are not read: all are anonymous."""

    authenticate: Authenticate | None = None
    authenticate_now: AuthenticateNow | None = None
    is_active: IsActive | None = None
    now: Callable[[], datetime] = now_utc

    async def subject_of(self, authorization: str | None) -> Subject:
        """The caller of an `Authorization` header, anonymous without one.

        A subject with a `key_thumbprint` has still to prove that key.
        Errors: AUTH_ERROR (401) without detail for anything but a good token.
        """
        if self.authenticate is None or authorization is None:
            return ANONYMOUS
        token, bound = _token_of(authorization)
        try:
            subject = await self.authenticate(token)
        except InvalidToken:
            raise refused() from None
        if bound and subject.key_thumbprint is None:
            raise refused()
        return subject

    def known(self, authorization: str | None) -> Subject | None:
        """As `subject_of`, where nothing has to be waited for; None elsewhere.  Errors: AUTH_ERROR."""
        if self.authenticate is None or authorization is None:
            return ANONYMOUS
        token, bound = _token_of(authorization)
        if bound or self.authenticate_now is None:
            return None
        try:
            return self.authenticate_now(token)
        except InvalidToken:
            raise refused() from None

    def stands(self, subject: Subject) -> bool:
        """Whether a stream of this caller may go on: not expired, not revoked."""
        expires = subject.expires_at_utc
        if expires is not None and expires <= self.now():
            return False
        return self.is_active is None or self.is_active(subject)

    def seconds_left(self, subject: Subject) -> float | None:
        """Seconds until the token expires; None for a caller whose rights do not end by time."""
        if subject.expires_at_utc is None:
            return None
        return max((subject.expires_at_utc - self.now()).total_seconds(), 0.0)


def _token_of(authorization: str) -> tuple[str, bool]:
    """The token, and whether it is bound to a key.  Errors: AUTH_ERROR for any other scheme."""
    scheme, _, token = authorization.partition(" ")
    bound = scheme.lower() == SCHEME
    if (not bound and scheme.lower() != "bearer") or not token.strip():
        raise refused()
    return token.strip(), bound


def refused() -> ClientError:
    """The one answer to every bad token."""
    return ClientError("the token is not valid", code="AUTH_ERROR")
