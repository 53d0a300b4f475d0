"""A subgraph in this process with slow, failing, streaming and file-reading fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from graphql import ExecutionResult, GraphQLSchema, build_schema, graphql, parse, subscribe

from authz.identity.subject import Subject

SDL = """
scalar Upload
type Query {
  hello(name: String = "world"): String
  me: String
  secret: String @authenticated
  slow: String
  broken: String
  nested: Nested
  counted: Int
}
type Nested { nested: Nested hello: String }
type Mutation { bump: Int upload(file: Upload!, others: [Upload!]): String slowBump: Int }
type Subscription { count(to: Int!): Int ticks: Int failing: Int longTicks: String }
"""


class Hall:
    """The subgraph; tests read `bumps`, open `gate` to let `slow` answer, and put events into `ticks`;
    each event of `longTicks` is `long_tick`."""

    def __init__(self) -> None:
        self.bumps = self.slow_count = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.ticks: asyncio.Queue[int | None] = asyncio.Queue()
        self.long_tick = "x"
        self.subscribers = 0
        self.unsubscribed = asyncio.Event()
        self._schema = _schema()

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        result = await graphql(
            self._schema,
            query,
            variable_values=variables,
            operation_name=operation_name,
            context_value=subject,
            root_value=self,
        )
        return _map(result)

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        found = subscribe(
            self._schema,
            parse(query),
            variable_values=variables,
            operation_name=operation_name,
            context_value=subject,
            root_value=self,
        )
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, ExecutionResult):
            yield _map(found)
            return
        try:
            async for event in found:
                yield _map(event)
        finally:
            await found.aclose()


def _map(result: ExecutionResult) -> dict[str, Any]:
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    return answer


def _schema() -> GraphQLSchema:
    definitions = SDL.replace(" @authenticated", "")
    schema = build_schema(definitions)
    query, mutation = schema.query_type, schema.mutation_type
    assert query is not None
    assert mutation is not None
    query.fields["hello"].resolve = lambda _, __, name: f"hello {name}"
    query.fields["me"].resolve = lambda _, info: info.context.id
    query.fields["secret"].resolve = lambda *_: "42"
    query.fields["slow"].resolve = _slow
    query.fields["broken"].resolve = _broken
    query.fields["nested"].resolve = lambda *_: {"hello": "deep"}
    query.fields["counted"].resolve = lambda hall, _: hall.bumps
    mutation.fields["bump"].resolve = _bump
    mutation.fields["slowBump"].resolve = _slow_bump
    mutation.fields["upload"].resolve = _upload
    _stream_fields(schema)
    return schema


def _stream_fields(schema: GraphQLSchema) -> None:
    assert schema.subscription_type is not None
    sources = (("count", _count), ("ticks", _ticks), ("failing", _failing), ("longTicks", _long_ticks))
    for name, source in sources:
        field = schema.subscription_type.fields[name]
        field.subscribe, field.resolve = source, lambda event, *_, **__: event


async def _slow(hall: Hall, *_: Any) -> str:
    hall.slow_count += 1
    hall.started.set()
    try:
        await hall.gate.wait()
    except asyncio.CancelledError:
        hall.cancelled.set()
        raise
    return "at last"


def _broken(*_: Any) -> str:
    raise RuntimeError("kaput")


def _bump(hall: Hall, _: Any) -> int:
    hall.bumps += 1
    return hall.bumps


async def _slow_bump(hall: Hall, _: Any) -> int:
    hall.started.set()
    await hall.gate.wait()
    return _bump(hall, None)


async def _upload(_: Any, __: Any, file: Any, others: list[Any] | None = None) -> str:
    texts = [
        f"{one.filename} {one.content_type} {one.size} {(await one.read()).decode()}"
        for one in [file, *(others or [])]
    ]
    return "; ".join(texts)


async def _count(_: Any, __: Any, to: int) -> AsyncIterator[int]:
    for number in range(1, to + 1):
        yield number


async def _ticks(hall: Hall, _: Any) -> AsyncIterator[int]:
    hall.subscribers += 1
    hall.started.set()
    try:
        while (tick := await hall.ticks.get()) is not None:
            yield tick
    finally:
        hall.subscribers -= 1
        hall.unsubscribed.set()


async def _long_ticks(hall: Hall, info: Any) -> AsyncIterator[str]:
    async with aclosing(_ticks(hall, info)) as ticks:
        async for _ in ticks:
            yield hall.long_tick


async def _failing(*_: Any) -> AsyncIterator[int]:
    yield 1
    raise RuntimeError("kaput")
