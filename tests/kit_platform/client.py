"""A user's client: logs in, asks, uploads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pyotp

from deploy.demo.people import PEOPLE, DemoPerson

LOG_IN = """
mutation LogIn($input: LogInInput!) {
  logIn(input: $input) { accessToken refreshToken userErrors { code message } }
}
"""


@dataclass
class Caller:
    """Somebody with or without a token, before one endpoint."""

    url: str
    token: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What proves who asks."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole GraphQL response."""
        body = {"query": query, "variables": variables}
        return httpx2.post(self.url, json=body, headers=self.headers, timeout=30).json()

    def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer that must have no errors."""
        answer = self.ask(query, **variables)
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    def upload(self, query: str, path: Path, variable: str) -> dict[str, Any]:
        """One file by the GraphQL multipart request specification."""
        operations = json.dumps({"query": query, "variables": {variable: None}})
        return httpx2.post(
            self.url,
            data={"operations": operations, "map": json.dumps({"0": [f"variables.{variable}"]})},
            files={"0": (path.name, path.read_bytes())},
            headers={**self.headers, "graphql-require-preflight": "1"},
            timeout=60,
        ).json()


def person(handle: str) -> DemoPerson:
    """A demo person."""
    return next(each for each in PEOPLE if each.handle == handle)


def log_in(url: str, handle: str) -> Caller:
    """A demo person, logged in, with a second factor where they have one."""
    who = person(handle)
    given = {"login": who.handle, "password": who.password}
    if who.totp_secret:
        given["otp"] = pyotp.TOTP(who.totp_secret).now()
    payload = Caller(url).data(LOG_IN, input=given)["logIn"]
    assert payload["accessToken"], payload
    return Caller(url, payload["accessToken"])
