"""The pages' routes: a request of a program -> log-in -> answer -> back; the list of programs let in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clients.consent import browser, operations, pages
from clients.consent.operations import Graph, NotLoggedIn, Unanswered, answered, code_of

CONSENT_PATH = "/oauth/consent"
PROGRAMS_PATH = "/oauth/programs"
DEVICE = "Consent page"
_UNUSABLE = (
    "This cannot be shown",
    "The program that sent you here did not ask as it has to. Go back to it, and begin there again.",
)
_NOT_OURS = ("Begin again", "This form is not one that was shown to you here, or it is too old.")
_TRY_AGAIN = ("Try again", "This does not work at the moment. Try again in a minute.")
_STALE = "The request has changed since it was shown, or was answered already. Look at it again."
_UNTICKED = "Tick what you agree to, or refuse."
_LOG_IN_PROBLEMS = {
    "BAD_CREDENTIALS": "Name, password or code is wrong.",
    "OTP_REQUIRED": "This account needs the code of its second factor.",
    "THROTTLED": "There were too many attempts. Wait for a while.",
    "SUSPENDED": "This account is suspended. Write to support.",
}


def consent_routes(graph: Graph, address_of: Callable[[Request], str | None]) -> tuple[BaseRoute, ...]:
    """All of them. `address_of` tells where a request comes from, as attempts to log in are counted."""
    pages_ = Pages(graph, address_of)
    return (
        Route(CONSENT_PATH, pages_.consent, methods=["GET"]),
        Route(CONSENT_PATH, pages_.answer, methods=["POST"]),
        Route("/oauth/log-in", pages_.log_in, methods=["POST"]),
        Route("/oauth/log-out", pages_.log_out, methods=["POST"]),
        Route(PROGRAMS_PATH, pages_.programs, methods=["GET"]),
        Route(PROGRAMS_PATH, pages_.withdraw, methods=["POST"]),
        Route("/oauth/consent.css", _style, methods=["GET"]),
    )


@dataclass(frozen=True, slots=True)
class Pages:
    """What is served, and where it asks."""

    graph: Graph
    address_of: Callable[[Request], str | None]

    async def consent(self, request: Request) -> Response:
        """What a program asks for."""
        return await self._shown(request, request.url.query)

    async def answer(self, request: Request) -> Response:
        """What the person says to it."""
        form, token = await browser.form_of(request), browser.session_of(request)
        text = form.one("request") if form else ""
        if form is None or not browser.fits(form.one("seal"), token, "answer", text):
            return _problem(_NOT_OURS, status=403)
        asked, agreed = _asked(text), form.one("answer") == "agree"
        if asked is None or form.one("answer") not in {"agree", "refuse"}:
            return _problem(_UNUSABLE)
        if agreed and not form.all("scope"):
            return await self._shown(request, text, problem=_UNTICKED)
        given = {
            "input": asked,
            "scopes": form.all("scope") if agreed else None,
            "ticket": form.one("ticket"),
        }
        try:
            payload = await self._ask(request, operations.ANSWER, "authorizeClient", given)
        except NotLoggedIn:
            return await self._shown(request, text)
        except Unanswered:
            return _problem(_TRY_AGAIN, status=503)
        if code_of(payload) == "STALE_REQUEST":
            return await self._shown(request, text, problem=_STALE, status=409)
        if not payload["redirectTo"]:
            return _problem(_UNUSABLE)
        target = str(payload["redirectTo"])
        return browser.page(pages.leaving_page(target, _host(target)))

    async def log_in(self, request: Request) -> Response:
        """Who it is; on to what they came for."""
        form, arrival = await browser.form_of(request), browser.arrival_of(request)
        text = form.one("request") if form else ""
        if form is None or not browser.fits(form.one("seal"), arrival, "log in", text):
            return _problem(_NOT_OURS, status=403)
        given: dict[str, Any] = {"login": form.one("login"), "password": form.one("password")}
        given |= {"otp": form.one("otp").replace(" ", "") or None, "device": DEVICE}
        try:
            payload = await self._ask(request, operations.LOG_IN, "logIn", {"input": given}, token=None)
        except (NotLoggedIn, Unanswered):
            return _problem(_TRY_AGAIN, status=503)
        code = code_of(payload)
        if code is not None or not payload["accessToken"]:
            told = _LOG_IN_PROBLEMS.get(code or "", "Logging in did not work.")
            return _log_in(request, text, problem=told, status=401)
        response = browser.moved(f"{CONSENT_PATH}?{text}" if text else PROGRAMS_PATH)
        browser.keep_session(request, response, payload["accessToken"], seconds=payload["expiresInS"])
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session that was begun here."""
        form, token = await browser.form_of(request), browser.session_of(request)
        if form is None or not browser.fits(form.one("seal"), token, "log out"):
            return _problem(_NOT_OURS, status=403)
        try:
            await self._ask(request, operations.LOG_OUT, "logOut", {})
        except NotLoggedIn:
            pass  # it is over already
        except Unanswered:
            return _problem(_TRY_AGAIN, status=503)
        response = browser.moved(PROGRAMS_PATH)
        browser.forget_session(request, response)
        return response

    async def programs(self, request: Request) -> Response:
        """Whom the person has let in."""
        token = browser.session_of(request)
        try:
            me = await self._ask(request, operations.PROGRAMS, "me", {})
        except NotLoggedIn:
            return _log_in(request, "")
        except Unanswered:
            return _problem(_TRY_AGAIN, status=503)
        found = me["authorizations"] or []
        shown = pages.programs_page(
            found,
            handle=me["handle"],
            seals=[browser.seal(token or "", "withdraw", each["id"]) for each in found],
            leave_seal=browser.seal(token or "", "log out"),
        )
        return browser.page(shown)

    async def withdraw(self, request: Request) -> Response:
        """Take back what one was let do."""
        form, token = await browser.form_of(request), browser.session_of(request)
        if form is None or not browser.fits(form.one("seal"), token, "withdraw", form.one("id")):
            return _problem(_NOT_OURS, status=403)
        try:
            await self._ask(request, operations.WITHDRAW, "withdrawAuthorization", {"id": form.one("id")})
        except NotLoggedIn:
            return _log_in(request, "")
        except Unanswered:
            return _problem(_TRY_AGAIN, status=503)
        return browser.moved(PROGRAMS_PATH)

    async def _shown(
        self, request: Request, text: str, *, problem: str | None = None, status: int = 200
    ) -> Response:
        """The request of a program, written as in its address."""
        asked, token = _asked(text), browser.session_of(request)
        if asked is None:
            return _problem(_UNUSABLE)
        try:
            response = await self._response(request, operations.REQUEST, {"input": asked}, token=token)
            payload = answered(response, "authorizationRequest")
            if code_of(payload) is not None:
                return _problem(_UNUSABLE)
            handle = answered(response, "me")["handle"]
        except NotLoggedIn:
            return _log_in(request, text)
        except Unanswered:
            return _problem(_TRY_AGAIN, status=503)
        shown = pages.consent_page(
            payload,
            handle=handle,
            request=text,
            target=_host(asked["redirectUri"]),
            seal=browser.seal(token or "", "answer", text),
            leave_seal=browser.seal(token or "", "log out"),
            problem=problem,
        )
        return browser.page(shown, status=status)

    async def _ask(
        self, request: Request, query: str, name: str, variables: Mapping[str, Any], **token: str | None
    ) -> Any:
        """Errors: NotLoggedIn, Unanswered."""
        held = token.get("token", browser.session_of(request))
        return answered(await self._response(request, query, variables, token=held), name)

    async def _response(
        self, request: Request, query: str, variables: Mapping[str, Any], *, token: str | None
    ) -> Mapping[str, Any]:
        """Errors: NotLoggedIn without a token for what needs one."""
        if token is None and query is not operations.LOG_IN:
            raise NotLoggedIn
        return await self.graph.ask(query, variables, token=token, address=self.address_of(request))


def _asked(text: str) -> dict[str, str] | None:
    """A program's request as the graph takes it; None where it is none, or says something twice.

    Source: RFC 6749 §3.1.
    """
    try:
        given = parse_qsl(text, keep_blank_values=True, max_num_fields=browser.FIELDS_MAX, errors="strict")
    except ValueError:
        return None
    known = [(operations.PARAMETERS[name], value) for name, value in given if name in operations.PARAMETERS]
    found = dict(known)
    if len(found) != len(known) or not {"clientId", "redirectUri", "codeChallenge"} <= found.keys():
        return None
    # what is left out is not the same as what is taken by default
    return {"codeChallengeMethod": "plain", "responseType": "none", **found}


def _log_in(request: Request, text: str, *, problem: str | None = None, status: int = 200) -> Response:
    arrival = browser.arrival_of(request) or browser.new_arrival()
    seal = browser.seal(arrival, "log in", text)
    response = browser.page(pages.log_in_page(request=text, seal=seal, problem=problem), status=status)
    browser.keep_arrival(request, response, arrival)
    if browser.session_of(request) is not None:
        browser.forget_session(request, response)
    return response


def _problem(told: tuple[str, str], *, status: int = 400) -> Response:
    return browser.page(pages.problem_page(*told), status=status)


def _host(url: str) -> str:
    return urlsplit(url).netloc


async def _style(_: Request) -> Response:
    headers = {"cache-control": "public, max-age=300", "x-content-type-options": "nosniff"}
    return Response(_style_sheet(), media_type="text/css", headers=headers)


@cache
def _style_sheet() -> str:
    return files("clients.consent").joinpath("consent.css").read_text(encoding="utf-8")
