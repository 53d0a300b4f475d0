"""Delivering an answer in portions: each as soon as its fetches are made and what is around it is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from router.execution.compiled import CompiledPlan
from router.execution.execute import add_introspected, explained
from router.execution.explain import visible_path
from router.execution.part_answers import PartAnswers, errors_by_place, index_in
from router.execution.paths import ResponsePath
from router.execution.payloads import (
    IncrementalFormat,
    PartAnswer,
    Payload,
    Payload2022,
    PendingFragment,
    PendingItems,
)
from router.execution.places import FragmentPlace, ListPlace, Place, places_in
from router.execution.portion_run import PortionRun
from router.execution.portions import Portion, Portions
from router.execution.response import GraphQLResponse
from router.execution.run import Run
from router.execution.shape import AnswerSelection
from router.execution.views import Ranges

BATCH_ITEMS_MIN: Final = 10
"""Items of a streamed list's first batch of later items; each further batch is twice the one before."""


@dataclass(slots=True, eq=False)
class _Errand:
    """One portion for some items: its run, and the places of the answer that wait for it.

    `begin` and `end` are the items' indices where the portion is a streamed list.
    """

    portion: Portion
    run: PortionRun
    around: _Errand | None
    is_again: bool
    inner: dict[int, _Errand] = field(default_factory=dict)
    fragments: list[PendingFragment] = field(default_factory=list)
    lists: list[PendingItems] = field(default_factory=list)
    batches: dict[int, _Errand] = field(default_factory=dict)
    begin: int = 0
    end: int = 0
    is_over: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)


class Delivery:
    """One execution in portions. `parts` is read once; closing it ends everything under way."""

    def __init__(
        self, compiled: CompiledPlan, portions: Portions, base: Run, format_: IncrementalFormat
    ) -> None:
        self._compiled = compiled
        self._portions = portions
        self._base = base
        self._format = format_
        self._counts = portions.initial_counts(base.variables)
        self._projection = compiled.projection(base.variables, late=portions.late)
        self._answers = PartAnswers(self._projection, portions.views, explains=bool(compiled.allowed.denials))
        self._known: dict[str, Any] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Queue[tuple[_Errand, BaseException | None]] = asyncio.Queue()
        self._firsts: dict[int, _Errand] = {}
        self._due: list[_Errand] = []
        """Errands whose surroundings are delivered, but they are not."""
        self._ids_count = 0
        self._open_count = 0
        """Pending places that are not completed."""

    async def parts(self) -> AsyncIterator[GraphQLResponse]:
        """The first part, then one for whatever has become ready since. Plain where nothing follows."""
        try:
            root = self._start(self._portions.root, {}, None, is_again=False)
            while not root.is_over:
                self._take(await self._over.get())
            yield self._first_part(root)
            while self._open_count:
                while not self._over.empty():
                    self._take(self._over.get_nowait())
                payload = self._payload()
                self._deliver_due(payload)
                if payload:
                    members = payload.members(has_next=bool(self._open_count))
                    yield GraphQLResponse(None, incremental=members, initial=False)
                else:
                    self._take(await self._over.get())
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- fetching ----------------------------------------------------------------------------------

    def _start(self, portion: Portion, ranges: Ranges, around: _Errand | None, *, is_again: bool) -> _Errand:
        """Begin a portion's fetches, and those of the fragments that are deferred in it."""
        streams, fragments = portion.scope()
        shown = {**ranges, **{it.increment: (0, self._counts[it.increment]) for it in streams}}
        errand = _Errand(portion, PortionRun(self._base, shown), around, is_again)
        self._firsts.setdefault(portion.increment, errand)
        task = asyncio.create_task(self._fetch(errand))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(errand, done))
        for it in fragments:
            errand.inner[it.increment] = self._start(it, shown, errand, is_again=is_again)
        return errand

    async def _fetch(self, errand: _Errand) -> None:
        portion, step = errand.portion, errand.portion.step
        left, around = portion.waits_for, errand.around
        if portion.shares_objects and around is not None:
            # an object that is told as null must not have come into the tree before that
            await around.told.wait()
        while around is not None and left:
            await around.run.finished(left & around.portion.brings)
            left -= around.portion.brings
            around = around.around
        if errand.is_again and portion.again is not portion.step:
            step = portion.again
            await self._firsts[portion.increment].run.over()
        if step is not None:
            await step.run(errand.run)
        errand.run.end()

    def _ended(self, errand: _Errand, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._over.put_nowait((errand, task.exception()))

    def _take(self, ended: tuple[_Errand, BaseException | None]) -> None:
        errand, failure = ended
        if failure is not None:
            raise failure
        errand.is_over = True

    # -- delivering --------------------------------------------------------------------------------

    def _payload(self) -> Payload:
        return Payload2022() if self._format is IncrementalFormat.MULTIPART_2022 else Payload(self._known)

    def _first_part(self, root: _Errand) -> GraphQLResponse:
        add_introspected(self._compiled, self._base)
        streams = self._portions.root.streams_in_scope()
        view = self._base.within(self._portions.views.view(self._base.root, root.run.ranges, streams))
        data = self._projection.project(view.root)
        found = list(
            places_in(self._projection.shape, self._base.root, data, (), self._portions.by_increment)
        )
        payload = self._payload()
        self._follow(root, found, payload)
        view.errors = self._told(root, root.run.errors, self._projection.shape, (), found)
        first = explained(self._compiled, view, self._projection, data)
        root.told.set()
        if not self._open_count:
            return first
        if data is not None and any(it.overlaps for it in self._portions.by_increment.values()):
            self._known = deepcopy(data)
        # what is ready already comes next: neither form has deferred data in its first part
        members = payload.members(has_next=True)
        return GraphQLResponse(first.data, first.errors, first.extensions, incremental=members)

    def _deliver_due(self, payload: Payload) -> None:
        """Deliver everything that is ready, what becomes due by that included."""
        ready = [it for it in self._due if it.is_over]
        while ready:
            for errand in ready:
                self._due.remove(errand)
                self._deliver_fragments(errand, payload)
                self._deliver_items(errand, payload)
                errand.told.set()
            ready = [it for it in self._due if it.is_over]

    def _deliver_fragments(self, errand: _Errand, payload: Payload) -> None:
        errors = errors_by_place(errand.run.errors, errand.fragments)
        for pending in errand.fragments:
            self._open_count -= 1
            streams = errand.portion.streams_in_scope()
            part = self._answers.fragment(pending, errand.run.ranges, streams)
            found = list(
                places_in(pending.selection, pending.it, part.data, pending.path, self._portions.by_increment)
            )
            entries = payload.added(pending, part.data)
            if entries is None:
                found = []
            self._follow(errand, found, payload)
            told = self._told(errand, errors.get(pending.id, ()), pending.selection, pending.path, found)
            payload.fragment(pending, entries, part.telling(told))

    def _deliver_items(self, errand: _Errand, payload: Payload) -> None:
        errors = errors_by_place(errand.run.errors, errand.lists)
        left: list[PendingItems] = []
        handed_on: list[dict[str, Any]] = []
        for pending in errand.lists:
            own = errors.get(pending.id, [])
            later = [it for it in own if index_in(it, pending.path) >= errand.end]
            if self._deliver_list(errand, pending, [it for it in own if it not in later], payload):
                left.append(pending)
                handed_on += later
            else:
                self._open_count -= 1
        if left and errand.around is not None:
            size = 2 * (errand.end - errand.begin)
            again = self._batch(errand.around, errand.portion, left, begin=errand.end, size=size, again=True)
            again.run.errors += handed_on

    def _deliver_list(
        self, errand: _Errand, pending: PendingItems, errors: list[dict[str, Any]], payload: Payload
    ) -> bool:
        """Deliver one list's next items; whether more will follow."""
        streams = errand.portion.streams_in_scope()
        part = self._answers.items(pending, errand.begin, errand.end, errand.run.ranges, streams)
        found: list[Place] = []
        selection = pending.field.selection
        if selection is not None:
            for index, item in enumerate(part.items, errand.begin):
                path = (*pending.path, index)
                found += places_in(selection, pending.values[index], item, path, self._portions.by_increment)
        self._follow(errand, found, payload)
        told = self._told(errand, errors, selection, pending.path, found)
        if part.broken_at is None:
            payload.items(pending, errand.begin, part.items, part.telling(told))
            if errand.end >= len(pending.values):
                payload.end(pending)
                return False
            return True
        before = [it for it in told if index_in(it, pending.path) < part.broken_at]
        if part.items:
            payload.items(pending, errand.begin, part.items, PartAnswer().telling(before))
        why = [it for it in told if it not in before or not part.items]
        payload.end(pending, part.broken_at, part.telling(why))
        return False

    def _follow(self, errand: _Errand, found: Sequence[Place], payload: Payload) -> None:
        """Announce what follows at these places, and begin with the streamed lists among them."""
        lists: dict[int, list[PendingItems]] = {}
        for place in found:
            portion = self._portions.by_increment[place.increment]
            if isinstance(place, ListPlace):
                if len(place.values) > place.answered_count:
                    it = PendingItems(self._id(), place.path, portion.label, place.field, place.values)
                    payload.announce(it)
                    lists.setdefault(portion.increment, []).append(it)
                continue
            fragment = PendingFragment(self._id(), place.path, portion.label, place.selection, place.it)
            payload.announce(fragment)
            inner = errand.inner[portion.increment]
            inner.fragments.append(fragment)
            if inner not in self._due:
                self._due.append(inner)
        for increment, pending in lists.items():
            begin = self._counts[increment]
            portion = self._portions.by_increment[increment]
            size = max(begin, BATCH_ITEMS_MIN)
            known = errand.batches.get(increment)
            if known is not None:
                known.lists += pending
                continue
            errand.batches[increment] = self._batch(
                errand, portion, pending, begin=begin, size=size, again=errand.is_again
            )

    def _batch(
        self,
        around: _Errand,
        portion: Portion,
        pending: list[PendingItems],
        *,
        begin: int,
        size: int,
        again: bool,
    ) -> _Errand:
        """Begin to fetch the next items of these lists."""
        end = begin + size if portion.step is not None else sys.maxsize
        ranges = {**around.run.ranges, portion.increment: (begin, end)}
        errand = self._start(portion, ranges, around, is_again=again)
        errand.lists, errand.begin, errand.end = pending, begin, end
        self._due.append(errand)
        return errand

    def _told(
        self,
        errand: _Errand,
        errors: Sequence[dict[str, Any]],
        selection: AnswerSelection | None,
        prefix: ResponsePath,
        found: Sequence[Place],
    ) -> list[dict[str, Any]]:
        """The errors that are told with what is delivered now; those of what follows are kept for it."""
        told: list[dict[str, Any]] = []
        for entry in errors:
            path = tuple(entry.get("path", ()))
            inside = path[: len(prefix)] == prefix
            known = visible_path(selection, list(path[len(prefix) :])) if selection and inside else []
            later = _later_place(path, found, len(prefix) + len(known))
            if later is None:
                told.append(entry)
                continue
            increment = self._portions.by_increment[later.increment].increment
            errands = errand.inner if isinstance(later, FragmentPlace) else errand.batches
            errands[increment].run.errors.append(entry)
        return told

    def _id(self) -> str:
        self._ids_count += 1
        self._open_count += 1
        return str(self._ids_count - 1)


def _later_place(path: ResponsePath, found: Sequence[Place], known_length: int) -> Place | None:
    """The place that an error belongs to rather than to what is around it, by how much of its path it has."""
    for place in found:
        if isinstance(place, ListPlace):
            if index_in({"path": path}, place.path) >= place.answered_count < len(place.values):
                return place
        elif place.tells(path) > known_length:
            return place
    return None
