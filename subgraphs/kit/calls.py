"""What a router asks a subgraph over the wire, and the bounds of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class AppLimits:
    """Bounds of one subgraph's HTTP edge."""

    body_bytes_max: int = 10_000_000
    multipart_bytes_max: int = 60_000_000
    spool_bytes_max: int = 1_000_000
    uploads_max: int = 10
    socket_message_bytes_max: int = 1_000_000
    socket_operations_max: int = 1_000
    init_timeout_s: float = 3.0
    heartbeat_s: float = 12.0


class Call(msgspec.Struct):
    """The body of a GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")
