"""Finds the region of an object that an id names: at home, then elsewhere, until one has it.

A region that says it has no such object has done nothing: a mutation may be tried in the next.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import OperationType, SelectionSetNode

from deploy.regional.calls import Answer, Call, Part, Regions, not_found, part_of
from deploy.regional.documents import Root, Text, changed, selection
from deploy.regional.homes import texts_in
from deploy.regional.routes import Route

OBJECTS_KNOWN_MAX = 100_000
_PROBE = "stadionErrors"
_CODES = selection(f"{_PROBE}: userErrors {{ code }}")


class Whereabouts:
    """Where objects were found, by a hash of their ids; in memory, and a hint only: objects may move."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def hint(self, object_ids: Iterable[str]) -> str | None:
        """The region where one of these was found last."""
        found = (self._known.get(_digest(each)) for each in object_ids)
        return next((region for region in found if region is not None), None)

    def note(self, object_ids: Iterable[str], region: str) -> None:
        """They were found there."""
        for each in object_ids:
            digest = _digest(each)
            self._known[digest] = region
            self._known.move_to_end(digest)
            if len(self._known) > OBJECTS_KNOWN_MAX:
                self._known.popitem(last=False)


def _digest(object_id: str) -> bytes:
    return hashlib.blake2b(object_id.encode(), digest_size=12).digest()


@dataclass(frozen=True, slots=True)
class Search:
    """One root that names an object, and how to ask for it."""

    call: Call
    root: Root
    route: Route
    regions: Regions
    known: Whereabouts

    async def part(self) -> Part:
        """The answer of the region that has the object; that of the caller's home where none has."""
        named = list(texts_in(_given(self.root, self.call.variables, self.route.by)))
        order = self.regions.from_home(self.call.own)
        hint = self.known.hint(named)
        if hint in order:
            order = [hint, *(each for each in order if each != hint)]
        text = _probing(self.call, self.root)
        answers = {order[0]: await self._ask(text, order[0])}
        if self._is_hidden(answers[order[0]]):
            answers |= await self._elsewhere(text, order[1:])
        for region, answer in answers.items():
            if not self._is_hidden(answer):
                self.known.note(named, region)
                return self._shown(answer)
        if any(answer.silent for answer in answers.values()):
            # One that did not answer may have it: that is not the same as not being there.
            return part_of(Answer(None, []), [self.root])
        return self._shown(answers[self.call.own])

    async def _elsewhere(self, text: Text, order: list[str]) -> dict[str, Answer]:
        """The other regions' answers: all at once where nothing is changed, else one after the other."""
        if self.call.document.kind is not OperationType.MUTATION:
            found = await asyncio.gather(*(self._ask(text, each) for each in order))
            return dict(zip(order, found, strict=True))
        answers: dict[str, Answer] = {}
        for region in order:
            answers[region] = await self._ask(text, region)
            if not self._is_hidden(answers[region]):
                break
        return answers

    async def _ask(self, text: Text, region: str) -> Answer:
        given = self.root.arguments(self.call.variables)
        if self.call.elsewhere(set(texts_in(given)) | set(self.root.literals), region):
            return Answer(None, [not_found([self.root.key])])
        return await self.regions.ask(self.call, region, text, self.call.given(text))

    def _is_hidden(self, answer: Answer) -> bool:
        """Whether the region has said that the object is not there, or nothing at all."""
        if answer.silent:
            return True
        value = None if answer.data is None else answer.data.get(self.root.key)
        if value is None:
            codes = answer.codes_at([self.root.key])
            return bool(codes) and codes <= self.route.hidden
        told = value.get(_PROBE) if isinstance(value, dict) else None
        return bool(told) and {each["code"] for each in told or ()} <= self.route.hidden

    def _shown(self, answer: Answer) -> Part:
        part = part_of(answer, [self.root])
        value = part.data.get(self.root.key)
        if isinstance(value, dict):
            value.pop(_PROBE, None)
        return part


def _probing(call: Call, root: Root) -> Text:
    """The root alone, and for a mutation the codes by which it says that there is no such object."""
    if call.document.kind is not OperationType.MUTATION:
        return call.document.only([root])
    nodes = [
        changed(node, selection_set=SelectionSetNode(selections=(*node.selection_set.selections, *_CODES)))
        for node in root.nodes
        if node.selection_set is not None
    ]
    return call.document.printed(root.selections(nodes))


def _given(root: Root, variables: Mapping[str, Any], path: str) -> Any:
    given: Any = root.arguments(variables)
    for step in path.split("."):
        given = given.get(step) if isinstance(given, Mapping) else None
    return given
