"""A program that is registered in one region, and people of another who let it in."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from authz.classes import Role
from deploy.assemble import Platform
from tests.kit_regions.people import Door, Person, become, until
from tests.kit_subgraphs.programs import CALLBACK, CHALLENGE, VERIFIER

REGISTER = """mutation R($i: RegisterApiClientInput!) {
  registerApiClient(input: $i) { client { id } secret userErrors { code message } } }"""
REQUEST = """query Q($i: AuthorizationRequestInput!) {
  authorizationRequest(input: $i) { client { name } vouchedBy ticket userErrors { code } } }"""
AGREE = """mutation A($i: AuthorizationRequestInput!, $s: [String!], $t: String) {
  authorizeClient(input: $i, approvedScopes: $s, ticket: $t) { redirectTo userErrors { code } } }"""


@dataclass(frozen=True)
class Program:
    """A registered program of one region."""

    id: str
    secret: str

    @property
    def asking(self) -> dict[str, str]:
        """What it asks a person for."""
        return {
            "clientId": self.id, "redirectUri": CALLBACK, "codeChallenge": CHALLENGE,
            "scope": "activity:read",
        }  # fmt: skip

    async def post(self, door: Door, name: str, **form: str) -> httpx2.Response:
        """A call to `/oauth/NAME` at a door."""
        pair = base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()
        return await door.http.post(f"/oauth/{name}", data=form, headers={"authorization": f"Basic {pair}"})

    async def exchange(self, door: Door, code: str) -> httpx2.Response:
        """The tokens of a code."""
        given = {"redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.post(door, "token", grant_type="authorization_code", code=code, **given)

    async def known(self, door: Door, person: Person) -> dict[str, Any]:
        """What it asks for, once the person's region has heard of it."""

        async def shown() -> dict[str, Any] | None:
            told = (await door.data(REQUEST, person, i=self.asking))["authorizationRequest"]
            return told if told["client"] else None

        found: dict[str, Any] = await until(shown)
        return found

    async def code(self, door: Door, person: Person, ticket: str | None = None) -> str:
        """A code that the person agreed to."""
        told = (await door.data(AGREE, person, i=self.asking, s=["activity:read"], t=ticket))[
            "authorizeClient"
        ]
        assert told["userErrors"] == [], told
        return parse_qs(urlsplit(told["redirectTo"]).query)["code"][0]


async def registered(running: Platform, door: Door, administrator: Person, **wanted: Any) -> Program:
    """A partner's program, by an administrator of the region `running`."""
    if administrator.totp is None:
        await become(running, door, administrator, Role.ADMINISTRATOR)
    asked = {
        "name": "Eye", "kind": "PARTNER", "scopes": ["activity:read"], "redirectUris": [CALLBACK],
        "documents": "ANY", **wanted,
    }  # fmt: skip
    told = (await door.data(REGISTER, administrator, i=asked))["registerApiClient"]
    assert told["userErrors"] == [], told
    return Program(told["client"]["id"], told["secret"])
