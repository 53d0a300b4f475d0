"""Accounts with real stores, real tokens and the real policy, at a clock that tests turn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pyotp

from authz.classes import Role
from authz.decide import Authorizer
from authz.facts.store import MemoryFacts
from authz.identity.keys import KeyRing, generate_key
from authz.identity.revocation import RevokedSessions
from authz.identity.subject import ANONYMOUS, Subject
from authz.identity.tokens import TokenIssuer, TokenTerms, TokenVerifier
from datastores.events.outbox import RelationalOutbox, events_after
from datastores.events.port import Event
from datastores.relational.port import Relational
from subgraphs.accounts import store
from subgraphs.accounts.entities import AccountsContext
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import SELF_SERVICE_ROLES
from subgraphs.accounts.passwords import CHEAPEST, Passwords
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.accounts.sessions import RefreshKey
from subgraphs.accounts.subgraph import build, ports, prepare
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.row_fence import FencedRows

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
PASSWORD = "long enough for me"
TERMS = TokenTerms(issuer="https://stadion.test", audience="stadion")

LOG_IN = """mutation($login: String!, $password: String!, $otp: String, $device: String, $proof: String) {
  logIn(input: {login: $login, password: $password, otp: $otp, device: $device, deviceProof: $proof}) {
    accessToken refreshToken expiresInS user {id} userErrors {code field message}}}"""
REFRESH = """mutation($token: String!, $requestId: String, $proof: String) {
  refresh(input: {refreshToken: $token, requestId: $requestId, deviceProof: $proof}) {
    accessToken refreshToken userErrors {code}}}"""


@dataclass
class World:
    """The subgraph under test and what surrounds it."""

    relational: Relational
    subgraph: Subgraph[AccountsContext]
    accounts: Accounts
    passwords: Passwords
    second_factor: SecondFactor
    verifier: TokenVerifier
    revoked: RevokedSessions
    clock: list[dt.datetime]
    facts: MemoryFacts
    applied: int = 0
    secrets: dict[str, str] = field(default_factory=dict)

    def later(self, **span: float) -> dt.datetime:
        """Turn the clock on."""
        self.clock[0] += dt.timedelta(**span)
        return self.clock[0]

    async def person(self, handle: str, *roles: Role, totp: bool = False) -> str:
        """A user who can log in with PASSWORD; with `totp` also needs a code."""
        secret = pyotp.random_base32() if totp else None
        if secret is not None:
            self.secrets[handle] = secret
        sealed = secret and self.second_factor.sealed(secret, user_id=f"id-{handle}")
        user = await self.relational.write(
            lambda c: store.create_user(
                c,
                id=f"id-{handle}",
                handle=handle,
                email=f"{handle}@example.org",
                password_hash=self.passwords.hashed_now(PASSWORD),
                now=self.clock[0],
                roles=SELF_SERVICE_ROLES | frozenset(roles),
                totp_sealed=sealed or None,
            )
        )
        return user.id

    def code(self, handle: str) -> str:
        """The code that the person's authenticator shows."""
        return str(pyotp.TOTP(self.secrets[handle]).at(self.clock[0]))

    async def ask(self, query: str, subject: Subject = ANONYMOUS, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL answer."""
        return await self.subgraph.execute(query, variables, None, subject)

    async def log_in(
        self, login: str, password: str = PASSWORD, subject: Subject = ANONYMOUS, **more: Any
    ) -> dict[str, Any]:
        """The payload of `logIn`."""
        answer = await self.ask(LOG_IN, subject, login=login, password=password, **more)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["logIn"]
        return payload

    async def refresh(
        self, token: str, request_id: str | None = None, proof: str | None = None
    ) -> dict[str, Any]:
        """The payload of `refresh`."""
        answer = await self.ask(REFRESH, token=token, requestId=request_id, proof=proof)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["refresh"]
        return payload

    async def subject(self, handle: str) -> Subject:
        """Whom a fresh log-in of `handle` proves to the router."""
        otp = self.code(handle) if handle in self.secrets else None
        payload = await self.log_in(handle, otp=otp)
        assert payload["userErrors"] == [], payload
        return self.verifier.verify(payload["accessToken"])

    async def events(self, topic: str) -> list[Event]:
        """What was published under `topic`, in order."""
        found = await self.relational.read(lambda c: events_after(c, 0, limit=10_000))
        return [event for _, event in found if event.topic == topic]

    async def deliver_facts(self) -> None:
        """Carry `relationship.changed` to decisions, as the platform's relay does."""
        for event in await self.events("relationship.changed"):
            await self.facts.apply_event(event.payload)

    async def deliver_revocations(self) -> None:
        """Carry `session.revoked` to the verifier, as the platform's relay does."""
        for event in await self.events("session.revoked"):
            self.revoked.apply_event(event.payload)


async def open_world(relational: Relational, *, prepared: bool = False) -> World:
    """At noon, over an empty store, which is migrated here unless it was `prepared`."""
    if not prepared:
        await prepare(relational)
    clock = [NOON]

    def now() -> dt.datetime:
        return clock[0]

    facts = MemoryFacts()
    keys = KeyRing([generate_key(created_at_utc=NOON)])
    revoked = RevokedSessions()
    passwords = Passwords(cost=CHEAPEST)
    second_factor = SecondFactor(b"f" * 32)
    accounts = ports(
        relational=relational,
        outbox=RelationalOutbox(),
        tokens=TokenIssuer(TERMS, keys, clock=now),
        passwords=passwords,
        second_factor=second_factor,
        refresh_key=RefreshKey(b"r" * 32),
        now=now,
    )
    subgraph = build(
        accounts,
        shown=cast(Relational, FencedRows(relational)),
        authorizer=Authorizer(facts, clock=now),
        cursors=CursorSigner(b"c" * 32),
    )
    verifier = TokenVerifier(TERMS, keys, revocations=revoked, clock=now)
    return World(relational, subgraph, accounts, passwords, second_factor, verifier, revoked, clock, facts)


def stepped_down(subject: Subject) -> Subject:
    """The same caller as if no second factor had been shown."""
    return replace(subject, acr=1)
