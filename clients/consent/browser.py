"""What a browser keeps of the pages and proves to them: one cookie, forms that are ours, headers.

The cookie is all that is secret between browser and server; a form carries what only a page could have
computed that was sent along with it. So any process can check a form, and no other site can send one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

FORM_BYTES_MAX = 32_768
FIELDS_MAX = 80
LOG_IN_MINUTES_MAX = 30
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent, in order."""

    fields: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        """A field; empty where it is missing, or there twice."""
        found = self.all(name)
        return found[0] if len(found) == 1 else ""

    def all(self, name: str) -> list[str]:
        """Every field of this name."""
        return [value for key, value in self.fields if key == name]


def page(text: str, *, status: int = 200) -> HTMLResponse:
    """A page that nobody frames, keeps or scripts."""
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def moved(target: str) -> Response:
    """To another page of ours, by GET."""
    return Response(status_code=303, headers={**HEADERS, "location": target})


async def form_of(request: Request) -> Form | None:
    """The form that a page of ours sent; None for anything else."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded" or not _from_here(request):
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES_MAX:
            return None
    try:
        text = body.decode("ascii")
        given = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        return None
    return Form(tuple(given))


def _from_here(request: Request) -> bool:
    """Whether a page of this origin sent it, as every browser says that sends forms.

    Source: Fetch Metadata; RFC 6454 §7 for those that lack it.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")


def session_of(request: Request) -> str | None:
    """The token of whoever has logged in here."""
    return request.cookies.get(_cookie(request, "session")) or None


def keep_session(request: Request, response: Response, token: str, *, seconds: int) -> None:
    """Let the browser keep a token, for no script and no other site, for as long as it is good."""
    _keep(request, response, "session", token, seconds)
    _keep(request, response, "arrival", "", 0)


def forget_session(request: Request, response: Response) -> None:
    """Let the browser forget it."""
    _keep(request, response, "session", "", 0)


def arrival_of(request: Request) -> str | None:
    """What tells a browser before it has logged in."""
    return request.cookies.get(_cookie(request, "arrival")) or None


def keep_arrival(request: Request, response: Response, arrival: str) -> None:
    """Let the browser keep it until its person has logged in."""
    _keep(request, response, "arrival", arrival, LOG_IN_MINUTES_MAX * 60)


def new_arrival() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(32)


def seal(kept: str, *about: str) -> str:
    """What a form carries to prove that it was shown to the browser that keeps `kept`."""
    return hmac.new(kept.encode(), "\x00".join(about).encode(), hashlib.sha256).hexdigest()


def fits(given: str, kept: str | None, *about: str) -> bool:
    """Whether a form was shown to this browser, about this."""
    return kept is not None and hmac.compare_digest(given.encode(), seal(kept, *about).encode())


def _keep(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        _cookie(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def _cookie(request: Request, name: str) -> str:
    # with the prefix, no neighbouring host can have set it (RFC 6265bis §4.1.3.2)
    return f"{'__Host-' if _is_secure(request) else ''}stadion-{name}"


def _is_secure(request: Request) -> bool:
    """Whether the browser came by https: everywhere but on the machine itself, also behind a proxy."""
    return request.url.scheme == "https" or request.url.hostname not in _LOOPBACK
