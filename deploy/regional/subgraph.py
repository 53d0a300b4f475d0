"""A subgraph of several regions behind one name: each root field and each entity goes where its owner is.

call -> the people it names -> a route for each root -> one call a region -> one answer, in order. A region
that does not answer leaves its own places null, with a typed error each. Nothing is kept here of what passes
but where objects were found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from graphql import GraphQLError, OperationType

from authz.identity.subject import Subject
from datastores.errors import Unavailable
from deploy.regional.calls import (
    FAR_TIMEOUT_S,
    Call,
    Part,
    Regions,
    Served,
    not_found,
    part_of,
)
from deploy.regional.documents import Document, Documents, Root
from deploy.regional.entities import entities
from deploy.regional.everywhere import list_everywhere, page_everywhere
from deploy.regional.homes import Homes, names_in, texts_in
from deploy.regional.routes import HOME, ROUTES, Kind, Route
from deploy.regional.search import Search, Whereabouts
from deploy.regional.streams import stream_everywhere

_TRY_AGAIN = {"message": "not ready yet: try again", "extensions": {"code": "TRY_AGAIN"}}


class RegionalSubgraph:
    """`LocalSubgraph` over one subgraph of the same name a region."""

    def __init__(
        self, served: Mapping[str, Served], homes: Homes, *, far_timeout_s: float = FAR_TIMEOUT_S
    ) -> None:
        self._regions = Regions(served, far_timeout_s=far_timeout_s)
        self._homes = homes
        self._documents = Documents()
        self._whereabouts = Whereabouts()

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        """One query or mutation, over as many regions as it is about."""
        try:
            call = await self._call(query, variables, operation_name, subject)
        except Unavailable:
            return {"data": None, "errors": [_TRY_AGAIN]}
        except GraphQLError as error:
            return {"data": None, "errors": [error.formatted]}
        groups = _groups(call)
        if call.document.kind is OperationType.MUTATION:
            parts = [await self._part(call, region, roots) for region, roots in groups]
        else:
            parts = await asyncio.gather(*(self._part(call, region, roots) for region, roots in groups))
        return _whole(call.document, parts)

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The events of one region: the owner's, whom the subscription names, else the caller's."""
        try:
            call = await self._call(query, variables, operation_name, subject)
        except Unavailable:
            yield {"data": None, "errors": [_TRY_AGAIN]}
            return
        except GraphQLError as error:
            yield {"data": None, "errors": [error.formatted]}
            return
        [root] = call.document.roots[:1]
        if _route(call, root).kind is Kind.EVERY_STREAM and not _strangers(call, [root], call.own):
            async with aclosing(stream_everywhere(call, self._regions)) as events:
                async for event in events:
                    yield event
            return
        region = _region_of(call, root) or call.own
        if _strangers(call, [root], region):
            yield {"data": None, "errors": [not_found()]}
            return
        async with aclosing(self._regions.subscribe(call, region)) as one:  # type: ignore[type-var]
            async for event in one:
                yield event

    async def _call(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Call:
        """The call with whom it names.  Errors: Unavailable, GraphQLError."""
        document = self._documents.of(query, operation_name)
        if document is None:
            raise GraphQLError("there is no operation of this name in the document")
        named = names_in(variables)
        for root in document.roots:
            named |= root.literals
        own = await self._homes.of_caller(subject, named)
        return Call(document, operation_name, variables, subject, own, await self._homes.known(named))

    async def _part(self, call: Call, region: str | None, roots: Sequence[Root]) -> Part:
        if region is not None:
            return await self._single(call, region, roots)
        [root] = roots
        if root.name == "_entities":
            return await entities(call, root, self._regions, self._whereabouts)
        kind = _route(call, root).kind
        if kind is Kind.EVERY_LIST:
            return await list_everywhere(call, root, self._regions)
        if kind is Kind.EVERY_PAGE:
            return await page_everywhere(call, root, self._regions)
        return await Search(call, root, _route(call, root), self._regions, self._whereabouts).part()

    async def _single(self, call: Call, region: str, roots: Sequence[Root]) -> Part:
        """Roots that one region answers. One that names people elsewhere in any other place than the route
        allows is not asked at all."""
        strange = [root for root in roots if _strangers(call, [root], region)]
        asked = [root for root in roots if root not in strange]
        part = Part({}, [])
        if asked:
            text = call.document.only(asked)
            part = part_of(await self._regions.ask(call, region, text, call.given(text)), asked)
        part.data |= {root.key: None for root in strange}
        part.errors += [not_found([root.key]) for root in strange]
        return part


def _groups(call: Call) -> list[tuple[str | None, list[Root]]]:
    """The roots by region, None where it is not one, each of those alone: all of a region together, but of a
    mutation only those that follow each other."""
    placed = [(_region_of(call, root), root) for root in call.document.roots]
    if call.document.kind is not OperationType.MUTATION:
        placed.sort(key=lambda each: each[0] or "")
    groups: list[tuple[str | None, list[Root]]] = []
    for region, root in placed:
        if region is not None and groups and groups[-1][0] == region:
            groups[-1][1].append(root)
        else:
            groups.append((region, [root]))
    return groups


def _region_of(call: Call, root: Root) -> str | None:
    """The one region that answers this root, if it is one."""
    route = _route(call, root)
    if root.name == "_entities" or route.kind in (Kind.OBJECT, Kind.EVERY_LIST, Kind.EVERY_PAGE):
        return None
    if route.kind is Kind.OWNER:
        owner = _at_path(root.arguments(call.variables), route.by)
        return call.homes.get(owner, call.own) if isinstance(owner, str) else call.own
    return call.own


def _route(call: Call, root: Root) -> Route:
    return ROUTES.get(f"{call.document.parent}.{root.name}", HOME)


def _strangers(call: Call, roots: Sequence[Root], region: str) -> set[str]:
    """Whom these roots name who is at home elsewhere, but for those whom their routes may name."""
    found: set[str] = set()
    text = call.document.only(roots)
    for root in roots:
        given = root.arguments(call.variables)
        mentioned = {each for path in _route(call, root).mentions for each in texts_in(_at_path(given, path))}
        named = set(root.literals) | names_in(text.given(call.variables))
        found |= call.elsewhere(named, region) - mentioned
    return found


def _at_path(given: Any, path: str) -> Any:
    for step in path.split("."):
        given = given.get(step) if isinstance(given, Mapping) else None
    return given


def _whole(document: Document, parts: Sequence[Part]) -> dict[str, Any]:
    """One answer, its keys in the document's order."""
    found = {key: value for part in parts for key, value in part.data.items()}
    data = {root.key: found[root.key] for root in document.roots if root.key in found}
    errors = [error for part in parts for error in part.errors]
    return {"data": data, "errors": errors} if errors else {"data": data}
