"""The platform put together: every object built once and handed to those who need it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

from authz.decide import Authorizer
from authz.identity.kept_revocations import KeptRevocations
from authz.identity.kept_revocations import follow as follow_revocations
from authz.identity.keys import KeyRing, open_key_ring
from authz.identity.proof_nonces import ProofNonces
from authz.identity.revocation import TOPIC as SESSION_REVOKED
from authz.identity.revocation import RevokedSessions
from authz.identity.surroundings import network_zones
from authz.identity.tokens import TokenIssuer, TokenTerms, TokenVerifier
from authz.policies.kept import TOPIC as POLICY_CHANGED
from authz.policies.kept import KeptPolicies, follow, take_newest
from datastores.errors import StoreError
from datastores.events.embedded import EmbeddedEvents
from datastores.events.port import Event
from datastores.events.relay import Handler
from datastores.lifecycle import opened
from deploy.declines import count_declines
from deploy.domains import (
    NOBODY_ELSEWHERE,
    Elsewhere,
    Shared,
    accounts_ports,
    audit_log_of,
    build_domains,
)
from deploy.keys import kept_secret
from deploy.schemas import migrate_all
from deploy.settings import Settings
from deploy.stores import Stores, stores_of
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.oauth import clients_elsewhere
from subgraphs.accounts.passwords import Passwords
from subgraphs.audit import events as audit_events
from subgraphs.kit import Subgraph
from subgraphs.medical import erasing as medical_erasing
from subgraphs.medical.resource_ids import seal_all as seal_all_ids
from subgraphs.profiles import events as profile_events
from subgraphs.profiles.changes import Profiles
from subgraphs.profiles.guardians import LAPSED_AT_ONCE_MAX, end_lapsed
from subgraphs.training import erasing as training_erasing
from subgraphs.training.edits import sweep_files
from subgraphs.training.ports import TrainingPorts

log = logging.getLogger("stadion.platform")

LAPSED_LOOKED_FOR_S = 3_600
FACTS_REMEMBERED_S = 0.5
"""How long what somebody is to others may be known of before another process's change of it counts here: a
quarter of the two seconds within which a revocation has to reach everything."""
RELATIONSHIP_CHANGED = "relationship.changed"
CONSENT_CHANGED = "consent.changed"
USER_ERASED = "user.erased"

Consumers: TypeAlias = Mapping[str, tuple[Sequence[str], Handler]]
_NONE: Consumers = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Platform:
    """A running platform without its edge: open stores, events flowing, subgraphs ready to be called."""

    settings: Settings
    stores: Stores
    keys: KeyRing
    verifier: TokenVerifier
    authorizer: Authorizer
    passwords: Passwords
    secrets: Callable[[str], bytes]
    training_ports: TrainingPorts
    subgraphs: Mapping[str, Subgraph[Any]]
    accounts: Accounts
    now: Callable[[], datetime]


@asynccontextmanager
async def platform(
    settings: Settings,
    *,
    serving: str | None = None,
    consumers: Consumers = _NONE,
    elsewhere: Elsewhere = NOBODY_ELSEWHERE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Platform]:
    """The platform, open inside the block; stores close in reverse order after it.

    `serving` is the one domain of this process, where each has its own: accounts then relays the events
    of all, and training tidies its files. `consumers` follow events beside the platform's own, by group;
    `elsewhere` knows people who are at home in other regions.
    Errors: StoreError, one clear sentence, where a store does not open.
    """
    stores = stores_of(settings)
    keys_folder = settings.keys_path
    async with open_stores(settings, stores):
        keys = open_key_ring(keys_folder, clock=now)
        terms = TokenTerms(settings.issuer, settings.audience)
        kept = KeptRevocations(stores.facts_rows, revoked := RevokedSessions(), clock=now)
        await kept.open()
        issuer = TokenIssuer(terms, keys, clock=now)
        shared = _shared(settings, stores, issuer, now, elsewhere)
        authorizer = shared.authorizer
        built = build_domains(shared)
        count_declines(built.subgraphs.values())
        if serving in {None, "accounts"}:
            follow_events(shared, kept, built.training_ports)
            for group, (topics, handler) in consumers.items():
                stores.events.consume(group, topics, handler)
        beside = kept_going(stores, authorizer, kept, now, guardians=serving in {None, "profiles"})
        async with opened({"events": stores.events}), beside:
            if serving in {None, "training"}:
                await sweep_files(built.training_ports)
            try:
                yield Platform(
                    settings=settings,
                    stores=stores,
                    keys=keys,
                    verifier=TokenVerifier(terms, keys, revocations=revoked, clock=now),
                    authorizer=authorizer,
                    passwords=shared.passwords,
                    secrets=shared.secret,
                    training_ports=built.training_ports,
                    subgraphs=built.subgraphs,
                    accounts=accounts_ports(shared),
                    now=now,
                )
            finally:
                shared.passwords.close()


def _shared(
    settings: Settings,
    stores: Stores,
    issuer: TokenIssuer,
    now: Callable[[], datetime],
    elsewhere: Elsewhere,
) -> Shared:
    key = settings.proof_nonces_key
    return Shared(
        stores=stores,
        authorizer=_authorizer(settings, stores, now),
        tokens=issuer,
        passwords=Passwords(),
        secret=partial(kept_secret, settings.keys_path),
        now=now,
        elsewhere=elsewhere,
        files_url=settings.files_url,
        proof_nonces=ProofNonces(key.get_secret_value().encode(), clock=now) if key else None,
    )


def _authorizer(settings: Settings, stores: Stores, now: Callable[[], datetime]) -> Authorizer:
    zones, region = network_zones(settings.network_zones), settings.region or None
    return Authorizer(stores.facts, clock=now, zones=zones, region=region, remember_s=FACTS_REMEMBERED_S)


@asynccontextmanager
async def open_stores(settings: Settings, stores: Stores) -> AsyncIterator[None]:
    """The stores, open inside the block and brought to what this program knows; events are not among them.

    Errors: SchemaTooNew, before anything is changed, where one store is newer or half applied; SchemaBehind
    where one waits for migrations that `settings` leaves to `stadion migrate up`.
    """
    async with opened(stores.rows_in_order()):
        await migrate_all(stores.rows(), may_migrate=settings.migrate_at_start)
        async with opened(stores.others_in_order()):
            if settings.migrate_at_start:
                await seal_all_ids(stores.vault)
            yield


@asynccontextmanager
async def policy_followed(stores: Stores, authorizer: Authorizer) -> AsyncIterator[None]:
    """The stored policy in force inside the block, and each new version as it is stored.

    Errors: StoreError where the stored version cannot be read.
    """
    policies = KeptPolicies(stores.facts_rows, stores.events.outbox)
    # Listening comes first: a version that is stored in between is taken twice rather than never.
    changes = stores.events.subscribe([POLICY_CHANGED])
    await take_newest(policies, authorizer)
    following = asyncio.create_task(follow(changes, policies, authorizer))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await changes.aclose()


@asynccontextmanager
async def kept_going(
    stores: Stores,
    authorizer: Authorizer,
    revoked: KeptRevocations,
    now: Callable[[], datetime],
    *,
    guardians: bool,
) -> AsyncIterator[None]:
    """What runs beside the platform for as long as the block does."""
    ending = guardianships_ended(stores, now, here=guardians)
    async with policy_followed(stores, authorizer), revocations_followed(stores, revoked), ending:
        yield


@asynccontextmanager
async def revocations_followed(stores: Stores, revoked: KeptRevocations) -> AsyncIterator[None]:
    """Inside the block, what another process was told to refuse is refused here, too; events on a server say
    that there may be others.

    Errors: StoreError where what is kept cannot be read.
    """
    if isinstance(stores.events, EmbeddedEvents):
        yield
        return
    changes = stores.events.subscribe([SESSION_REVOKED])
    await revoked.renew()
    following = asyncio.create_task(follow_revocations(changes, revoked))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await changes.aclose()


@asynccontextmanager
async def guardianships_ended(
    stores: Stores, now: Callable[[], datetime], *, here: bool
) -> AsyncIterator[None]:
    """Inside the block, whoever comes of age is told within the hour; access ends by itself, on the day."""
    rows = stores.relational["profiles"]
    ports = Profiles(relational=rows, unfenced=rows, outbox=stores.events.outbox, now=now)

    async def end_now_and_then() -> None:
        while True:
            try:
                while await end_lapsed(ports) == LAPSED_AT_ONCE_MAX:
                    pass
            except StoreError as error:
                log.warning("ended guardianships could not be written down: %s", error)
            await asyncio.sleep(LAPSED_LOOKED_FOR_S)

    ending = asyncio.create_task(end_now_and_then()) if here else None
    try:
        yield
    finally:
        if ending is not None:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)


def follow_clients(shared: Shared) -> None:
    """Programs that other regions tell of are known here."""
    ports = accounts_ports(shared)

    async def take_over(event: Event) -> None:
        await clients_elsewhere.take_over(ports, event.payload)

    shared.stores.events.consume("clients-elsewhere", (clients_elsewhere.CLIENT_TOLD,), take_over)


def follow_events(shared: Shared, revoked: KeptRevocations, training_ports: TrainingPorts) -> None:
    """What domains publish reaches who acts on it: facts, sessions, the audit log, and every domain that has
    something of a person who registers or is erased."""
    stores, log = shared.stores, audit_log_of(shared)
    events, outbox, now = stores.events, stores.events.outbox, shared.now

    async def keep_fact(event: Event) -> None:
        await stores.facts.apply_event(event.payload)

    async def refuse_session(event: Event) -> None:
        await revoked.apply_event(event.payload)

    async def forget_person(event: Event) -> None:
        await stores.facts.forget(str(event.payload["user_id"]))

    async def forget_in_stores(event: Event) -> None:
        person = [str(event.payload["user_id"])]
        if stores.series is not None:
            await stores.series.forget_people(person)
        if stores.graph is not None:
            await stores.graph.forget(person)
        if stores.documents is not None:
            await stores.documents.forget_people(person)

    events.consume("authorization-facts", (RELATIONSHIP_CHANGED, CONSENT_CHANGED), keep_fact)
    events.consume("erased-facts", (USER_ERASED,), forget_person)
    events.consume("erased-stores", (USER_ERASED,), forget_in_stores)
    events.consume(
        profile_events.CONSUMER,
        profile_events.CONSUMED_TOPICS,
        profile_events.consumer(stores.relational["profiles"], outbox, now),
    )
    events.consume(
        medical_erasing.CONSUMER,
        medical_erasing.CONSUMED_TOPICS,
        medical_erasing.consumer(stores.vault, outbox, now),
    )
    events.consume(
        training_erasing.CONSUMER,
        training_erasing.CONSUMED_TOPICS,
        training_erasing.consumer(training_ports),
    )
    follow_clients(shared)
    events.consume("revoked-sessions", (SESSION_REVOKED,), refuse_session)
    events.consume(audit_events.CONSUMER, audit_events.CONSUMED_TOPICS, audit_events.consumer(log))
