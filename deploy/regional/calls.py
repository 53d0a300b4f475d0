"""One call on its way through the regions: what it names, what a region answers, how a silent one shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import OperationType

from authz.identity.subject import Subject
from datastores.errors import StoreError
from deploy.regional.documents import Document, Root, Text
from deploy.regional.routes import NOT_FOUND
from router.errors import SubgraphCallFailed
from router.execution.transports.in_process import LocalSubgraph

REGION_UNAVAILABLE = "REGION_UNAVAILABLE"
FAR_TIMEOUT_S = 10.0
"""So long another region may take to answer a query: less than the router's own limit, so that the rest of
the answer is there in time."""
READY_TIMEOUT_S = 2.0
Error = dict[str, Any]
_INTERNAL = "INTERNAL_SERVER_ERROR"
_UNAVAILABLE = "the region where this is kept does not answer: try again"


@dataclass(frozen=True, slots=True)
class Served:
    """A subgraph in one region. `ready` raises StoreError where its store cannot serve now."""

    subgraph: LocalSubgraph
    ready: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a region answered. `silent`: it did not."""

    data: dict[str, Any] | None
    errors: list[Error]
    silent: bool = False

    def codes_at(self, path: Sequence[Any]) -> set[str]:
        """The codes of the errors at exactly this path, or at none."""
        found = [each for each in self.errors if each.get("path") in (None, list(path))]
        return {str(each.get("extensions", {}).get("code")) for each in found}


@dataclass(slots=True)
class Part:
    """Some roots of an answer."""

    data: dict[str, Any]
    errors: list[Error] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """A call by a subject at home in `own`. `homes` has the region of everybody whom it names."""

    document: Document
    operation_name: str | None
    variables: Mapping[str, Any]
    subject: Subject
    own: str
    homes: Mapping[str, str]

    def given(self, text: Text, **more: Any) -> dict[str, Any]:
        """The variables of a text, and more."""
        return {**text.given(self.variables), **more}

    def elsewhere(self, names: set[str], region: str) -> set[str]:
        """Those of `names` by which somebody is known who is at home elsewhere."""
        return {name for name in names if self.homes.get(name, region) != region}


class Regions:
    """A subgraph's regions, asked one by one. `far_timeout_s` bounds queries of another than the caller's."""

    def __init__(self, served: Mapping[str, Served], *, far_timeout_s: float = FAR_TIMEOUT_S) -> None:
        self._served = dict(served)
        self._far_timeout_s = far_timeout_s

    def from_home(self, own: str) -> list[str]:
        """All regions in their order: `own`, then the others by name."""
        return [own, *sorted(set(self._served) - {own})]

    async def ask(self, call: Call, region: str, text: Text, variables: dict[str, Any]) -> Answer:
        """One call to one region. It raises nothing that the region is to blame for."""
        bounded = region != call.own and call.document.kind is OperationType.QUERY
        name = call.operation_name if text.text is call.document.whole else None
        served = self._served[region]
        try:
            async with asyncio.timeout(self._far_timeout_s if bounded else None):
                found = await served.subgraph.execute(text.text, variables, name, _subject_of(call))
        except (StoreError, SubgraphCallFailed, TimeoutError, OSError):
            return Answer(None, [unavailable()], silent=True)
        answer = Answer(found.get("data"), [dict(each) for each in found.get("errors", ())])
        if any(_code(each) == _INTERNAL for each in answer.errors) and not await _is_ready(served):
            return Answer(answer.data, [_typed(each) for each in answer.errors], silent=answer.data is None)
        return answer

    def subscribe(self, call: Call, region: str) -> AsyncIterator[Mapping[str, Any]]:
        """The events of one region."""
        subgraph = self._served[region].subgraph
        return subgraph.subscribe(
            call.document.whole, dict(call.variables), call.operation_name, _subject_of(call)
        )


def _subject_of(call: Call) -> Subject:
    """The caller as other regions see them: with the region that they are at home in, for the policy."""
    subject = call.subject
    return subject if not subject.authenticated or subject.region else replace(subject, region=call.own)


async def _is_ready(served: Served) -> bool:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await served.ready()
    except (StoreError, TimeoutError, OSError):
        return False
    return True


def unavailable(path: Sequence[Any] | None = None) -> Error:
    """What stands for an answer that did not come. It does not say which region it was: that is nobody's
    business."""
    return _error(_UNAVAILABLE, REGION_UNAVAILABLE, path)


def not_found(path: Sequence[Any] | None = None) -> Error:
    """The same as for what does not exist."""
    return _error("not found", NOT_FOUND, path)


def _error(message: str, code: str, path: Sequence[Any] | None) -> Error:
    error: Error = {"message": message, "extensions": {"code": code}}
    return error if path is None else {**error, "path": list(path)}


def _code(error: Mapping[str, Any]) -> str:
    return str(error.get("extensions", {}).get("code"))


def _typed(error: Error) -> Error:
    if _code(error) != _INTERNAL:
        return error
    told = {**error["extensions"], "code": REGION_UNAVAILABLE}
    return {**error, "message": _UNAVAILABLE, "extensions": told}


def part_of(answer: Answer, roots: Sequence[Root]) -> Part:
    """The answer about these roots. Where there are no data, each is null with the error that says why."""
    keys = [root.key for root in roots]
    if answer.data is not None:
        return Part({key: answer.data[key] for key in keys if key in answer.data}, answer.errors)
    why = answer.errors or [unavailable()]
    placed = [each for each in why if each.get("path") and each["path"][0] in keys]
    told = {each["path"][0] for each in placed}
    return Part(
        dict.fromkeys(keys), [*placed, *({**why[0], "path": [key]} for key in keys if key not in told)]
    )
