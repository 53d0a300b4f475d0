"""Sharing: equal queries of equal callers that are under way at the same time are answered once.

A query shares only with queries that began after the last mutation seen here, so that whoever has changed
something reads it. INVARIANT: the key holds all that can change an answer: the operation, its variables,
the caller, the headers that subgraphs get, the snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import orjson

from authz.identity.subject import Subject
from router.edge.answers import Answer
from router.flight import Flights
from router.pipeline import GraphQLRequest
from router.snapshot import Snapshot
from router.telemetry import request_waiting

Key: TypeAlias = tuple[object, ...]


class SharedQueries:
    """Queries under way by key. The first to ask runs it; if its client leaves, the next one does."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self.flights: Flights[Answer] = Flights()

    @contextmanager
    def mutation(self) -> Iterator[None]:
        """A mutation under way: queries that begin after it do not share with those from before."""
        self.flights.mutated()
        try:
            yield
        finally:
            self.flights.mutated()

    async def answer(self, key: Key, run: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `run`, or of an equal query's run that is under way."""
        if not self.on:
            return await run()
        flights = self.flights
        while (own := flights.begun(key)) is None:
            flight = flights.under_way(key)
            assert flight is not None  # noqa: S101  # nothing came between
            landing = flight.landing()
            try:
                with request_waiting.get():
                    return await asyncio.shield(landing)
            except asyncio.CancelledError:
                if not landing.cancelled():
                    raise  # this client left; the one who runs the query did not
        try:
            answer = await run()
        except BaseException as failure:
            flights.failed(own, failure)
            raise
        flights.landed(own, answer)
        return answer


def key_of(request: GraphQLRequest, subject: Subject, graph: Snapshot) -> Key:
    """All that can change the answer to a query."""
    variables = (
        orjson.dumps(request.variables, default=_only_itself, option=orjson.OPT_SORT_KEYS)
        if request.variables
        else b""
    )
    headers = tuple(request.headers.items())
    return (id(graph), request.text, request.operation_name, variables, headers, subject, request.plan)


def _only_itself(value: object) -> str:
    """A file is equal to no other one: nobody looks into two of them."""
    return f"{type(value).__name__} {id(value)}"
