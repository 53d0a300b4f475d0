"""A subgraph of several regions behind one name: each call goes where its people are at home, or nowhere.

call -> whom it names -> the caller's region, and theirs -> one region's subgraph over that region's stores.
A region's statements thus hold nothing of a person of another region: not even an id that somebody typed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import FieldNode, OperationDefinitionNode, VariableNode, parse

from authz.identity.subject import Subject
from datastores.regions.directory import RegionDirectory
from datastores.regions.errors import CrossRegion, RegionUnknown
from router.execution.transports.in_process import LocalSubgraph

NAME_CHARACTERS_MAX = 200
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')
_NOT_FOUND = {"message": "not found", "extensions": {"code": "NOT_FOUND"}}
_TRY_AGAIN = {"message": "not ready yet: try again", "extensions": {"code": "TRY_AGAIN"}}
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Homes:
    """Who is at home where. `home` is the region of callers without a name."""

    directory: RegionDirectory
    home: str

    async def of_caller(self, subject: Subject, named: set[str]) -> str:
        """The region of a caller. One without a name is served where the one is at home whom they name, also
        by handle, as for logging in; and here otherwise.  Errors: RegionUnknown.
        """
        if subject.id is not None:
            return await self.directory.region_of(subject.id)
        called = {handle_name(name) for name in named}
        regions = set((await self.directory.regions_of(named | called)).values())
        return regions.pop() if len(regions) == 1 else self.home

    async def check(self, own: str, named: set[str]) -> None:
        """Raise CrossRegion where a call for `own` names people of another region."""
        if await self.far(own, named):
            raise CrossRegion("the call names people of another region")

    async def far(self, own: str, named: set[str]) -> bool:
        """Whether one of `named` is at home elsewhere than in `own`."""
        return bool(set((await self.directory.regions_of(named)).values()) - {own})


class RegionalSubgraph:
    """`LocalSubgraph` over one subgraph of the same name a region."""

    def __init__(self, regions: Mapping[str, LocalSubgraph], homes: Homes) -> None:
        self._regions = dict(regions)
        self._homes = homes

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        """One query or mutation, in one region. What names people of another one is NOT_FOUND: entities
        one by one, everything else as a whole."""
        try:
            own = await self._homes.of_caller(subject, names_in(query, variables))
            near, left_out = await self._nearby(own, variables)
            await self._homes.check(own, names_in(query, near))
        except RegionUnknown:
            return {"data": None, "errors": [_TRY_AGAIN]}
        except CrossRegion:
            return {"data": None, "errors": [_NOT_FOUND]}
        answer = await self._regions[own].execute(query, near, operation_name, subject)
        return _with_gaps(answer, query, left_out) if left_out else answer

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The events of one region."""
        try:
            named = names_in(query, variables)
            own = await self._homes.of_caller(subject, named)
            await self._homes.check(own, named)
        except (RegionUnknown, CrossRegion) as error:
            unknown = isinstance(error, RegionUnknown)
            yield {"data": None, "errors": [_TRY_AGAIN if unknown else _NOT_FOUND]}
            return
        async for event in self._regions[own].subscribe(query, variables, operation_name, subject):
            yield event

    async def _nearby(
        self, own: str, variables: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, list[int]]]:
        """The variables without the representations of people elsewhere, and which were left out of each."""
        near, left_out = dict(variables), {}
        for name, value in variables.items():
            if not _are_representations(value):
                continue
            far = [at for at, each in enumerate(value) if await self._homes.far(own, set(_strings(each)))]
            if far:
                near[name] = [each for at, each in enumerate(value) if at not in far]
                left_out[name] = far
        return near, left_out


def names_in(query: str, variables: Mapping[str, Any]) -> set[str]:
    """Every text in a call that could name somebody."""
    literals = (_literal(found) for found in _LITERAL.findall(query))
    return {text for text in (*literals, *_strings(variables)) if 0 < len(text) <= NAME_CHARACTERS_MAX}


def handle_name(handle: str) -> str:
    """What a handle is called in the directory, where an id cannot be mistaken for it."""
    return f"@{handle.lower()}"


def _literal(found: str) -> str:
    try:
        text: str = orjson.loads(found)
    except ValueError:  # an escape that GraphQL alone has, or a line of a block string
        return found[1:-1]
    return text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _are_representations(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Mapping) and "__typename" in each for each in value)
    )


def _with_gaps(answer: Mapping[str, Any], query: str, left_out: Mapping[str, list[int]]) -> Answer:
    """The answer as if all had been asked: null and one error where somebody is at home elsewhere."""
    data, errors = answer.get("data"), list(answer.get("errors", ()))
    if data is None:
        return dict(answer)
    for key, variable in _entity_fields(query):
        far = left_out.get(variable)
        found = data.get(key)
        if far is None or not isinstance(found, list):
            continue
        places = [at for at in range(len(found) + len(far)) if at not in far]
        whole: list[Any] = [None] * (len(found) + len(far))
        for at, each in zip(places, found, strict=True):
            whole[at] = each
        data[key] = whole
        errors = [_moved(error, key, places) for error in errors]
        errors += [{**_NOT_FOUND, "path": [key, at]} for at in far]
    return {**answer, "data": data, "errors": errors}


def _moved(error: Mapping[str, Any], key: str, places: list[int]) -> Mapping[str, Any]:
    path = list(error.get("path") or ())
    if len(path) < 2 or path[0] != key or not isinstance(path[1], int):
        return error
    return {**error, "path": [key, places[path[1]], *path[2:]]}


def _entity_fields(query: str) -> Iterator[tuple[str, str]]:
    """The response key of each `_entities`, with the variable of its representations."""
    for definition in parse(query, no_location=True).definitions:
        if not isinstance(definition, OperationDefinitionNode):
            continue
        for field in definition.selection_set.selections:
            if not isinstance(field, FieldNode) or field.name.value != "_entities":
                continue
            for argument in field.arguments or ():
                if isinstance(argument.value, VariableNode):
                    key = field.alias.value if field.alias else field.name.value
                    yield key, argument.value.name.value
