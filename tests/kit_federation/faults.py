"""A transport that breaks one chosen call of a request, in one chosen way."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse, SubgraphTransport

Fault = Callable[[SubgraphRequest, SubgraphResponse], SubgraphResponse]


def unreachable(request: SubgraphRequest, _: SubgraphResponse) -> SubgraphResponse:
    """The subgraph could not be reached."""
    raise SubgraphCallFailed(request.service, "could not be reached")


def crashed(request: SubgraphRequest, _: SubgraphResponse) -> SubgraphResponse:
    """The transport itself has a fault."""
    raise RuntimeError("a secret of the transport")


def refused(request: SubgraphRequest, _: SubgraphResponse) -> SubgraphResponse:
    """GraphQL errors and no data."""
    return SubgraphResponse(data=None, errors=({"message": "refused"},))


def silent(request: SubgraphRequest, _: SubgraphResponse) -> SubgraphResponse:
    """`{"data": null}` without a word."""
    return SubgraphResponse(data=None)


def short(request: SubgraphRequest, answer: SubgraphResponse) -> SubgraphResponse:
    """One entity less than was asked for; a root fetch is refused instead."""
    entities = (answer.data or {}).get("_entities")
    if not isinstance(entities, list):
        return refused(request, answer)
    return SubgraphResponse(data={"_entities": entities[:-1]})


def errors_alone(request: SubgraphRequest, answer: SubgraphResponse) -> SubgraphResponse:
    """`{"data": null}` with an error for each entity, as a server that gives up on all of them."""
    entities = (answer.data or {}).get("_entities") or [None]
    errors = [{"message": "given up", "path": ["_entities", index]} for index in range(len(entities))]
    return SubgraphResponse(data=None, errors=tuple(errors))


FAULTS: tuple[Fault, ...] = (unreachable, crashed, refused, silent, short, errors_alone)
"""Nothing of the answer can be used; short of entities, none of them either."""


def bad_paths(request: SubgraphRequest, answer: SubgraphResponse) -> SubgraphResponse:
    """The whole answer, and errors that point to nowhere or are not even written as errors are."""
    paths = (["nowhere", 7], ["_entities", 99, "x"], ["_entities", -1], ["_entities"], "text", [None, {}], [])
    errors = [{"message": "somewhere", "path": path} for path in paths]
    more = ({}, {"message": 5, "locations": "x"}, {"message": "m", "extensions": "text"})
    return SubgraphResponse(data=answer.data, errors=(*errors, *more))


def _changed(value: Any, change: Callable[[Any], Any], *, top: bool = True) -> Any:
    if not top:
        replaced = change(value)
        if replaced is not value:
            return replaced
    if isinstance(value, dict):
        # the list of entities itself is `short`'s matter
        return {
            key: it if key == "__typename" else _changed(it, change, top=key == "_entities")
            for key, it in value.items()
        }
    return [_changed(it, change, top=False) for it in value] if isinstance(value, list) else value


def _fault(name: str, kind: type | tuple[type, ...], value: Any) -> Fault:
    def fault(request: SubgraphRequest, answer: SubgraphResponse) -> SubgraphResponse:
        def change(it: Any) -> Any:
            return value if isinstance(it, kind) and not isinstance(it, bool) else it

        data = None if answer.data is None else _changed(answer.data, change)
        return SubgraphResponse(data=data, errors=answer.errors)

    fault.__name__ = name
    return fault


WRONG_VALUES: tuple[Fault, ...] = (
    bad_paths,
    _fault("texts_for_objects", dict, "text"),
    _fault("lists_for_objects", dict, [1]),
    _fault("numbers_for_lists", list, 7),
    _fault("objects_for_lists", list, {"a": 1}),
    _fault("nulls_for_objects", dict, None),
    _fault("nulls_for_lists", list, None),
    _fault("nulls_for_leaves", (str, int, float), None),
    _fault("objects_for_leaves", (str, int, float), {"a": 1}),
    _fault("lists_for_leaves", (str, int, float), ["a"]),
    _fault("booleans_for_leaves", (str, int, float), True),
)
"""Answers that are GraphQL responses, of values that do not fit their schema."""


class FaultyTransport:
    """Breaks the call of this number (from 0) and passes the others on; `broken` is the one it broke."""

    def __init__(self, inner: SubgraphTransport, number: int, fault: Fault) -> None:
        self._inner = inner
        self._number = number
        self._fault = fault
        self.count = 0
        self.broken: SubgraphRequest | None = None

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says."""
        number, self.count = self.count, self.count + 1
        answer = await self._inner.fetch(request)
        if number != self._number:
            return answer
        self.broken = request
        return self._fault(request, answer)

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Passed on whole."""
        return self._inner.subscribe(request)

    async def close(self) -> None:
        """As the port says."""
        await self._inner.close()


class GatedTransport:
    """Holds the calls to some subgraphs back until their gate is opened."""

    def __init__(self, inner: SubgraphTransport, *shut: str) -> None:
        self._inner = inner
        self._gates = {service: asyncio.Event() for service in shut}
        self._asked: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.requests: list[SubgraphRequest] = []
        self.cancelled_count = 0

    def open(self, service: str) -> None:
        """Let the calls to this subgraph pass from now on."""
        self._gates[service].set()

    async def asked(self, service: str) -> None:
        """Return when this subgraph has been called."""
        await self._asked[service].wait()

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says, once the gate is open."""
        self.requests.append(request)
        self._asked[request.service].set()
        try:
            if request.service in self._gates:
                await self._gates[request.service].wait()
            return await self._inner.fetch(request)
        except asyncio.CancelledError:
            self.cancelled_count += 1
            raise

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Passed on whole."""
        return self._inner.subscribe(request)

    async def close(self) -> None:
        """As the port says."""
        await self._inner.close()
