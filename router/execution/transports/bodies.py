"""Bodies of calls: the GraphQL request map as JSON, what is the same each time printed once."""

from __future__ import annotations

from typing import Any, Final

import orjson

from router.execution.transport import SubgraphRequest

BODIES_MAX: Final = 1_024
"""Operations of one subgraph whose beginnings are kept; they are forgotten together where there are more."""


class Bodies:
    """The bodies of one subgraph's calls."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], bytes] = {}

    def of(self, request: SubgraphRequest) -> bytes:
        """The body of a call.  Errors: TypeError where its variables are no JSON: files."""
        key = (request.query, request.operation_name)
        without = self._known.get(key) or self._made(key, request)
        if not request.variables:
            return without
        return b'%b,"variables":%b}' % (without[:-1], orjson.dumps(request.variables))

    def _made(self, key: tuple[str, str | None], request: SubgraphRequest) -> bytes:
        if len(self._known) >= BODIES_MAX:
            self._known.clear()
        payload = payload_of(request)
        payload.pop("variables", None)
        made = self._known[key] = orjson.dumps(payload)
        return made


def payload_of(request: SubgraphRequest) -> dict[str, Any]:
    """The GraphQL request map: no empty members, because some servers refuse them."""
    payload: dict[str, Any] = {"query": request.query}
    if request.variables:
        payload["variables"] = request.variables
    if request.operation_name is not None:
        payload["operationName"] = request.operation_name
    return payload
