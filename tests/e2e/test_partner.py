"""A partner at the whole platform: registered documents alone, in a budget, without the schema."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from authz.classes import Role
from authz.identity.keys import open_key_ring
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer, TokenTerms
from deploy.endpoint import PARTNER_COST_MAX, REQUESTS_PER_MINUTE_MAX
from deploy.settings import Settings
from subgraphs.accounts.oauth.model import ClientRate
from tests.kit_platform.process import Running, stadion_up

pytestmark = pytest.mark.timeout(120)
DEAR = "query Dear {" + " ".join(f"u{n}: users {{ edges {{ node {{ id }} }} }}" for n in range(60)) + "}"
MANIFEST: list[dict[str, str]] = [
    {"id": "who", "body": "query Who { me { id } }", "clientName": "acme"},
    {"id": "dear", "body": DEAR, "clientName": "acme"},
    {"id": "schema", "body": "query Schema { __schema { types { name } } }", "clientName": "acme"},
    {"id": "theirs", "body": "query Theirs { __typename }", "clientName": "another"},
]
WHO = MANIFEST[0]["body"]


@dataclass(frozen=True)
class Partner:
    """A partner's client at a running platform, whose manifest the operator may change."""

    up: Running
    manifest: Path
    token: str
    http: httpx2.Client

    def post(self, body: dict[str, Any], token: str | None = "own") -> httpx2.Response:
        own = self.token if token == "own" else token
        headers = {"accept": "application/graphql-response+json"}
        if own:
            headers["authorization"] = f"Bearer {own}"
        return self.http.post(self.up.graphql, json=body, headers=headers, timeout=30)

    async def over_socket(self, *payloads: dict[str, Any]) -> list[dict[str, Any]]:
        """The last message about each operation, all on one connection."""
        url = self.up.graphql.replace("http", "ws", 1)
        found: list[dict[str, Any]] = []
        async with websockets.connect(url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}}
            await socket.send(json.dumps(hello))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            for number, payload in enumerate(payloads):
                message = {"id": f"o{number}", "type": "subscribe", "payload": payload}
                await socket.send(json.dumps(message))
                answer = json.loads(await socket.recv())
                assert answer["id"] == f"o{number}"
                found.append(answer)
                if answer["type"] == "next":
                    assert json.loads(await socket.recv())["type"] == "complete"
        return found


def write(path: Path, operations: list[dict[str, str]]) -> None:
    path.write_text(json.dumps({"operations": operations}))


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    folder = tmp_path_factory.mktemp("partner")
    manifest, data = folder / "manifest.json", folder / "data"
    write(manifest, MANIFEST)
    with stadion_up(data, "--no-demo", "--persisted", str(manifest)) as up, httpx2.Client() as http:
        yield Partner(up, manifest, token_of(data), http)


def token_of(data: Path) -> str:
    """As accounts would issue it: signed with the platform's own key."""
    terms = TokenTerms(Settings().issuer, Settings().audience)
    issuer = TokenIssuer(terms, open_key_ring(data / "keys"), clock=lambda: datetime.now(UTC))
    return issuer.issue(Subject("partner-1", roles=frozenset({Role.PARTNER}), client_id="acme"))


def code(answer: Any) -> str:
    return str(answer["errors"][0]["extensions"]["code"])


def hashed(text: str) -> dict[str, Any]:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256}}


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"query": WHO}, 400, "PERSISTED_QUERY_ID_REQUIRED"),
    ({"query": "{ __typename }"}, 400, "PERSISTED_QUERY_ID_REQUIRED"),
    ({"documentId": "theirs"}, 404, "PERSISTED_QUERY_NOT_IN_LIST"),
    ({"documentId": "none"}, 404, "PERSISTED_QUERY_NOT_IN_LIST"),
    ({"documentId": "who", "query": "{ __typename }"}, 400, "CANNOT_SEND_PQ_ID_AND_BODY"),
    ({"query": WHO, "extensions": hashed(WHO)}, 404, "PERSISTED_QUERY_NOT_IN_LIST"),
    ({"extensions": hashed(WHO)}, 404, "PERSISTED_QUERY_NOT_IN_LIST"),
    ({"documentId": "schema"}, 400, "INTROSPECTION_DISABLED"),
    ({"documentId": "dear"}, 400, "COST_ESTIMATED_TOO_EXPENSIVE"),
]


def test_over_http_a_partner_runs_what_is_registered_for_it_and_nothing_else(partner: Partner) -> None:
    answer = partner.post({"documentId": "who"})
    assert (answer.status_code, set(answer.json())) == (200, {"data"})
    for body, status, expected in REFUSED:
        answer = partner.post(body)
        assert (answer.status_code, code(answer.json())) == (status, expected), body
    told = partner.post({"documentId": "dear"}).json()["errors"][0]["extensions"]
    assert told["cost.max"] == PARTNER_COST_MAX < told["cost.estimated"]
    # the rule is the partner's alone: others send texts
    assert partner.post({"query": WHO}, token=None).json() == {"data": {"me": None}}


async def test_over_a_socket_the_same_holds(partner: Partner) -> None:
    answers = await partner.over_socket({"documentId": "who"}, *(body for body, *_ in REFUSED))
    assert answers[0]["type"] == "next"
    assert set(answers[0]["payload"]) == {"data"}
    assert [one["type"] for one in answers[1:]] == ["error"] * len(REFUSED)
    assert [one["payload"][0]["extensions"]["code"] for one in answers[1:]] == [it[2] for it in REFUSED]


async def test_a_document_that_is_registered_later_runs_without_a_restart(partner: Partner) -> None:
    late = {"id": "late", "body": "query Late { __typename }", "clientName": "acme"}
    assert code(partner.post({"documentId": "late"}).json()) == "PERSISTED_QUERY_NOT_IN_LIST"
    write(partner.manifest, [*MANIFEST, late])
    async with asyncio.timeout(60):
        while partner.post({"documentId": "late"}).status_code != 200:
            await asyncio.sleep(0.2)


def test_a_partner_asks_so_often_and_no_more(partner: Partner) -> None:
    assert REQUESTS_PER_MINUTE_MAX[ClientRate.STANDARD] == 600
    for _ in range(3_000):
        answer = partner.post({"documentId": "who"})
        if answer.status_code != 200:
            break
    assert (answer.status_code, code(answer.json())) == (429, "RATE_LIMITED")
    assert int(answer.headers["retry-after"]) >= 1
    assert partner.post({"query": WHO}, token=None).status_code == 200
