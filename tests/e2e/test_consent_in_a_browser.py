"""A program is let in with a browser, as `make run` serves it: log in, tick, agree, back, token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from tests.kit_platform.browser import HOW_TO_GET_IT, Page, chromium, page
from tests.kit_platform.client import Caller, log_in
from tests.kit_platform.process import stadion_up
from tests.kit_subgraphs.programs import CHALLENGE, VERIFIER
from tests.servers.absent import absent

REGISTER = """mutation($i: RegisterApiClientInput!) {
  registerApiClient(input: $i) { client { id } secret userErrors { code message } }
}"""
SEEN = """{ user(id: "demo-athlete") { activities(first: 1) { totalCount } profile { displayName } } }"""
HEADING = "document.querySelector('h1')?.innerText ?? ''"
LABELLED = """[...document.querySelectorAll('input:not([type=hidden])')].every(
    each => each.labels.length === 1) && document.documentElement.lang === 'en' &&
     document.querySelectorAll('main, h1').length === 2"""


@contextmanager
def callback() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A program's own page on a port, and with what it was called."""
    calls: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/callback"):
                query = parse_qs(urlsplit(self.path).query)
                calls.append({name: values[0] for name, values in query.items()})
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<h1>Back at the program</h1>")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/callback", calls
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def typed(tab: Page, name: str, value: str) -> None:
    """Into a field, by its keys."""
    tab.evaluate(f"document.querySelector('[name={name}]').focus()")
    tab.call("Input.insertText", text=value)


def click(tab: Page, selector: str) -> None:
    """What is done by it comes after the click."""
    tab.evaluate(f"void setTimeout(() => document.querySelector({selector!r}).click())")


def arrived(tab: Page, title: str) -> None:
    tab.wait_for(f"document.readyState === 'complete' && ({HEADING}).includes({title!r})")


def agree(tab: Page, authorize: str) -> None:
    """What a person does to let the program see their training, and nothing else."""
    tab.open(authorize)
    arrived(tab, "Log in")
    assert tab.evaluate(LABELLED)
    typed(tab, "login", "mira")
    typed(tab, "password", "stadion-demo-mira")
    click(tab, "form button")
    arrived(tab, "Let Eye in?")
    assert tab.evaluate(LABELLED)
    assert tab.evaluate("document.querySelectorAll('input:checked').length") == 0
    assert "approved here by ada" in tab.evaluate("document.body.innerText")
    click(tab, '[value="activity:read"]')
    click(tab, "button[value=agree]")
    arrived(tab, "Back at the program")


def withdraw(tab: Page, programs: str) -> None:
    """What they do to take it back."""
    tab.open(programs)
    arrived(tab, "Programs that you have let in")
    assert "See your activities" in tab.evaluate("document.body.innerText")
    click(tab, "section button")
    tab.wait_for("document.body?.innerText.includes('You have let no program in')")
    assert tab.evaluate("document.cookie") == "", "no script reads what the browser keeps"


def test_a_person_lets_a_program_in_and_takes_it_back(tmp_path: Path) -> None:
    if chromium() is None:
        absent(HOW_TO_GET_IT)
    with (
        stadion_up(tmp_path / "data") as up,
        callback() as (target, calls),
        page(tmp_path / "profile") as tab,
    ):
        wanted = {
            "name": "Eye", "kind": "PARTNER", "scopes": ["activity:read", "profile:read"],
            "redirectUris": [target], "documents": "ANY",
        }  # fmt: skip
        client = log_in(up.graphql, "ada").data(REGISTER, i=wanted)["registerApiClient"]
        own = (client["client"]["id"], client["secret"])
        asked = {
            "response_type": "code", "client_id": own[0], "redirect_uri": target, "state": "s",
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
            "scope": "activity:read profile:read",
        }  # fmt: skip
        agree(tab, f"{up.address}/oauth/authorize?{urlencode(asked)}")
        [back] = calls
        assert back["state"] == "s"

        def token(**form: str) -> httpx2.Response:
            return httpx2.post(f"{up.address}/oauth/token", data=form, auth=own, timeout=30)

        answer = token(
            grant_type="authorization_code",
            code=back["code"],
            redirect_uri=target,
            code_verifier=VERIFIER,
        )
        assert (answer.status_code, answer.json()["scope"]) == (200, "activity:read")
        seen = Caller(up.graphql, answer.json()["access_token"]).ask(SEEN)["data"]["user"]
        assert seen["activities"]["totalCount"] > 0
        assert seen["profile"] is None, "what was not ticked is not given"
        withdraw(tab, f"{up.address}/oauth/programs")
        answer = token(grant_type="refresh_token", refresh_token=answer.json()["refresh_token"])
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
