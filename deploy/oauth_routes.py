"""OAuth's endpoints over HTTP, beside whoever issues the platform's tokens: `/oauth/…` and its metadata.

A form in, JSON out; accounts decides. Nothing here reads a cookie, so that no page can act for a person:
they agree on the consent page (`consent_pages.py`), or by a mutation with their own access token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from deploy.consent_pages import CONSENT_PATH
from router.edge.addresses import Addresses
from subgraphs.accounts.model import origin_of
from subgraphs.accounts.oauth import answering
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall

if TYPE_CHECKING:
    from deploy.assemble import Platform
    from deploy.settings import Settings
    from router.admission import Proxies

BODY_BYTES_MAX = 32_768
FIELDS_MAX = 40
FORM = "application/x-www-form-urlencoded"
METADATA_PATH = "/.well-known/oauth-authorization-server"
JWKS_PATH = "/.well-known/jwks.json"
NO_STORE = {"cache-control": "no-store"}
Answer = Callable[[OAuthCall], Awaitable[OAuthAnswer]]


def answers_of(platform: Platform) -> Mapping[str, Answer]:
    """What answers programs, by the endpoint's name."""
    accounts, read = platform.accounts, platform.verifier.verify
    return {
        "token": lambda call: answering.token(accounts, call),
        "revoke": lambda call: answering.revoke(accounts, read, call),
        "introspect": lambda call: answering.introspect(accounts, read, call),
    }


def oauth_routes(
    settings: Settings, answers: Mapping[str, Answer], proxies: Proxies
) -> tuple[BaseRoute, ...]:
    """Token, revocation, introspection, authorization and metadata of a platform's own clients."""
    issuer = settings.issuer.rstrip("/")
    base_url, addresses = f"{issuer}/oauth", Addresses(proxies)
    told = answering.metadata(settings.issuer, base_url, f"{issuer}{JWKS_PATH}")
    consent_url = settings.consent_url or CONSENT_PATH

    def posted(name: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            call = await _call(request, f"{base_url}/{name}", addresses)
            return _response(await answer(call) if isinstance(call, OAuthCall) else call)

        return Route(f"/oauth/{name}", endpoint, methods=["POST"])

    async def metadata(_: Request) -> Response:
        return JSONResponse(dict(told), headers={"cache-control": "public, max-age=300"})

    async def authorize(request: Request) -> Response:
        return _to_consent(consent_url, request)

    return (
        *(posted(name, answer) for name, answer in answers.items()),
        Route("/oauth/authorize", authorize, methods=["GET"]),
        Route(METADATA_PATH, metadata),
    )


async def _call(request: Request, url: str, addresses: Addresses) -> OAuthCall | OAuthAnswer:
    """The call that a request is; the answer at once where it is none."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != FORM:
        return _refused(f"send the content type `{FORM}`")
    text = await _body(request)
    try:
        given = None if text is None else parse_qsl(
            text.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )  # fmt: skip
    except ValueError:
        given = None
    if given is None:
        return _refused(f"send a form of at most {BODY_BYTES_MAX} bytes and {FIELDS_MAX} fields")
    headers = {name.lower(): value for name, value in request.headers.items()}
    proofs = request.headers.getlist("dpop")
    address = addresses.of(request.scope, headers)
    return OAuthCall(
        method="POST",
        url=url,
        parameters=tuple(given),
        authorization=headers.get("authorization"),
        # two proofs are none that could be right (RFC 9449 §4.3)
        proof="" if len(proofs) > 1 else headers.get("dpop"),
        origin=origin_of(address) if address else "unknown",
    )


async def _body(request: Request) -> bytes | None:
    text = b""
    async for part in request.stream():
        text += part
        if len(text) > BODY_BYTES_MAX:
            return None
    return text


def _to_consent(consent_url: str, request: Request) -> Response:
    """The page where a person agrees, with what the client has asked: the page has it checked before it shows
    anything, and nobody is sent on from here to where a client may only say that it is."""
    joined = "&" if "?" in consent_url else "?"
    asked = urlencode(request.query_params.multi_items())
    return RedirectResponse(f"{consent_url}{joined}{asked}", status_code=303, headers=NO_STORE)


def _response(answer: OAuthAnswer) -> Response:
    content: Mapping[str, Any] = answer.content
    return JSONResponse(dict(content), status_code=answer.status, headers=_headers(answer))


def _headers(answer: OAuthAnswer) -> dict[str, str]:
    own = {name.lower(): value for name, value in answer.headers.items()}
    return {name: value for name, value in own.items() if name != "content-type"} | NO_STORE


def _refused(problem: str) -> OAuthAnswer:
    return OAuthAnswer(400, {"error": "invalid_request", "error_description": problem})
