"""Sessions that have ended, told by accounts to routers of other processes: asked for once a second, signed.

A router that has not heard yet takes no token: no restart lets a revoked session back in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authz.errors import FactInvalid, InvalidCall
from authz.identity.clock import Clock, now_utc
from authz.identity.internal import HEADER_NAME, CallKey, SeenCalls, sign_call, verify_call
from authz.identity.revocation import KEPT_LONGER, TOKEN_LIFETIME, Revocation, RevokedSessions, revocation_of
from authz.identity.subject import ANONYMOUS
from router.execution.transports.http_wire import CallFailed, TlsContext, system_tls

log = logging.getLogger("stadion.revocations")
PATH = "/.well-known/revocations"
AUDIENCE = "revocations"
"""What such a call is signed for: it opens no subgraph, and a subgraph's call does not open this."""
EVERY_S = 1.0
OVERLAP = timedelta(seconds=10)
"""Asked for again each time: a revocation is stored a little after the moment that it names."""
FIRST_WAIT_S = 5.0
BYTES_MAX = 16_000_000
SILENCE_TOLD_S = 10.0
Read = Callable[[datetime], Awaitable[bytes]]
"""Asks accounts for what was revoked since then."""


class Kept(Protocol):
    """Where revocations are kept, such as a `KeptRevocations`."""

    async def since(self, since_utc: datetime) -> list[Revocation]:
        """Those after that moment, the oldest first."""
        ...


def revocations_route(kept: Kept, key: CallKey, *, clock: Clock = now_utc) -> Route:
    """What was revoked since `?since=`, for whoever holds the key that routers and subgraphs share."""
    seen = SeenCalls()

    async def tell(request: Request) -> Response:
        since_text = request.query_params.get("since", "")
        digest = hashlib.sha256(since_text.encode()).hexdigest()
        try:
            verify_call(request.headers.get(HEADER_NAME, ""), AUDIENCE, digest, key, clock(), seen=seen)
            since = datetime.fromisoformat(since_text)
        except InvalidCall:
            return JSONResponse({"error": "the call is not signed"}, status_code=403)
        except ValueError:
            return JSONResponse({"error": "`since` is not a time"}, status_code=400)
        if since.tzinfo is None:
            return JSONResponse({"error": "`since` has no zone"}, status_code=400)
        told = [_payload(one) for one in await kept.since(since)]
        return JSONResponse({"revocations": told}, headers={"cache-control": "no-store"})

    return Route(PATH, tell)


class FollowedRevocations:
    """What accounts has told so far. `known` is what a token's verifier asks. One a process, in one loop."""

    def __init__(self, read: Read, *, clock: Clock = now_utc, every_s: float = EVERY_S) -> None:
        self.known = RevokedSessions()
        self._read = read
        self._clock = clock
        self._every_s = every_s
        self._heard = asyncio.Event()
        self._asked_until: datetime | None = None

    @property
    def is_heard(self) -> bool:
        """Whether accounts was heard."""
        return self._heard.is_set()

    async def are_known(self) -> bool:
        """Whether accounts was heard; waits for the first time, for some seconds."""
        if not self.is_heard:
            try:
                await asyncio.wait_for(self._heard.wait(), FIRST_WAIT_S)
            except TimeoutError:
                return False
        return True

    async def follow(self) -> None:
        """Ask again and again, as long as the router runs."""
        silent_s = 0.0
        while True:
            if await self.renewed():
                silent_s = 0.0
            else:
                silent_s += self._every_s
                if silent_s % SILENCE_TOLD_S < self._every_s:
                    log.error("accounts tells no revocations: sessions that end now are not known here")
            await asyncio.sleep(self._every_s)

    async def renewed(self) -> bool:
        """Ask once. A failure keeps what is known."""
        now = self._clock()
        since = (self._asked_until or now - TOKEN_LIFETIME - KEPT_LONGER) - OVERLAP
        try:
            for one in json.loads(await self._read(since))["revocations"]:
                self.known.apply(revocation_of(one))
        except (FactInvalid, OSError, ValueError, KeyError, TypeError, TimeoutError) as error:
            log.warning("revocations could not be read: %s", type(error).__name__)
            return False
        self._asked_until = now
        self._heard.set()
        return True


def reader_by(
    url: str, key: CallKey, *, clock: Clock = now_utc, tls_context: TlsContext = system_tls
) -> Read:
    """Reads from accounts' URL (`https://accounts.internal`), each call signed."""
    from deploy.callers import fetched

    async def read(since: datetime) -> bytes:
        text = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
        digest = hashlib.sha256(text.encode()).hexdigest()
        headers = {HEADER_NAME: sign_call(ANONYMOUS, AUDIENCE, digest, key, clock())}
        asked = f"{url.rstrip('/')}{PATH}?since={text.replace('+', '%2B')}"
        try:
            return await fetched(asked, bytes_max=BYTES_MAX, headers=headers, tls_context=tls_context)
        except CallFailed as error:
            raise OSError(type(error).__name__) from None

    return read


def _payload(one: Revocation) -> Mapping[str, Any]:
    return {f"{one.kind}_id": one.revoked_id, "revoked_at_utc": one.revoked_at_utc.isoformat()}
