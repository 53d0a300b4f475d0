"""How somebody leaves for good: the account's rows go at once, and `user.erased` tells every other domain.

eraseAccount -> rows deleted, sessions ended, user.erased (one transaction) -> medical destroys the patient's
key, training and profiles delete, authorization forgets relations, audit forgets who a pseudonym stands for.
"""

from __future__ import annotations

from sqlalchemy import Connection

from authz.classes import Role
from subgraphs.accounts import device_store, events, role_store, sessions, store
from subgraphs.accounts.log_in import Accounts, proven_now
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.oauth import authorization_store


async def erase(accounts: Accounts, user_id: str, *, password: str, otp: str | None) -> None:
    """Erase the caller's own account, who proves anew that it is theirs.  Errors: RuleBroken."""
    credentials, step = await proven_now(accounts, user_id, password=password, otp=otp)

    def work(connection: Connection) -> None:
        now = accounts.now()
        if step is not None and not store.use_totp_step(connection, user_id, step):
            raise RuleBroken("BAD_CREDENTIALS", "login", "login, password or code is wrong")
        ended = sessions.revoke(connection, sessions.running_ids(connection, user_id), now=now)
        administered = store.count_in_force(connection, Role.ADMINISTRATOR, now=now)
        for login in (user_id, credentials.user.handle, credentials.user.email):
            store.forget_failures(connection, login)
        role_store.forget_member(connection, user_id)
        device_store.forget_person(connection, user_id)
        let_in = authorization_store.going_ids(connection, user_id=user_id)
        authorization_store.forget_person(connection, user_id)
        store.delete_user(connection, user_id)
        if administered and not store.count_in_force(connection, Role.ADMINISTRATOR, now=now):
            raise RuleBroken("LAST_ADMINISTRATOR", "id", "the last administrator stays: appoint another one")
        accounts.outbox.append(
            connection,
            [
                *(
                    events.session_revoked(user_id, id_, reason="erased", at_utc=now)
                    for id_ in [*ended, *let_in]
                ),
                events.tokens_revoked(user_id, reason="erased", at_utc=now),
                events.user_erased(user_id, at_utc=now),
            ],
        )

    await accounts.relational.write(work)
