"""The consent pages as a browser that keeps cookies meets them, without one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx2
from starlette.applications import Starlette

from authz.identity.subject import Subject
from tests.kit_subgraphs.accounts import PASSWORD, World
from tests.kit_subgraphs.programs import CALLBACK, CHALLENGE, Program

HERE = "https://stadion.test"


@dataclass
class Browser:
    """One browser with its cookies; `page` is what it shows."""

    http: httpx2.AsyncClient
    page: httpx2.Response | None = None
    site: str = "same-origin"

    @classmethod
    def of(cls, app: Starlette) -> Browser:
        """A new one."""
        transport = httpx2.ASGITransport(app=app, client=("192.0.2.7", 5000))
        return cls(httpx2.AsyncClient(transport=transport, base_url=HERE))

    @property
    def text(self) -> str:
        assert self.page is not None
        return self.page.text

    async def open(self, path: str) -> httpx2.Response:
        """By a link from anywhere."""
        self.page = await self.http.get(path)
        return self.page

    def hidden(self) -> dict[str, str]:
        """The hidden fields of the first form."""
        form = re.search(r"<form.*?</form>", self.text, re.DOTALL)
        found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[0]) if form else []
        return {name: unescape(value) for name, value in found}

    async def send(self, path: str, fields: dict[str, Any], **headers: str) -> httpx2.Response:
        """A form, and where it leads to."""
        headers = {"sec-fetch-site": self.site, "origin": HERE, **headers}
        answer = await self.http.post(path, data=fields, headers=headers)
        if answer.status_code == 303:
            answer = await self.http.get(answer.headers["location"])
        self.page = answer
        return answer

    async def log_in(self, handle: str, password: str = PASSWORD, **more: str) -> httpx2.Response:
        """On the page that asks for it."""
        return await self.send(
            "/oauth/log-in", {**self.hidden(), "login": handle, "password": password, **more}
        )

    async def answer(self, answer: str, *scopes: str, **changed: Any) -> httpx2.Response:
        """What the person says on the page that is shown."""
        fields = {**self.hidden(), "answer": answer, "scope": list(scopes), **changed}
        return await self.send("/oauth/consent", fields)


@dataclass
class Scene:
    """A program, a person who is asked by it, and their browser."""

    world: World
    program: Program
    administrator: Subject
    app: Starlette
    browser: Browser

    def asking(self, **changed: str | None) -> str:
        """The page with the program's request."""
        asked = {
            "response_type": "code", "client_id": self.program.id, "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
            "scope": "activity:read profile:read", "state": "xyz", **changed,
        }  # fmt: skip
        given = {name: value for name, value in asked.items() if value is not None}
        return f"/oauth/consent?{urlencode(given)}"

    def another_browser(self) -> Browser:
        """Somebody else's."""
        return Browser.of(self.app)

    async def arrive(self, handle: str = "mira") -> Browser:
        """Logged in, with the request shown."""
        await self.browser.open(self.asking())
        await self.browser.log_in(handle)
        return self.browser
