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

    `after_ack` follows the acknowledgement. `single_error`: an error message holds one error, not a list.
    """

    subprotocol: str
    heard: Mapping[str, str]
    said: Mapping[str, str] = field(default_factory=lambda: _SAME)
    after_ack: Mapping[str, Any] | None = None
    single_error: bool = False

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
    after_ack={"type": "ka"},
    single_error=True,
)


def dialect_of(offered: list[str]) -> Dialect | None:
    """The dialect to speak with a client that offers these; the current one where it has the choice."""
    return next((one for one in (CURRENT, LEGACY) if one.subprotocol in offered), None)
