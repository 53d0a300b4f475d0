"""Which sessions ended before their tokens did: a bounded set in memory, asked at every verification.

A session is a log-in, or what somebody let a client do. A client that is revoked ends with all of its tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias, get_args

from authz.errors import FactInvalid

TOPIC = "session.revoked"
TOKEN_LIFETIME = timedelta(minutes=10)
# Longer than a token by what two clocks may differ.
KEPT_LONGER = timedelta(minutes=1)
Kind: TypeAlias = Literal["session", "client", "subject"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What an event may revoke, each named by its id's name; of several the first counts."""


class Revocations(Protocol):
    """What a verifier asks; also what an open stream asks before each event."""

    def refuses(
        self,
        *,
        session_id: str | None,
        subject_id: str,
        issued_at_utc: datetime,
        now: datetime,
        client_id: str | None = None,
    ) -> bool:
        """Whether a token of that session and client, issued then, is no longer to be believed."""
        ...


@dataclass(frozen=True, slots=True)
class Revocation:
    """A session that ended, or a subject or client whose tokens until then are refused."""

    kind: Kind
    revoked_id: str
    revoked_at_utc: datetime


def revocation_of(payload: Mapping[str, Any]) -> Revocation:
    """The revocation that a `session.revoked` event carries.  Errors: FactInvalid."""
    try:
        at_utc = datetime.fromisoformat(payload["revoked_at_utc"])
    except (KeyError, TypeError, ValueError) as error:
        raise FactInvalid(f"an event of `{TOPIC}` lacks its time") from error
    revoked = next(((kind, payload[f"{kind}_id"]) for kind in KINDS if payload.get(f"{kind}_id")), None)
    if at_utc.tzinfo is None or revoked is None:
        raise FactInvalid(f"an event of `{TOPIC}` lacks its session, or the zone of its time")
    return Revocation(revoked[0], str(revoked[1]), at_utc)


class RevokedSessions:
    """The revocations of the last token lifetime, fed by events of topic `session.revoked`.

    Bounded: past `entries_max` the oldest entry is forgotten, and in exchange every token issued until
    then is refused (its owner refreshes once and goes on): forgetting lets no revoked token back in.
    """

    def __init__(self, *, lifetime: timedelta = TOKEN_LIFETIME, entries_max: int = 100_000) -> None:
        self._lifetime = lifetime
        self._entries_max = entries_max
        self._revoked_at: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._refused_before = datetime.min.replace(tzinfo=UTC)

    def __len__(self) -> int:
        return len(self._revoked_at)

    def revoke_session(self, session_id: str, *, at_utc: datetime) -> None:
        """Refuse all tokens of this session."""
        self._remember(("session", session_id), at_utc)

    def revoke_subject(self, subject_id: str, *, at_utc: datetime) -> None:
        """Refuse every token this subject got until now: after a change of roles, or of the password."""
        self._remember(("subject", subject_id), at_utc)

    def apply_event(self, payload: Mapping[str, Any]) -> None:
        """Take one event: `session_id`, `client_id` or `subject_id`, and `revoked_at_utc` in ISO 8601.

        Errors: FactInvalid.
        """
        self.apply(revocation_of(payload))

    def apply(self, revocation: Revocation) -> None:
        """Take one revocation."""
        self._remember((revocation.kind, revocation.revoked_id), revocation.revoked_at_utc)

    def refuses(
        self,
        *,
        session_id: str | None,
        subject_id: str,
        issued_at_utc: datetime,
        now: datetime,
        client_id: str | None = None,
    ) -> bool:
        """Whether a token of that session and client, issued then, is no longer to be believed."""
        self._forget(now)
        if issued_at_utc < self._refused_before:
            return True
        if session_id is not None and ("session", session_id) in self._revoked_at:
            return True
        if client_id is not None and self._until("client", client_id, issued_at_utc):
            return True
        return self._until("subject", subject_id, issued_at_utc)

    def _until(self, kind: Kind, revoked_id: str, issued_at_utc: datetime) -> bool:
        # Tokens count whole seconds: one issued in the second of the revocation is refused too.
        revoked_at = self._revoked_at.get((kind, revoked_id))
        return revoked_at is not None and issued_at_utc <= revoked_at

    def _remember(self, entry: tuple[str, str], at_utc: datetime) -> None:
        self._revoked_at[entry] = max(at_utc, self._revoked_at.get(entry, at_utc))
        self._revoked_at.move_to_end(entry)
        if len(self._revoked_at) > self._entries_max:
            _, oldest_at = self._revoked_at.popitem(last=False)
            # INVARIANT: a session revoked at T has no token issued after T.
            self._refused_before = max(self._refused_before, oldest_at + timedelta(seconds=1))

    def _forget(self, now: datetime) -> None:
        # No token outlives its lifetime, so neither does the need to refuse it.
        while self._revoked_at:
            entry = next(iter(self._revoked_at))
            if self._revoked_at[entry] + self._lifetime + KEPT_LONGER > now:
                return
            del self._revoked_at[entry]
