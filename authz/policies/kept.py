"""The SQL policy store: versions of the policy, the last one in force in every process that follows them.

apply -> a row and an event `policy.changed`, in one transaction -> each process: newest -> replace_policy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from authz.errors import PolicyInvalid
from authz.facts.tables import authz_policies
from authz.policies.engine import PolicyEngine
from authz.policies.rules import Policy, read_policy
from authz.trail import TOPIC as ACCESS_RECORDED
from authz.trail import Access, Outcome, Touched
from datastores.errors import StoreError, Unavailable
from datastores.events.outbox import new_event
from datastores.events.port import Event, Outbox
from datastores.relational.port import Relational

log = logging.getLogger("stadion.authz")

TOPIC = "policy.changed"
RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A stored version. `number` counts from 1."""

    number: int
    policy: Policy
    stored_by: str
    stored_at_utc: datetime


class KeptPolicies:
    """Versions in the store of `RelationalFacts`, whose `open` makes the table."""

    def __init__(self, relational: Relational, outbox: Outbox) -> None:
        self._relational = relational
        self._outbox = outbox

    async def newest(self) -> KeptPolicy | None:
        """The version in force; None where the shipped policy is.

        Errors: StoreError for one that this program cannot read: it never decides by another one instead.
        """
        row = await self._relational.read(_newest)
        if row is None:
            return None
        try:
            policy = read_policy(row.text)
        except PolicyInvalid as invalid:
            raise StoreError(
                f"version {row.number} of the stored policy cannot be read ({invalid.problems[0]}):"
                " start the version of Stadion that stored it, or store another policy"
            ) from invalid
        return KeptPolicy(row.number, policy, row.stored_by, row.stored_at_utc)

    async def store(self, policy: Policy, *, stored_by: str, at_utc: datetime) -> KeptPolicy:
        """Put a policy in force: running processes take it within 2 seconds. It leaves an audit record.

        Errors: whatever Casbin has against it.
        """
        PolicyEngine(policy)

        def work(connection: Connection) -> int:
            last = connection.execute(sa.select(sa.func.max(authz_policies.c.number))).scalar() or 0
            values = {
                "number": last + 1,
                "fingerprint": policy.version,
                "text": policy.text,
                "stored_by": stored_by,
                "stored_at_utc": at_utc,
            }
            connection.execute(sa.insert(authz_policies).values(values))
            changed = {"number": last + 1, "version": policy.version}
            self._outbox.append(
                connection,
                [
                    new_event(TOPIC, key="policy", payload=changed, at_utc=at_utc),
                    _record(policy.version, stored_by=stored_by, at_utc=at_utc),
                ],
            )
            return last + 1

        return KeptPolicy(await self._relational.write(work), policy, stored_by, at_utc)


class ReplacesPolicy(Protocol):
    """The part of `Authorizer` that a reload needs."""

    @property
    def policy_version(self) -> str:
        """The fingerprint of the policy in force."""
        ...

    def replace_policy(self, policy: Policy) -> None:
        """Decide by this policy from now on."""
        ...


async def take_newest(kept: KeptPolicies, authorizer: ReplacesPolicy) -> bool:
    """Put the stored policy in force in this process, if it is another one.  Errors: StoreError."""
    newest = await kept.newest()
    if newest is None or newest.policy.version == authorizer.policy_version:
        return False
    authorizer.replace_policy(newest.policy)
    return True


async def follow(changes: AsyncIterator[Event], kept: KeptPolicies, authorizer: ReplacesPolicy) -> None:
    """Take each new version as its event arrives, for as long as there are events.

    A version that this program cannot read is logged, and the one before it stays in force; a store that is
    away is asked until it answers.
    """
    async for _ in changes:
        while True:
            try:
                if await take_newest(kept, authorizer):
                    log.info("policy %s is in force", authorizer.policy_version)
                break
            except Unavailable:
                await asyncio.sleep(RETRY_S)
            except StoreError as error:
                log.error("the policy stays at %s: %s", authorizer.policy_version, error)
                break


def _newest(connection: Connection) -> sa.Row[tuple[int, str, str, str, datetime]] | None:
    query = sa.select(authz_policies).order_by(authz_policies.c.number.desc()).limit(1)
    return connection.execute(query).one_or_none()


def _record(version: str, *, stored_by: str, at_utc: datetime) -> Event:
    touched = Touched(
        target_id=None,
        action="write",
        data_class="SECURITY",
        fields=(f"policy {version}",),
        allowed=True,
        rule="operator",
        outcome=Outcome.CHANGED,
    )
    access = Access(at_utc, "authz", stored_by, None, None, None, "", (touched,))
    return new_event(ACCESS_RECORDED, key=stored_by, payload=access.as_payload(), at_utc=at_utc)
