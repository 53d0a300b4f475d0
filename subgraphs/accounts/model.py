"""Accounts' values and rules: handles, passwords, throttling, which roles need what. Pure."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from authz.classes import Role
from authz.identity.subject import Subject
from subgraphs.accounts.role_scopes import EVERYWHERE, RoleScope, limits_of

HANDLE_CHARACTERS_MIN = 3
HANDLE_CHARACTERS_MAX = 30
EMAIL_CHARACTERS_MAX = 254
PASSWORD_CHARACTERS_MIN = 15
PASSWORD_CHARACTERS_MIN_WITH_OTP = 8
PASSWORD_CHARACTERS_MAX = 256

FAILURES_FREE = 10
FAILURES_CONSECUTIVE_MAX = 100
ADDRESS_FAILURES_FREE = 50
ADDRESS_ORIGIN = "address "
WAIT_MAX = timedelta(minutes=15)
FAILURES_FORGOTTEN_AFTER = timedelta(hours=24)

SENSITIVE_ROLES = frozenset({Role.ADMINISTRATOR, Role.MODERATOR, Role.MEDICAL_SPECIALIST, Role.FINANCE})
"""Granted by two administrators, and only in force in a session with a second factor."""

SELF_SERVICE_ROLES = frozenset({Role.ATHLETE})
"""What everybody has from registration on."""

RESERVED_HANDLES = frozenset(
    {"admin", "administrator", "api", "help", "me", "moderator", "null", "official", "root", "security"}
    | {"service", "staff", "stadion", "support", "system", "undefined"}
)


class UserStatus(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class AssignmentState(StrEnum):
    """Where a granted role stands. PENDING waits for a second administrator."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class User:
    """An account. `handle` is lower case; `email` is as its owner wrote it."""

    id: str
    handle: str
    email: str
    status: UserStatus
    created_at_utc: datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a log-in is checked against. `totp_step` is the last 30-second step whose code was used."""

    user: User
    password_hash: str
    totp_sealed: bytes | None
    totp_step: int


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in and everything refreshed from it. `device` is what the client called itself, `device_id` the
    registered device that it is bound to."""

    id: str
    user_id: str
    acr: int
    device: str
    created_at_utc: datetime
    last_seen_at_utc: datetime
    expires_at_utc: datetime
    revoked_at_utc: datetime | None
    device_id: str | None = None


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """A role that `granted_by` gave; in force while ACTIVE and before `valid_until_utc`.

    `licence_region` is where its holder may practise. `replaces` is the assignment that this one widens:
    approving this one ends that one.
    """

    id: str
    user_id: str
    role: Role
    state: AssignmentState
    granted_by: str
    approved_by: str | None
    created_at_utc: datetime
    valid_until_utc: datetime | None
    scope: RoleScope = EVERYWHERE
    licence_region: str | None = None
    replaces: str | None = None

    def widened_by(self, scope: RoleScope, valid_until_utc: datetime | None) -> bool:
        """Whether a role of this scope until then would reach farther, or last longer."""
        end = self.valid_until_utc
        longer = end is not None and (valid_until_utc is None or valid_until_utc > end)
        return longer or not self.scope.covers(scope)

    def in_force(self, now: datetime) -> bool:
        """Whether the role counts at `now`."""
        unexpired = self.valid_until_utc is None or now < self.valid_until_utc
        return self.state is AssignmentState.ACTIVE and unexpired


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failed log-ins of one account from one origin since the last success."""

    failures: int = 0
    last_failure_at_utc: datetime | None = None


NO_ATTEMPTS = Attempts()


class RuleBroken(Exception):
    """A rule of this domain did not hold. `field` names the input; the message may be shown. `wait_s`: after
    so many seconds it may hold again by itself, 0 where that is not known."""

    def __init__(self, code: str, field: str, message: str, *, wait_s: int = 0) -> None:
        super().__init__(message)
        self.code, self.field, self.message = code, field, message
        self.wait_s = wait_s


def checked_handle(text: str) -> str:
    """The handle in its stored form: 3 to 30 of `a-z 0-9 . _ -`, starting with a letter.

    Errors: RuleBroken.
    """
    handle = text.strip().lower()
    shape = rf"[a-z][a-z0-9._-]{{{HANDLE_CHARACTERS_MIN - 1},{HANDLE_CHARACTERS_MAX - 1}}}"
    if not re.fullmatch(shape, handle):
        raise RuleBroken(
            "BAD_HANDLE",
            "handle",
            f"a handle has {HANDLE_CHARACTERS_MIN} to {HANDLE_CHARACTERS_MAX} characters of a-z, 0-9, "
            "`.`, `_` and `-`, and starts with a letter",
        )
    if handle_skeleton(handle) in {handle_skeleton(reserved) for reserved in RESERVED_HANDLES}:
        raise RuleBroken("HANDLE_TAKEN", "handle", "this handle is taken; choose another")
    return handle


def handle_skeleton(handle: str) -> str:
    """What a handle looks like: two handles with one skeleton are mistaken for each other.

    Handles are ASCII, so the table of look-alikes is short.  Source: UTS 39, confusable detection.
    """
    folded = re.sub(r"[._-]", "", handle.lower())
    for seen, meant in (("0", "o"), ("1", "l"), ("5", "s"), ("rn", "m"), ("vv", "w")):
        folded = folded.replace(seen, meant)
    return folded


def checked_email(text: str) -> str:
    """The address, trimmed.  Errors: RuleBroken for what cannot be one; whether it is one, mail tells."""
    email = text.strip()
    if len(email) > EMAIL_CHARACTERS_MAX or not re.fullmatch(
        r"[^@\s\x00-\x1f]+@[^@\s.]+(\.[^@\s.]+)+", email
    ):
        raise RuleBroken("BAD_EMAIL", "email", "this is not an e-mail address")
    return email


def email_key(email: str) -> str:
    """The form in which addresses are compared."""
    return unicodedata.normalize("NFKC", email).casefold()


def prepared_password(text: str) -> str:
    """The password as it is hashed.  Source: NIST SP 800-63B-4 3.1.1.2 (normalise before hashing)."""
    return unicodedata.normalize("NFKC", text)


def check_password(password: str, *, context_words: tuple[str, ...], with_otp: bool = False) -> None:
    """Whether a prepared password may be chosen.

    15 characters or more as the only factor, 8 or more beside a second one, up to 256; no composition
    rules; nothing that is guessed first: common ones, runs, repetitions, the service's and the owner's names.
    Errors: RuleBroken.  Source: NIST SP 800-63B-4, 3.1.1.2.
    """
    characters_min = PASSWORD_CHARACTERS_MIN_WITH_OTP if with_otp else PASSWORD_CHARACTERS_MIN
    if len(password) < characters_min:
        raise RuleBroken(
            "PASSWORD_TOO_SHORT", "password", f"a password has {characters_min} characters or more"
        )
    if len(password) > PASSWORD_CHARACTERS_MAX:
        raise RuleBroken(
            "PASSWORD_TOO_LONG", "password", f"a password has {PASSWORD_CHARACTERS_MAX} characters or fewer"
        )
    if _guessed_first(password.casefold(), context_words):
        raise RuleBroken(
            "PASSWORD_COMMON", "password", "this password is among the first to be guessed; choose another"
        )


_COMMON_WORDS = """
password passwort passw0rd password1 password12 password123 letmein welcome welcome1 iloveyou sunshine
princess football baseball superman batman trustno1 whatever starwars dragon monkey master shadow
qwertyuiop asdfghjkl zxcvbnm qwerty123 1q2w3e4r 1qaz2wsx changeme changeit secret letmeinnow
correcthorsebatterystaple administrator admin123 football1 abcdefgh abcd1234 aa123456 123123123
mypassword thispassword passwordpassword iloveyouforever letmeinplease
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiop")


def _guessed_first(password: str, context_words: tuple[str, ...]) -> bool:
    bare = re.sub(r"[\W_]+", "", password)
    if bare in _COMMON or re.sub(r"\d+$", "", bare) in _COMMON:
        return True
    if len(set(password)) < 5 or re.fullmatch(r"(.{1,5}?)\1+.{0,4}", password):
        return True
    # What remains once the words that everybody tries first are taken out must still be a secret.
    remaining = bare
    for word in sorted(
        {"stadion", "password", *(w.casefold() for w in context_words)}, key=len, reverse=True
    ):
        if len(word) >= 3:
            remaining = remaining.replace(re.sub(r"[\W_]+", "", word) or word, "")
    for run in (*_RUNS, *(run[::-1] for run in _RUNS)):
        for length in range(len(run), 3, -1):
            for start in range(len(run) - length + 1):
                remaining = remaining.replace(run[start : start + length], "")
    return len(remaining) < 6


def origin_of(address: str) -> str:
    """An address as attempts are counted by it: of IPv6 the /64, which one customer has whole."""
    network = ipaddress.ip_network((address, 64 if ":" in address else 32), strict=False)
    return f"{ADDRESS_ORIGIN}{network}"


def wait_after(
    attempts: Attempts, *, account_failures: int, now: datetime, from_address: Attempts | None = None
) -> timedelta:
    """How long a log-in must still wait, zero if not at all.

    Ten failures of an account from one origin are free; from then on 1, 2, 4 … seconds, at most 15 minutes.
    After 100 consecutive failures of an account, from wherever, each waits 15 minutes. Of one address 50
    failures are free, whichever accounts it tries; its waits grow in the same way. Forgotten after 24 hours.
    """
    account_wait = timedelta()
    if attempts.failures >= FAILURES_FREE:
        account_wait = _growing(attempts.failures - FAILURES_FREE)
    if account_failures >= FAILURES_CONSECUTIVE_MAX:
        account_wait = WAIT_MAX
    address_wait = timedelta()
    if from_address is not None and from_address.failures >= ADDRESS_FAILURES_FREE:
        address_wait = _growing(from_address.failures - ADDRESS_FAILURES_FREE)
    return max(
        _left(attempts, account_wait, now), _left(from_address or NO_ATTEMPTS, address_wait, now), timedelta()
    )


def _growing(failures: int) -> timedelta:
    return min(WAIT_MAX, timedelta(seconds=2 ** min(failures, 10)))


def _left(attempts: Attempts, wait: timedelta, now: datetime) -> timedelta:
    last = attempts.last_failure_at_utc
    if last is None or now - last >= FAILURES_FORGOTTEN_AFTER:
        return timedelta()
    return last + wait - now


def methods_of(acr: int, *, device_bound: bool) -> frozenset[str]:
    """What a session of that level was proven with.  Source: RFC 8176."""
    factors = {"pwd", "otp", "mfa"} if acr >= 2 else {"pwd"}
    return frozenset(factors | {"pop"} if device_bound else factors)


def subject_of(
    user_id: str,
    assignments: list[RoleAssignment],
    *,
    acr: int,
    now: datetime,
    session_id: str | None = None,
    device: str | None = None,
    authenticated_at_utc: datetime | None = None,
    organisations: Iterable[str] = (),
    key_thumbprint: str | None = None,
) -> Subject:
    """Somebody as their token proves them: with the roles in force, sensitive ones only after a second
    factor, how far these reach, and where they are licensed. `device` is what is known of the machine whose
    key, of that thumbprint, the session is bound to."""
    held = [
        each for each in assignments if each.in_force(now) and (acr >= 2 or each.role not in SENSITIVE_ROLES)
    ]
    licensed = [each.licence_region for each in held if each.licence_region is not None]
    return Subject(
        id=user_id,
        roles=frozenset(each.role for each in held),
        session_id=session_id,
        acr=acr,
        amr=methods_of(acr, device_bound=device is not None),
        authenticated_at_utc=authenticated_at_utc,
        organisations=frozenset(organisations),
        key_thumbprint=key_thumbprint,
        region=licensed[-1] if licensed else None,
        device=device,
        limits=limits_of((each.role, each.scope) for each in held),
    )
