"""Subscriptions by HTTP callback: the subgraph posts each event to this router, on no kept connection.

Source: the HTTP callback protocol for subscriptions, version 1.0: `check` before the first answer and as a
sign of life, `next` for an event, `complete` at the end; each with the subscription's id and verifier.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.broadcast import EventQueue, Quiet
from router.errors import SubgraphCallFailed
from router.execution.transports.neighbours import Neighbours

ACCEPT: Final = "application/json;callbackSpec=1.0, application/json"
PROTOCOL: Final = "callback/1.0"
OPEN_MAX: Final = 10_000
"""Subscriptions by callback that are open at a time."""
_SILENCES: Final = 3
"""Heartbeats that may stay out before a subscription counts as lost."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a callback is answered: its status."""

    status: int


class _Open:
    """One open subscription: what was posted and nobody has read yet, and when its subgraph was heard of."""

    __slots__ = ("checked", "ended", "events", "heard_at_s", "verifier")

    def __init__(self, *, events_max: int) -> None:
        self.verifier = secrets.token_urlsafe(24)
        self.events: EventQueue[Mapping[str, Any]] = EventQueue(events_max=events_max)
        self.checked = self.ended = False
        self.heard()

    def heard(self) -> None:
        """The subgraph has posted something."""
        self.heard_at_s = asyncio.get_running_loop().time()


class Callbacks:
    """The subscriptions of this process that wait for callbacks. `url` is where subgraphs reach it.

    Among several workers the callback URL names the one that waits: any of them may get the post.
    INVARIANT: a post counts only with the id and the verifier that its subgraph alone was told.
    """

    def __init__(self, url: str, *, queue_events_max: int = 128) -> None:
        self._url = url.rstrip("/")
        self._queue_events_max = queue_events_max
        self._open: dict[str, _Open] = {}
        self._neighbours: Neighbours | None = None

    async def share(self, neighbours: Neighbours) -> None:
        """Take what the neighbours hand over, for as long as the router runs, and hand theirs to them."""
        self._neighbours = neighbours
        await neighbours.serve(lambda subscription_id, message: self.take(subscription_id, message).status)

    async def answer(self, place: str, message: object) -> Reply:
        """One post to the callback URL's last part, for this worker or another. 503: that one is away."""
        worker, _, subscription_id = place.rpartition(".")
        neighbours = self._neighbours
        if neighbours is None or not worker or worker == str(neighbours.own):
            return self.take(subscription_id, message)
        if not (worker.isascii() and worker.isdigit() and len(worker) < 4):
            return Reply(404)
        status = await neighbours.hand_over(int(worker), subscription_id, message)
        return Reply(503 if status is None else status)

    def take(self, subscription_id: str, message: object) -> Reply:
        """One post of a subgraph. 404: no such subscription, stop; 401: another's verifier."""
        found = self._open.get(subscription_id)
        if found is None or found.ended:
            return Reply(404)
        if not isinstance(message, Mapping) or message.get("kind") != "subscription":
            return Reply(400)
        verifier = message.get("verifier")
        if not isinstance(verifier, str) or not hmac.compare_digest(
            verifier.encode(), found.verifier.encode()
        ):
            return Reply(401)
        if message.get("id") != subscription_id:
            return Reply(400)
        return self._acted(found, message)

    def _acted(self, found: _Open, message: Mapping[str, Any]) -> Reply:
        found.heard()
        match message.get("action"):
            case "check" | "heartbeat":
                found.checked = True
                return Reply(204)
            case "next" if isinstance(message.get("payload"), Mapping):
                found.events.put(message["payload"])
                return Reply(200)
            case "complete":
                found.ended = True
                if message.get("errors"):
                    found.events.put({"errors": message["errors"]})
                found.events.end()
                return Reply(202)
        return Reply(400)

    async def payloads(
        self,
        service: str,
        ask: Callable[[Mapping[str, Any]], Awaitable[Any]],
        *,
        heartbeat_ms: int,
    ) -> AsyncIterator[Any]:
        """Each event's response map, until the subgraph completes or nobody reads any more.

        `ask` sends the operation with these extensions and gives the subgraph's first answer.
        Errors: `SubgraphCallFailed`.
        """
        if len(self._open) >= OPEN_MAX:
            raise SubgraphCallFailed(service, f"more than {OPEN_MAX} subscriptions wait for callbacks")
        subscription_id, opened = str(uuid.uuid4()), _Open(events_max=self._queue_events_max)
        self._open[subscription_id] = opened
        try:
            answered = await ask({"subscription": self._terms(subscription_id, opened, heartbeat_ms)})
            if isinstance(answered, Mapping) and answered.get("errors"):
                yield answered
                return
            if not opened.checked:
                raise SubgraphCallFailed(service, "did not check the callback before it answered")
            silence_s = heartbeat_ms * _SILENCES / 1_000 if heartbeat_ms else None
            async for payload in _read(service, opened, silence_s):
                yield payload
        finally:
            del self._open[subscription_id]

    def _terms(self, subscription_id: str, opened: _Open, heartbeat_ms: int) -> Mapping[str, Any]:
        worker = f"{self._neighbours.own}." if self._neighbours else ""
        return {
            "callbackUrl": f"{self._url}/{worker}{subscription_id}",
            "subscriptionId": subscription_id,
            "verifier": opened.verifier,
            "heartbeatIntervalMs": heartbeat_ms,
        }


async def _read(service: str, opened: _Open, silence_s: float | None) -> AsyncIterator[Any]:
    now_s, quiet_s = asyncio.get_running_loop().time, silence_s
    while (event := await opened.events.get(quiet_s=quiet_s)) is not None:
        if not isinstance(event, Quiet):
            yield event
        if silence_s is not None:
            quiet_s = opened.heard_at_s + silence_s - now_s()
            if quiet_s <= 0 and isinstance(event, Quiet):
                raise SubgraphCallFailed(service, "gave no sign of life to its subscription")
