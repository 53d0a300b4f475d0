"""A partner's program at the running platform: from its registration to its last request, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette

from authz.identity.subject import Subject
from deploy.endpoint import client_classes, credentials_of, endpoint
from deploy.oauth_routes import answers_of, oauth_routes
from router.admission import Proxies, Safelist
from router.config import RouterConfig
from router.edge.app import build_app
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import Router
from router.snapshot import snapshot_of
from tests.kit_edge.subgraph import SDL, Hall
from tests.kit_edge.supergraphs import supergraph_of
from tests.kit_subgraphs.programs import CALLBACK, CHALLENGE, VERIFIER
from tests.platform.conftest import Seeded, subject_of

WITHIN_S = 2.0
SEEN = """{ user(id: "demo-athlete") { handle activities(first: 1) { totalCount }
  medicalRecord(purpose: TREAT) { conditions { totalCount } } } }"""
ASKED = {
    "redirectUri": CALLBACK, "codeChallenge": CHALLENGE, "scope": "activity:read profile:read", "state": "s",
}  # fmt: skip


@dataclass
class Place:
    """The platform's app, and another before somebody else's graph that believes its tokens."""

    seeded: Seeded
    apps: dict[str, Starlette]

    def send(self, method: str, path: str, *, app: str = "own", **given: Any) -> httpx2.Response:
        async def sent() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.apps[app])
            async with httpx2.AsyncClient(transport=transport, base_url="https://stadion.local") as http:
                return await http.request(method, path, **given)

        return self.seeded.run(sent())

    def graphql(self, query: str, token: str, *, app: str = "own") -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token}"}
        answer: dict[str, Any] = self.send(
            "POST", "/graphql", app=app, json={"query": query}, headers=headers
        ).json()
        return answer

    def do(self, query: str, handle: str, **variables: Any) -> Any:
        answer = self.seeded.ask(query, subject_of(handle), **variables)
        assert answer["errors"] == [], answer
        [payload] = answer["data"].values()
        assert not payload.get("userErrors"), payload
        return payload

    def register(self, **wanted: Any) -> tuple[str, str]:
        query = """mutation($i: RegisterApiClientInput!) {
          registerApiClient(input: $i) { client { id } secret userErrors { code } } }"""
        asked = {
            "name": "Eye", "kind": "PARTNER", "scopes": ["activity:read", "profile:read"],
            "redirectUris": [CALLBACK], "documents": "ANY", **wanted,
        }  # fmt: skip
        told = self.do(query, "ada", i=asked)
        return told["client"]["id"], told["secret"]

    def let_in(self, client_id: str, *scopes: str) -> str:
        query = """mutation($i: AuthorizationRequestInput!, $s: [String!]) {
          authorizeClient(input: $i, approvedScopes: $s) { redirectTo userErrors { code } } }"""
        told = self.do(query, "mira", i={**ASKED, "clientId": client_id}, s=list(scopes))
        return parse_qs(urlsplit(told["redirectTo"]).query)["code"][0]

    def token(self, client: tuple[str, str], **given: str) -> httpx2.Response:
        return self.send("POST", "/oauth/token", data=given, auth=client)


@pytest.fixture(scope="module")
def place(changing: Seeded) -> Iterator[Place]:
    running = changing.platform
    config = RouterConfig()
    asking = SDL.replace(
        "secret: String @authenticated", 'secret: String @requiresScopes(scopes: [["hall:read"]])'
    )
    snapshot = snapshot_of(supergraph_of(asking), config)
    foreign = Router(snapshot, InProcessTransport({"only": Hall()}), config=config)
    yield Place(
        changing,
        {
            "own": endpoint(running),
            "foreign": build_app(foreign, credentials=credentials_of(running)),
        },
    )


def test_a_program_sees_what_the_athlete_let_it_see_until_it_is_revoked(place: Place) -> None:
    client = place.register()
    code = place.let_in(client[0], "activity:read")
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    answer = place.token(client, **given, code_verifier=VERIFIER)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    token = answer.json()["access_token"]
    seen = place.graphql(SEEN, token)
    assert seen["data"]["user"]["activities"]["totalCount"] > 0
    assert seen["data"]["user"]["medicalRecord"] is None
    assert [each["extensions"]["code"] for each in seen["errors"]] == ["FORBIDDEN_FIELD"]
    place.do("mutation($id: ID!) { revokeApiClient(id: $id) { userErrors { code } } }", "ada", id=client[0])
    began = time.monotonic()
    while "data" in place.graphql("{ me { id } }", token):
        assert time.monotonic() - began < 30, "it never took effect"
    assert time.monotonic() - began < WITHIN_S
    assert place.token(client, grant_type="client_credentials").status_code == 401


def test_what_a_program_was_registered_for_is_what_it_may_run(place: Place) -> None:
    client = place.register(documents="IDS")
    token = place.token(client, grant_type="client_credentials").json()["access_token"]
    [error] = place.graphql("{ me { id } }", token)["errors"]
    assert error["extensions"]["code"] == "PERSISTED_QUERY_ID_REQUIRED"
    classes = client_classes()
    assert classes["service-texts-bulk"].safelist is Safelist.KNOWN_TEXTS
    assert classes["service-texts-bulk"].requests_per_minute_max == 12_000
    assert classes["partner"].safelist is Safelist.IDS_ONLY


def test_scopes_of_somebody_else_s_graph_are_answered_by_the_same_tokens(place: Place) -> None:
    with_scope = place.register(scopes=["hall:read", "activity:read"])
    token = place.token(with_scope, grant_type="client_credentials").json()["access_token"]
    narrow = place.token(with_scope, grant_type="client_credentials", scope="activity:read").json()
    assert narrow["scope"] == "activity:read"
    assert "errors" not in place.graphql("{ secret }", token, app="foreign")
    [refusal] = place.graphql("{ secret }", narrow["access_token"], app="foreign")["errors"]
    assert refusal["extensions"]["code"] == "UNAUTHORIZED_FIELD_OR_TYPE"


def test_the_endpoints_take_forms_alone_and_tell_what_there_is(place: Place) -> None:
    told = place.send("GET", "/.well-known/oauth-authorization-server").json()
    assert told["token_endpoint"] == "https://stadion.local/oauth/token"
    for given in (
        {"json": {"grant_type": "client_credentials"}},
        {"content": b"a=%ff\xff", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"data": {f"field{number}": "x" for number in range(50)}},
        {"data": {"token": "x" * 40_000}},
    ):
        answer = place.send("POST", "/oauth/token", **given)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), given
    assert place.send("GET", "/oauth/token").status_code == 405
    unproven = place.send("POST", "/oauth/introspect", data={"token": "x"})
    assert (unproven.status_code, unproven.json()["error"]) == (401, "invalid_client")


def test_athletes_are_led_to_the_consent_page_and_never_from_here_to_a_client(place: Place) -> None:
    query = f"client_id=x&redirect_uri={CALLBACK}"
    led = place.send("GET", f"/oauth/authorize?{query}")
    page, _, asked = led.headers["location"].partition("?")
    assert (led.status_code, page) == (303, "/oauth/consent")
    assert "did not ask as it has to" in place.send("GET", led.headers["location"]).text
    whole = f"{led.headers['location']}&code_challenge={CHALLENGE}"
    assert "<h1>Log in</h1>" in place.send("GET", whole).text
    running = place.seeded.platform
    settings = running.settings.model_copy(update={"consent_url": "https://app.stadion.test/consent"})
    routed = Starlette(routes=list(oauth_routes(settings, answers_of(running), Proxies())))
    place.apps["with a page"] = routed
    led = place.send("GET", f"/oauth/authorize?{query}", app="with a page")
    assert led.status_code == 303
    page, _, asked = led.headers["location"].partition("?")
    assert page == "https://app.stadion.test/consent"
    assert parse_qs(asked) == {"client_id": ["x"], "redirect_uri": [CALLBACK]}


def test_a_subject_of_a_token_is_the_program_s_own(place: Place) -> None:
    client = place.register()
    token = place.token(client, grant_type="client_credentials").json()["access_token"]
    subject: Subject = place.seeded.platform.verifier.verify(token)
    assert (subject.id, subject.client_id, subject.client_class) == (
        client[0], client[0], "partner-any-standard",
    )  # fmt: skip
