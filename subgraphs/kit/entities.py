"""The federation edge: representations in, loaded objects out, each on its own.

A representation is only ever used for its key: the object comes from the domain's store, so a forged field
changes nothing. All representations of a call are resolved together, so that a domain's loader sees them
as one batch.
"""

from __future__ import annotations

import asyncio
import dis
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLLeafType,
    GraphQLSchema,
    get_nullable_type,
    is_leaf_type,
)
from strawberry.execution import optimized_is_awaitable
from strawberry.federation.schema_directives import External, Key
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info
from strawberry.utils.str_converters import to_snake_case

from subgraphs.kit.classification import definition_of, object_types
from subgraphs.kit.errors import PublicError

REPRESENTATIONS_MAX = 5_000
_WAITING = frozenset({"SEND", "YIELD_FROM", "YIELD_VALUE"})
"""The instructions at which a coroutine may give way."""
KEY_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class _KeyField:
    name: str
    parameter: str
    leaf: GraphQLLeafType | None


@dataclass(frozen=True, slots=True)
class EntityType:
    """An entity of this subgraph: its keys in SDL order, and the domain's way to load one.

    `at_once`: that way is a coroutine that waits for nothing, so that no task is needed to run it.
    """

    name: str
    keys: tuple[tuple[_KeyField, ...], ...]
    required: tuple[_KeyField, ...]
    resolve: Callable[..., Any]
    at_once: bool

    def arguments(self, representation: Mapping[str, Any]) -> dict[str, Any]:
        """The first key that the representation holds whole, typed and in snake_case, and the `@requires`
        inputs that the domain's function names. Errors: PublicError BAD_REPRESENTATION."""
        for key in self.keys:
            if all(field.name in representation for field in key):
                given = {field.parameter: self._typed(field, representation[field.name]) for field in key}
                for field in self.required:
                    if field.name in representation:
                        # Null where its own subgraph has none, or shows none to this caller.
                        value = representation[field.name]
                        given[field.parameter] = None if value is None else self._typed(field, value)
                return given
        expected = " or ".join(f"`{' '.join(field.name for field in key)}`" for key in self.keys)
        raise PublicError("BAD_REPRESENTATION", f"a representation of `{self.name}` needs {expected}")

    def _typed(self, field: _KeyField, value: Any) -> Any:
        if field.leaf is None:
            return _snake_cased(value)
        if value is None or (isinstance(value, str) and len(value) > KEY_CHARACTERS_MAX):
            raise self._malformed(field)
        try:
            return field.leaf.coerce_input_value(value)
        except (GraphQLError, ValueError, TypeError):
            raise self._malformed(field) from None

    def _malformed(self, field: _KeyField) -> PublicError:
        return PublicError("BAD_REPRESENTATION", f"`{self.name}.{field.name}` is not a valid key value")


def entity_types(schema: GraphQLSchema) -> dict[str, EntityType]:
    """Type name → entity, for every type with a resolvable `@key`."""
    found: dict[str, EntityType] = {}
    for graphql_type in object_types(schema):
        definition = definition_of(graphql_type)
        keys = [key for key in definition.directives or () if isinstance(key, Key)]
        resolve = getattr(definition.origin, "resolve_reference", None)
        if resolve is None or not any(key.resolvable is not False for key in keys):
            continue

        def key_field(name: str, definition: StrawberryObjectDefinition = definition) -> _KeyField:
            field = schema.type_map[definition.name].fields[name]  # type: ignore[attr-defined]
            leaf = get_nullable_type(field.type)
            return _KeyField(name, to_snake_case(name), leaf if is_leaf_type(leaf) else None)

        parameters = inspect.signature(resolve).parameters
        external = [
            name
            for name, field in graphql_type.fields.items()
            if _is_external(field.extensions.get("strawberry-definition"))
            and to_snake_case(name) in parameters
        ]
        found[graphql_type.name] = EntityType(
            name=graphql_type.name,
            keys=tuple(
                tuple(key_field(name) for name in _top_names(str(key.fields)))
                for key in keys
                if key.resolvable is not False
            ),
            required=tuple(key_field(name) for name in external),
            resolve=resolve,
            at_once=_waits_for_nothing(resolve),
        )
    return found


def _waits_for_nothing(function: Any) -> bool:
    """Whether it is a coroutine function without an `await` of any kind."""
    if not inspect.iscoroutinefunction(function):
        return False
    return all(each.opname not in _WAITING for each in dis.get_instructions(function))


def _is_external(field: object) -> bool:
    return isinstance(field, StrawberryField) and any(isinstance(each, External) for each in field.directives)


def _top_names(field_set: str) -> list[str]:
    flat = field_set
    while "{" in flat:
        shorter = re.sub(r"\{[^{}]*\}", " ", flat)
        if shorter == flat:
            raise ValueError(f"`{field_set}` is not a field set")
        flat = shorter
    return re.findall(r"\w+", flat)


def _snake_cased(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {to_snake_case(name): _snake_cased(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_snake_cased(inner) for inner in value]
    return value


async def resolve_entities(
    entities: Mapping[str, EntityType],
    representations: Sequence[Any],
    *,
    strawberry_info: Info,
) -> list[Any]:
    """One object, None (not found or hidden) or exception for each representation, in order.

    Errors: PublicError TOO_MANY_REPRESENTATIONS past REPRESENTATIONS_MAX; every other error is an item.
    """
    if len(representations) > REPRESENTATIONS_MAX:
        raise PublicError(
            "TOO_MANY_REPRESENTATIONS",
            f"{len(representations)} representations in one call; the limit is {REPRESENTATIONS_MAX}",
        )
    found = [_resolution(entities, each, strawberry_info) for each in representations]
    waiting = [place for place, each in enumerate(found) if optimized_is_awaitable(each)]
    if len(waiting) == 1:
        found[waiting[0]] = await _alone(found[waiting[0]])
    elif waiting:
        arrived = await asyncio.gather(*(found[place] for place in waiting), return_exceptions=True)
        for place, value in zip(waiting, arrived, strict=True):
            found[place] = value
    return found


async def _alone(pending: Awaitable[Any]) -> Any:
    """What the one that has to be waited for gives, or its fault, without a task of its own."""
    try:
        return await pending
    except asyncio.CancelledError as fault:
        here = asyncio.current_task()
        if here is None or here.cancelling():
            raise
        return fault  # it was cancelled, and not who waits
    except Exception as fault:
        return fault


def _resolution(entities: Mapping[str, EntityType], representation: Any, info: Info) -> Any:
    """What the domain's function gives for one representation, which may have to be awaited, or its fault."""
    try:
        if not isinstance(representation, Mapping):
            raise PublicError(
                "BAD_REPRESENTATION", "a representation is an object with `__typename` and a key"
            )
        name = representation.get("__typename")
        entity = entities.get(name) if isinstance(name, str) else None
        if entity is None:
            raise PublicError("UNKNOWN_ENTITY", "this subgraph has no entity of that `__typename`")
        found = entity.resolve(info=info, **entity.arguments(representation))
        return _run_at_once(found) if entity.at_once else found
    except Exception as fault:
        return fault


def _run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never gives way.  Errors: what it raises."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a coroutine that waits for nothing has waited")
