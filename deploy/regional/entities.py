"""`_entities` over regions: each representation goes where its owner is, one call a region, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.regional.calls import Answer, Call, Error, Part, Regions, not_found, part_of, unavailable
from deploy.regional.documents import Root
from deploy.regional.everywhere import has_fields_everywhere, person_everywhere
from deploy.regional.homes import texts_in
from deploy.regional.routes import HIDDEN, PERSON_TYPE
from deploy.regional.search import Whereabouts

REPRESENTATIONS = "representations"


@dataclass(slots=True)
class _Found:
    """What is known of one representation: its value, and the errors at it, whose paths begin below it."""

    value: Any = None
    errors: list[tuple[list[Any], Error]] = field(default_factory=list)
    silent: bool = False

    @property
    def hidden(self) -> bool:
        codes = {str(error.get("extensions", {}).get("code")) for _, error in self.errors}
        return self.value is None and codes <= HIDDEN


@dataclass(frozen=True, slots=True)
class Entities:
    """One `_entities` root. `variable` holds the representations `given`; `found` has a place for each."""

    call: Call
    root: Root
    variable: str
    given: list[Any]
    found: list[_Found]
    regions: Regions
    known: Whereabouts

    async def part(self) -> Part:
        """The entities in the order of their representations, null with an error where one is not shown."""
        by_region = self._by_region()
        await asyncio.gather(*(self._ask(region, places) for region, places in by_region.items()))
        await self._look_elsewhere(by_region)
        errors = [
            {**error, "path": [self.root.key, place, *path]}
            for place, each in enumerate(self.found)
            for path, error in each.errors
        ]
        return Part({self.root.key: [each.value for each in self.found]}, errors)

    def _by_region(self) -> dict[str, list[int]]:
        """The places of representations by the region to ask first. One that names people of two regions is
        asked of neither."""
        by_region: dict[str, list[int]] = {}
        for place, each in enumerate(self.given):
            region = self._region_of(each)
            if self.call.elsewhere(set(texts_in(each)), region):
                self.found[place].errors.append(([], not_found()))
            else:
                by_region.setdefault(region, []).append(place)
        return by_region

    def _region_of(self, each: Any) -> str:
        key = each.get("id") if isinstance(each, Mapping) else None
        if not isinstance(key, str):
            return self.call.own
        if _is_person(each):
            return self.call.homes.get(key, self.call.own)
        return self.known.hint([key]) or self.call.own

    async def _ask(self, region: str, places: Sequence[int]) -> None:
        """Ask one region, and put what it says in its places. Where the caller's own lists are everywhere,
        that is asked apart."""
        own: list[int] = []
        if has_fields_everywhere(self.root):
            own = [place for place in places if self._is_caller(self.given[place])]
        if own:
            asked = {self.variable: [self.given[place] for place in own]}
            self._put(own, await person_everywhere(self.call, self.root, self.regions, region, asked))
        await self._ask_plainly(region, [place for place in places if place not in own])

    async def _ask_plainly(self, region: str, places: Sequence[int]) -> None:
        if places:
            text = self.call.document.only([self.root])
            asked = {self.variable: [self.given[place] for place in places]}
            given = self.call.given(text, **asked)
            self._put(places, await self.regions.ask(self.call, region, text, given))

    async def _look_elsewhere(self, by_region: Mapping[str, Sequence[int]]) -> None:
        """Objects that the region asked first does not have may be in another."""
        asked_first = {place: region for region, places in by_region.items() for place in places}
        gone: dict[int, _Found] = {}
        for region in self.regions.from_home(self.call.own):
            lost = [place for place, first in asked_first.items() if first != region and self._is_lost(place)]
            before = {place: self.found[place] for place in lost}
            for place in lost:
                self.found[place] = _Found()
            await self._ask_plainly(region, lost)
            for place in lost:
                if self.found[place].silent:
                    gone[place] = self.found[place]
                elif not self.found[place].hidden:
                    self.known.note([str(self.given[place].get("id"))], region)
                    continue
                self.found[place] = before[place]
        for place, silent in gone.items():  # it may be where nobody answered
            if self._is_lost(place):
                self.found[place] = silent

    def _is_lost(self, place: int) -> bool:
        found = self.found[place]
        return found.hidden and not found.silent and not _is_person(self.given[place])

    def _is_caller(self, each: Any) -> bool:
        caller = self.call.subject.id
        return _is_person(each) and caller is not None and each.get("id") == caller

    def _put(self, places: Sequence[int], answer: Answer) -> None:
        values = None if answer.data is None else answer.data.get(self.root.key)
        if not isinstance(values, list) or len(values) != len(places):
            why = answer.errors[0] if answer.errors else unavailable()
            for place in places:
                self.found[place].errors.append(([], why))
                self.found[place].silent = answer.silent
            return
        for place, value in zip(places, values, strict=True):
            self.found[place].value = value
        for error in answer.errors:
            path = error.get("path") or []
            if len(path) >= 2 and path[0] == self.root.key and isinstance(path[1], int):
                self.found[places[path[1]]].errors.append((list(path[2:]), error))


async def entities(call: Call, root: Root, regions: Regions, known: Whereabouts) -> Part:
    """The answer to an `_entities` root."""
    given = root.arguments(call.variables).get(REPRESENTATIONS)
    variable = root.variable_of(REPRESENTATIONS)
    if variable is None or not isinstance(given, list):
        text = call.document.only([root])
        return part_of(await regions.ask(call, call.own, text, call.given(text)), [root])
    return await Entities(call, root, variable, given, [_Found() for _ in given], regions, known).part()


def _is_person(each: Any) -> bool:
    return isinstance(each, Mapping) and each.get("__typename") == PERSON_TYPE
