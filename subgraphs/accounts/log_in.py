"""How somebody comes in and goes out: register, log in, refresh, log out, change what they prove it with.

Each step is one transaction, with hashing between them off the event loop. An attempt is counted before the
password is checked, so that attempts made at once do not pass the limit together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection

from authz.identity.device_proof import ProvenKey
from authz.identity.proof_nonces import ProofNonces
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer
from datastores.errors import Conflict
from datastores.events.port import Outbox
from datastores.relational.port import Relational
from subgraphs.accounts import events, sessions, store
from subgraphs.accounts.device_proving import device_of, same_device, told_proof
from subgraphs.accounts.model import (
    ADDRESS_ORIGIN,
    PASSWORD_CHARACTERS_MAX,
    PASSWORD_CHARACTERS_MIN,
    SENSITIVE_ROLES,
    Credentials,
    RuleBroken,
    User,
    UserStatus,
    check_password,
    checked_email,
    checked_handle,
    prepared_password,
    wait_after,
)
from subgraphs.accounts.passwords import Passwords
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.accounts.session_subject import subject_of_session
from subgraphs.accounts.sessions import RefreshKey, Refusal, Rotated

LOGIN_CHARACTERS_MAX = 254


@dataclass(frozen=True, slots=True)
class Accounts:
    """The ports and keys that accounts works with; one value a process."""

    relational: Relational
    outbox: Outbox
    passwords: Passwords
    second_factor: SecondFactor
    refresh_key: RefreshKey
    tokens: TokenIssuer
    token_lifetime: timedelta
    now: Callable[[], datetime]
    nonces: ProofNonces | None = None
    """What proofs of programs have to repeat, where it is asked for."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a client keeps: an access token for `expires_in_s` seconds, and the token to get the next with."""

    user: User
    access_token: str
    refresh_token: str
    expires_in_s: int


async def register(accounts: Accounts, *, handle: str, email: str, password: str) -> User:
    """A new account with the roles that everybody has.

    It does not tell whether an address is in use: addresses are not unique until they are verified.
    Errors: RuleBroken.
    """
    handle = checked_handle(handle)
    email = checked_email(email)
    prepared = prepared_password(password)
    check_password(prepared, context_words=(handle, email.split("@", maxsplit=1)[0]))
    password_hash = await accounts.passwords.hashed(prepared)

    def work(connection: Connection) -> User:
        now = accounts.now()
        user = store.create_user(connection, handle=handle, email=email, password_hash=password_hash, now=now)
        accounts.outbox.append(connection, [events.user_registered(user.id, handle=handle, at_utc=now)])
        return user

    try:
        return await accounts.relational.write(work)
    except Conflict:
        raise RuleBroken("HANDLE_TAKEN", "handle", "this handle is taken; choose another") from None


async def log_in(
    accounts: Accounts,
    *,
    login: str,
    password: str,
    otp: str | None,
    device: str,
    origin: str,
    proof: str | None = None,
) -> LoggedIn:
    """A new session for a handle or e-mail address and password, with a code where a second factor is on.

    `origin` is where the attempt comes from, `proof` a registered device's for `log_in` and `login`: the
    session is bound to it. An account that does not exist takes as long and answers the same as a wrong
    password. Errors: RuleBroken BAD_CREDENTIALS, OTP_REQUIRED, THROTTLED, SUSPENDED, BAD_DEVICE_PROOF.
    """
    key = _told_key(accounts, proof, act="log_in", text=login)
    login = login.strip()[:LOGIN_CHARACTERS_MAX]
    found = await _attempt(
        accounts, login, origin, lambda connection: store.credentials_for(connection, login)
    )
    credentials = await _proven(accounts, found, password)
    step = 0
    if credentials.totp_sealed is not None:
        if otp is None:
            # The password was right: this was no failure, but it does not wipe out earlier ones either.
            await accounts.relational.write(lambda c: store.take_back_failure(c, login, origin))
            raise RuleBroken("OTP_REQUIRED", "otp", "this account needs the code of its second factor")
        step = _step(accounts, credentials, otp)
    renewed = await _renewed_hash(accounts, credentials, password)

    def work(connection: Connection) -> tuple[Rotated, Subject]:
        now = accounts.now()
        user_id = credentials.user.id
        if credentials.totp_sealed is not None and not store.use_totp_step(connection, user_id, step):
            raise _bad_credentials()
        store.forget_failures(connection, login)
        if renewed is not None:
            store.set_password(connection, user_id, renewed)
        acr = 1 if credentials.totp_sealed is None else 2
        sessions.forget_ended(connection, user_id, now=now)
        surplus = sessions.running_ids(connection, user_id)[: -sessions.SESSIONS_MAX + 1]
        _end(accounts, connection, user_id, surplus, reason="too many sessions")
        bound = None if key is None else device_of(connection, user_id, key, now=now)
        rotated = sessions.open_session(
            connection,
            accounts.refresh_key,
            user_id=user_id,
            acr=acr,
            device=device,
            now=now,
            device_id=None if bound is None else bound.id,
        )
        return rotated, subject_of_session(connection, rotated.session, now)

    if credentials.user.status is UserStatus.SUSPENDED:
        raise RuleBroken("SUSPENDED", "login", "this account is suspended; write to support")
    rotated, subject = await accounts.relational.write(work)
    return _logged_in(accounts, credentials.user, rotated, subject)


async def refresh(
    accounts: Accounts, *, refresh_token: str, request_id: str | None, proof: str | None = None
) -> LoggedIn:
    """The next tokens of a session; one that is bound to a device asks for its `proof`, for `refresh` and
    the token. Without it the token is not used up.

    A client that got no answer sends the same request (token and request id) again within 10 seconds and gets
    the same successor. Any other second use of a token ends its session.
    Errors: RuleBroken BAD_REFRESH_TOKEN, the same for every cause.
    """

    key = _told_key(accounts, proof, act="refresh", text=refresh_token)

    def work(connection: Connection) -> tuple[User, Rotated, Subject] | None:
        now = accounts.now()
        outcome = sessions.rotate(
            connection, accounts.refresh_key, refresh_token, request_id=request_id, now=now
        )
        if isinstance(outcome, Rotated):
            if not same_device(connection, outcome.session, key, now=now):
                raise _bad_refresh_token()  # nothing of this transaction stays
            user = store.users_by_id(connection, [outcome.session.user_id])[outcome.session.user_id]
            if user.status is UserStatus.ACTIVE:
                return user, outcome, subject_of_session(connection, outcome.session, now)
            return None
        refusal, session = outcome
        if refusal is Refusal.REUSED and session is not None:
            event = events.session_revoked(
                session.user_id, session.id, reason="refresh token reused", at_utc=now
            )
            accounts.outbox.append(connection, [event])
        return None

    answer = await accounts.relational.write(work)
    if answer is None:
        raise _bad_refresh_token()
    user, rotated, subject = answer
    return _logged_in(accounts, user, rotated, subject)


async def end_sessions(
    accounts: Accounts, user_id: str, *, only: str | None = None, but: str | None = None, reason: str
) -> int:
    """End one session of a user (`only`), all others (`but`), or all; how many were going on.

    Errors: RuleBroken NOT_FOUND where `only` is no session of this user.
    """

    def work(connection: Connection) -> int:
        running = sessions.running_ids(connection, user_id)
        if only is not None and only not in running:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        chosen = [id_ for id_ in running if id_ != but and (only is None or id_ == only)]
        return _end(accounts, connection, user_id, chosen, reason=reason)

    return await accounts.relational.write(work)


async def change_password(
    accounts: Accounts, user_id: str, session_id: str | None, *, current: str, new: str
) -> None:
    """Replace the password and end every other session.  Errors: RuleBroken."""
    credentials = await _proven_again(accounts, user_id, current)
    prepared = prepared_password(new)
    words = (credentials.user.handle, credentials.user.email.split("@", maxsplit=1)[0])
    check_password(prepared, context_words=words, with_otp=credentials.totp_sealed is not None)
    password_hash = await accounts.passwords.hashed(prepared)

    def work(connection: Connection) -> None:
        store.set_password(connection, user_id, password_hash)
        others = [id_ for id_ in sessions.running_ids(connection, user_id) if id_ != session_id]
        _end(accounts, connection, user_id, others, reason="password changed")

    await accounts.relational.write(work)


async def enrol_totp(accounts: Accounts, user_id: str, *, password: str) -> tuple[str, str]:
    """A secret and its `otpauth:` URI, in force once `confirm_totp` has seen a code.  Errors: RuleBroken."""
    credentials = await _proven_again(accounts, user_id, password)
    secret = accounts.second_factor.new_secret()
    sealed = accounts.second_factor.sealed(secret, user_id=user_id)
    if not await accounts.relational.write(lambda c: store.begin_totp(c, user_id, sealed)):
        raise RuleBroken("ALREADY_ENROLLED", "password", "a second factor is on already")
    return secret, accounts.second_factor.uri(secret, credentials.user.handle)


async def confirm_totp(accounts: Accounts, user_id: str, *, otp: str) -> None:
    """Put the second factor in force; log in again with it to get its rights.  Errors: RuleBroken."""
    pending = await accounts.relational.read(lambda c: store.pending_totp(c, user_id))
    if pending is None:
        raise RuleBroken("NOT_ENROLLED", "otp", "enrol a second factor first")
    secret = accounts.second_factor.opened(pending, user_id=user_id)
    step = accounts.second_factor.used_step(secret, otp, after_step=0, now=accounts.now())
    confirmed = step is not None and await accounts.relational.write(
        lambda c: store.confirm_totp(c, user_id, pending, step=step)
    )
    if not confirmed:
        raise RuleBroken("BAD_OTP", "otp", "this is not the current code")


async def disable_totp(
    accounts: Accounts, user_id: str, session_id: str | None, *, password: str, otp: str
) -> None:
    """Take the second factor away and end every other session.

    Errors: RuleBroken, also where the password is too short to stand alone or a role needs the factor.
    """
    credentials = await _proven_again(accounts, user_id, password)
    if credentials.totp_sealed is None:
        raise RuleBroken("NOT_ENROLLED", "otp", "there is no second factor")
    if len(prepared_password(password)) < PASSWORD_CHARACTERS_MIN:
        message = f"first choose a password of {PASSWORD_CHARACTERS_MIN} characters or more"
        raise RuleBroken("PASSWORD_TOO_SHORT", "password", message)
    step = _step(accounts, credentials, otp)

    def work(connection: Connection) -> None:
        assignments = store.roles_of(connection, [user_id])[user_id]
        if any(each.role in SENSITIVE_ROLES and each.in_force(accounts.now()) for each in assignments):
            raise RuleBroken("ROLE_NEEDS_FACTOR", "otp", "a role of this account needs its second factor")
        if not store.use_totp_step(connection, user_id, step):
            raise _bad_credentials()
        store.remove_totp(connection, user_id)
        others = [id_ for id_ in sessions.running_ids(connection, user_id) if id_ != session_id]
        _end(accounts, connection, user_id, others, reason="second factor removed")

    await accounts.relational.write(work)


async def _attempt(
    accounts: Accounts,
    login: str,
    origin: str,
    find: Callable[[Connection], Credentials | None],
) -> Credentials | None:
    """Count one attempt as failed, and read what it is checked against.  Errors: RuleBroken THROTTLED."""

    def work(connection: Connection) -> tuple[timedelta, Credentials | None]:
        now = accounts.now()
        store.forget_old_failures(connection, now=now)
        attempts, everywhere = store.attempts(connection, login, origin)
        # what is no address (a client program, a repeated password) stands for many people
        from_address = store.attempts_from(connection, origin) if origin.startswith(ADDRESS_ORIGIN) else None
        wait = wait_after(attempts, account_failures=everywhere, now=now, from_address=from_address)
        if not wait:
            store.note_failure(connection, login, origin, now=now)
        return wait, find(connection)

    wait, credentials = await accounts.relational.write(work)
    if wait:
        seconds = ceil(wait.total_seconds())
        told = f"too many attempts; try again in {seconds} s"
        raise RuleBroken("THROTTLED", "login", told, wait_s=seconds)
    return credentials


async def _proven(accounts: Accounts, credentials: Credentials | None, password: str) -> Credentials:
    prepared = prepared_password(password[: PASSWORD_CHARACTERS_MAX + 1])[: PASSWORD_CHARACTERS_MAX + 1]
    encoded = None if credentials is None else credentials.password_hash
    if not await accounts.passwords.fits(prepared, encoded) or credentials is None:
        raise _bad_credentials()
    return credentials


async def _proven_again(accounts: Accounts, user_id: str, password: str) -> Credentials:
    """The credentials of a caller who has shown their password again; attempts are counted as at log-in."""
    found = await _attempt(accounts, user_id, "again", lambda c: store.credentials_of(c, user_id))
    credentials = await _proven(accounts, found, password)
    await accounts.relational.write(lambda c: store.forget_failures(c, user_id))
    return credentials


async def proven_now(
    accounts: Accounts, user_id: str, *, password: str, otp: str | None
) -> tuple[Credentials, int | None]:
    """The credentials of a caller who has shown all of them again, and the step of the code to be used up.

    Errors: RuleBroken.
    """
    credentials = await _proven_again(accounts, user_id, password)
    if credentials.totp_sealed is None:
        return credentials, None
    return credentials, _step(accounts, credentials, otp or "")


def _step(accounts: Accounts, credentials: Credentials, otp: str) -> int:
    if credentials.totp_sealed is None:
        raise _bad_credentials()
    secret = accounts.second_factor.opened(credentials.totp_sealed, user_id=credentials.user.id)
    step = accounts.second_factor.used_step(secret, otp, after_step=credentials.totp_step, now=accounts.now())
    if step is None:
        raise _bad_credentials()
    return step


def _told_key(accounts: Accounts, proof: str | None, *, act: str, text: str) -> ProvenKey | None:
    if proof is None:
        return None
    return told_proof(proof, accounts.tokens.issuer, act=act, text=text, now=accounts.now())


async def _renewed_hash(accounts: Accounts, credentials: Credentials, password: str) -> str | None:
    if not accounts.passwords.outdated(credentials.password_hash):
        return None
    return await accounts.passwords.hashed(prepared_password(password))


def _bad_refresh_token() -> RuleBroken:
    return RuleBroken("BAD_REFRESH_TOKEN", "refreshToken", "log in again")


def _bad_credentials() -> RuleBroken:
    return RuleBroken("BAD_CREDENTIALS", "login", "login, password or code is wrong")


def _end(
    accounts: Accounts, connection: Connection, user_id: str, session_ids: list[str], *, reason: str
) -> int:
    now = accounts.now()
    ended = sessions.revoke(connection, session_ids, now=now)
    accounts.outbox.append(
        connection, [events.session_revoked(user_id, id_, reason=reason, at_utc=now) for id_ in ended]
    )
    return len(ended)


def _logged_in(accounts: Accounts, user: User, rotated: Rotated, subject: Subject) -> LoggedIn:
    return LoggedIn(
        user=user,
        access_token=accounts.tokens.issue(subject),
        refresh_token=rotated.refresh_token,
        expires_in_s=int(accounts.token_lifetime.total_seconds()),
    )
