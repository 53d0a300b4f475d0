"""Dialects: the two WebSocket subprotocols, as words for the same messages.

Source: `graphql-transport-ws` of the GraphQL over WebSocket protocol; `graphql-ws`, its forerunner by
subscriptions-transport-ws, which older clients speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_SAME: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A subprotocol: which of our words each of its words means, and how ours are said in it.

    `sign_of_life` follows the acknowledgement, and each silence of a heartbeat's length. `refusal` is said
    before a connection that is refused closes. `single_error`: an error message holds one error, not a list.
    `begins_anew`: an id that is in use ends what it was used for; otherwise that is a breach.
    """

    subprotocol: str
    heard: Mapping[str, str]
    said: Mapping[str, str] = field(default_factory=lambda: _SAME)
    sign_of_life: Mapping[str, Any] | None = None
    refusal: Mapping[str, Any] | None = None
    single_error: bool = False
    begins_anew: bool = False

    def spoken(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """One of our messages in this dialect."""
        kind = message["type"]
        if kind == "error" and self.single_error:
            return {**message, "payload": message["payload"][0]}
        return {**message, "type": self.said[kind]} if kind in self.said else message


CURRENT = Dialect(
    subprotocol="graphql-transport-ws",
    heard={word: word for word in ("connection_init", "ping", "pong", "subscribe", "complete")},
)
LEGACY = Dialect(
    subprotocol="graphql-ws",
    heard={
        "connection_init": "connection_init",
        "start": "subscribe",
        "stop": "complete",
        "connection_terminate": "terminate",
    },
    said={"next": "data"},
    sign_of_life={"type": "ka"},
    refusal={"type": "connection_error", "payload": {"message": "Forbidden"}},
    single_error=True,
    begins_anew=True,
)


def dialect_of(offered: list[str]) -> Dialect | None:
    """The dialect to speak with a client that offers these; the current one where it has the choice."""
    return next((one for one in (CURRENT, LEGACY) if one.subprotocol in offered), None)
