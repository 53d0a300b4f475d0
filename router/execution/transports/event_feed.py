"""Subscriptions from the event bus: an event names an entity, its subgraph says what of it is seen.

The event's payload gives nothing but the entity's key. What the client selected is asked of the subgraph, for
each event anew and on the caller's behalf: whoever may not read the entity now is told nothing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Protocol

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    parse,
    print_ast,
    value_from_ast_untyped,
)

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.operation.model import OperationKind
from router.traffic import EventTopic, SubscriptionSource

Fetch = Callable[[SubgraphRequest], Awaitable[SubgraphResponse]]


class FeedEvent(Protocol):
    """One event: what it is ordered by, and what it says."""

    @property
    def key(self) -> str:
        """Events of one key come in order."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """What it says."""
        ...


class LiveFeed(Protocol):
    """Events from now on, until it is closed."""

    def __aiter__(self) -> AsyncIterator[FeedEvent]:
        """Itself."""
        ...

    async def aclose(self) -> None:
        """Take no more."""
        ...


class EventFeed(Protocol):
    """Where events come from."""

    def subscribe(self, topics: Sequence[str], *, key: str | None = None) -> LiveFeed:
        """Events of these topics from now on, of one key where it is given."""
        ...


async def fed_answers(
    request: SubgraphRequest, source: SubscriptionSource, feed: EventFeed, fetch: Fetch
) -> AsyncIterator[SubgraphResponse]:
    """One answer an event that the caller may see something of.  Errors: `SubgraphCallFailed`."""
    field, operation, fragments = _read(request)
    topic = source.topics.get(field.name.value)
    if topic is None:
        raise SubgraphCallFailed(request.service, f"no topic is set for `{field.name.value}`")
    alias = field.alias.value if field.alias else field.name.value
    query = _entities_query(field, operation, fragments, topic)
    used = set(_VARIABLE_NAME.findall(query))
    live = feed.subscribe([topic.topic], key=_key(request, field, topic))
    async with aclosing(live) as events:
        async for event in events:
            representation = {
                "__typename": topic.type,
                **{one: event.payload.get(one) for one in topic.fields},
            }
            if None in representation.values():
                continue  # an event of another kind: it names no such entity
            kept = {name: value for name, value in request.variables.items() if name in used}
            variables = {**kept, _VARIABLE: [representation]}
            asked = replace(
                request, kind=OperationKind.QUERY, query=query, variables=variables, operation_name=None
            )
            try:
                answer = await fetch(asked)
            except SubgraphCallFailed as failed:  # it costs this event alone: the events come from elsewhere
                answer = SubgraphResponse(data=None, errors=({**failed.to_graphql(), "path": [alias]},))
            if (told := _told(answer, alias)) is not None:
                yield told


_VARIABLE: Final = "stadionRepresentations"
_VARIABLE_NAME: Final = re.compile(r"\$([_A-Za-z]\w*)")


def _read(
    request: SubgraphRequest,
) -> tuple[FieldNode, OperationDefinitionNode, list[FragmentDefinitionNode]]:
    try:
        document = parse(request.query, no_location=True)
    except GraphQLError:
        raise SubgraphCallFailed(request.service, "the subscription cannot be read") from None
    fragments = [one for one in document.definitions if isinstance(one, FragmentDefinitionNode)]
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            field = operation.selection_set.selections[0]
            if isinstance(field, FieldNode) and field.selection_set is not None:
                return field, operation, fragments
    raise SubgraphCallFailed(request.service, "a subscription by events selects fields of an entity")


def _entities_query(
    field: FieldNode,
    operation: OperationDefinitionNode,
    fragments: Sequence[FragmentDefinitionNode],
    topic: EventTopic,
) -> str:
    assert field.selection_set is not None  # noqa: S101  # `_read` saw to it
    selection = print_ast(field.selection_set)
    rest = "\n".join(print_ast(one) for one in fragments)
    used = set(_VARIABLE_NAME.findall(selection + rest))
    declared = [f"${_VARIABLE}: [_Any!]!"]
    declared += [
        print_ast(one) for one in operation.variable_definitions or () if one.variable.name.value in used
    ]
    entities = f"_entities(representations: ${_VARIABLE}) {{ ... on {topic.type} {selection} }}"
    return f"query ({', '.join(declared)}) {{ {entities} }}\n{rest}"


def _key(request: SubgraphRequest, field: FieldNode, topic: EventTopic) -> str | None:
    """The key whose events are wanted: the value of the argument that the settings name."""
    if not topic.argument:
        return None
    for one in field.arguments or ():
        if one.name.value == topic.argument:
            value = value_from_ast_untyped(one.value, dict(request.variables))
            if isinstance(value, str | int) and not isinstance(value, bool):
                return str(value)
    raise SubgraphCallFailed(request.service, f"the argument `{topic.argument}` says whose events are wanted")


def _told(answer: SubgraphResponse, alias: str) -> SubgraphResponse | None:
    """The entity under the subscription's field; None where there is nothing of it for this caller."""
    entities = answer.data.get("_entities") if answer.data is not None else None
    entity = entities[0] if isinstance(entities, list) and entities else None
    if entity is None and not answer.errors:
        return None
    errors = tuple(_placed(one, alias) for one in answer.errors)
    return SubgraphResponse(data={alias: entity}, errors=errors)


def _placed(error: dict[str, Any], alias: str) -> dict[str, Any]:
    path = error.get("path")
    if isinstance(path, list) and path[:1] == ["_entities"]:
        return {**error, "path": [alias, *path[2:]]}
    return error
