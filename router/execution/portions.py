"""A plan cut into portions: what is answered at once, each `@defer` fragment, each streamed list's items.

A portion knows the fetches that it waits for and makes. Deferred fragments that need no fetch of their own
are no portions: they come with what is around them. Places below a streamed list are made item by item,
first for the items of the first answer, then for later ones in batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, TypeAlias

from router.errors import PlanInvariantBroken
from router.execution.data_flow import Keys, fetches_in, needs
from router.execution.portion_run import PortionRun
from router.execution.run import Run
from router.execution.schedule import Place, schedule_of, take_apart
from router.execution.steps import Step
from router.execution.type_facts import TypeFacts
from router.execution.views import ListViews
from router.operation.model import NormalField, NormalOperation, NormalSelection, OperationKind, Stream
from router.planner import plan
from router.planner.plan import PathKey, PathList, PathStep, PlanNode

ANSWER: Final = -1
"""The increment of what is answered at once; its parts are numbered from 0."""

_Places: TypeAlias = dict[int, list[Place]]


class PortionKind(Enum):
    """Why something is delivered by itself."""

    ANSWER = "answer"
    DEFER = "defer"
    STREAM = "stream"


@dataclass(slots=True, eq=False)
class Portion:
    """What is delivered at once. Built once a plan; `step` makes its fetches, None where it has none.

    `waits_for` and `brings` are fetch ids. `again` is the step for later items of a list around, where
    some of the first one's fetches were for all items. `overlaps`: fields of it are in other portions too;
    `shares_objects`: so are objects that it selects from, which may turn out to be null there.
    """

    kind: PortionKind
    increment: int
    keys: Keys
    parent: Portion | None = None
    label: str | None = None
    initial_count: int | str = 0
    children: list[Portion] = field(default_factory=list)
    step: Step | None = None
    again: Step | None = None
    waits_for: frozenset[int] = frozenset()
    brings: frozenset[int] = frozenset()
    overlaps: bool = False
    shares_objects: bool = False

    def around(self) -> Iterator[Portion]:
        """The portion and those that it is in, nearest first."""
        at: Portion | None = self
        while at is not None:
            yield at
            at = at.parent

    def scope(self) -> tuple[list[Portion], list[Portion]]:
        """The lists of which the first items come with this portion, and the fragments deferred in those."""
        streams: list[Portion] = []
        fragments: list[Portion] = []
        for it in self.children:
            if it.kind is PortionKind.DEFER:
                fragments.append(it)
                continue
            inner_streams, inner_fragments = it.scope()
            streams += [it, *inner_streams]
            fragments += inner_fragments
        return streams, fragments

    def streams_in_scope(self) -> list[int]:
        """The increments of `scope`'s lists."""
        return [it.increment for it in self.scope()[0]]

    @property
    def owner(self) -> Portion:
        """The answer or fragment whose fetches fill this portion: a streamed list has none of its own."""
        return next(it for it in self.around() if it.kind is not PortionKind.STREAM)


@dataclass(frozen=True, slots=True)
class Portions:
    """An operation's portions. `late` are the increments of the fragments that are delivered later."""

    root: Portion
    late: frozenset[int]
    by_increment: dict[int, Portion]
    views: ListViews

    def initial_counts(self, variables: Mapping[str, Any]) -> dict[int, int]:
        """How many items of each streamed list are answered with what is around it."""
        counts: dict[int, int] = {}
        for increment, it in self.by_increment.items():
            count = it.initial_count
            value = variables.get(count, 0) if isinstance(count, str) else count
            counts[increment] = value if isinstance(value, int) else 0
        return counts


def portions_of(node: PlanNode | None, operation: NormalOperation, facts: TypeFacts) -> Portions | None:
    """The portions of an operation; None where it is delivered whole."""
    places = _places(node)
    tree = _Tree(frozenset(it for it, found in places.items() if it != ANSWER and found))
    tree.grow(operation.selections, (), tree.root)
    if not tree.root.children:
        return None
    streams = [it for it in tree.portions if it.kind is PortionKind.STREAM]
    views = ListViews((it.keys, it.increment) for it in streams)
    _find_streams(places, tree, streams)
    for portion in tree.portions:
        _fill(portion, places[portion.owner.increment], _Compiler(facts, views))
        if portion.kind is PortionKind.DEFER:
            portion.waits_for = _depends(node, portion.increment)
            if operation.kind is OperationKind.MUTATION:
                portion.waits_for = portion.waits_for.union(
                    *(it.brings for it in portion.around() if it is not portion)
                )
    return Portions(tree.root, tree.late, tree.by_increment, views)


def _places(node: PlanNode | None) -> _Places:
    found: _Places = {ANSWER: []}
    if isinstance(node, plan.Defer):
        if node.primary is not None:
            take_apart(node.primary, (), frozenset(), found[ANSWER])
        for part in node.deferred:
            into = found.setdefault(part.increment, [])
            if part.node is not None:
                take_apart(part.node, (), frozenset(), into)
    elif node is not None:
        take_apart(node, (), frozenset(), found[ANSWER])
    return found


def _depends(node: PlanNode | None, increment: int) -> frozenset[int]:
    if not isinstance(node, plan.Defer):
        return frozenset()
    return frozenset(
        it.fetch_id for part in node.deferred if part.increment == increment for it in part.depends
    )


class _Tree:
    """Grows the portions from an operation's selections."""

    def __init__(self, late: frozenset[int]) -> None:
        self.late = late
        self.root = Portion(PortionKind.ANSWER, ANSWER, ())
        self.portions = [self.root]
        self.by_increment: dict[int, Portion] = {}
        self._selected: dict[Keys, set[int]] = {}

    def grow(self, selections: Sequence[NormalSelection], keys: Keys, at: Portion) -> None:
        """Add the portions below `selections`, which belong to `at`."""
        for it in selections:
            if isinstance(it, NormalField):
                below = (*keys, it.response_key)
                self._select(below, at, is_object=bool(it.selections))
                inside = at if it.stream is None else self._stream(it.stream, below, at)
                self.grow(it.selections, below, inside)
            elif it.deferred and it.increment in self.late:
                portion = Portion(PortionKind.DEFER, it.increment, keys, at, it.defer_label)
                self.grow(it.selections, keys, self._add(portion, it.increment))
            else:
                self.grow(it.selections, keys, at)

    def _stream(self, it: Stream, keys: Keys, at: Portion) -> Portion:
        # fields of types that exclude each other can share a response key: then they are one list
        known = next(
            (one for one in at.children if one.kind is PortionKind.STREAM and one.keys == keys), None
        )
        if known is not None:
            self.by_increment[it.increment] = known
            return known
        portion = Portion(PortionKind.STREAM, it.increment, keys, at, it.label, it.initial_count)
        return self._add(portion, it.increment)

    def _add(self, portion: Portion, increment: int) -> Portion:
        self.portions.append(portion)
        self.by_increment[increment] = portion
        if portion.parent is not None:
            portion.parent.children.append(portion)
        return portion

    def _select(self, keys: Keys, at: Portion, *, is_object: bool) -> None:
        portions = self._selected.setdefault(keys, set())
        portions.add(at.owner.increment)
        if len(portions) > 1:
            for it in self.portions:
                if it.increment in portions:
                    it.overlaps = True
                    it.shares_objects = it.shares_objects or is_object


def _find_streams(places: _Places, tree: _Tree, streams: Sequence[Portion]) -> None:
    """Say for each place below which streamed lists it is made item by item."""
    around = {it.increment: [one.increment for one in it.around()] for it in tree.portions}
    for owner, found in places.items():
        if owner not in around:
            continue
        mine = [it for it in streams if it.owner.increment == owner or it.increment in around[owner]]
        for place in found:
            below = [_below(path, mine) for _, path in fetches_in(place.node, place.path)]
            place.streams = frozenset.intersection(*below) if below else frozenset()
    if streams:
        _widen([it for found in places.values() for it in found], around)


def _below(path: tuple[PathStep, ...], streams: Iterable[Portion]) -> frozenset[int]:
    return frozenset(it.increment for it in streams if _leads_into(path, it.keys))


def _leads_into(path: tuple[PathStep, ...], keys: Keys) -> bool:
    """Whether the path goes through items of the list under `keys`."""
    at = 0
    for index, step in enumerate(path):
        if isinstance(step, PathKey):
            if step.key != keys[at]:
                return False
            at += 1
            if at == len(keys):
                return index + 1 < len(path) and isinstance(path[index + 1], PathList)
    return False


def _widen(places: Sequence[Place], around: dict[int, list[int]]) -> None:
    """A fetch that another one needs for all items is made for all items, and so is what it needs."""
    changed = True
    while changed:
        changed = False
        for earlier in places:
            for later in places:
                lost = earlier.streams - later.streams
                if (
                    lost
                    and later is not earlier
                    and needs(later.node, later.path, earlier.node, earlier.path)
                ):
                    kept = earlier.streams & later.streams
                    # a list inside a list that is shown whole is shown whole as well
                    earlier.streams = frozenset(
                        it for it in kept if not lost.intersection(around.get(it, ()))
                    )
                    changed = True


def _fill(portion: Portion, places: Sequence[Place], compiler: _Compiler) -> None:
    if portion.kind is PortionKind.STREAM:
        places = _chosen(places, [portion.increment in it.streams for it in places])
    portion.brings = frozenset(_ids(places))
    portion.step = portion.again = compiler.step(places)
    above = {it.increment for it in portion.around() if it.kind is PortionKind.STREAM}
    item_by_item = [above <= it.streams for it in places]
    if not all(item_by_item):
        portion.again = compiler.step(_chosen(places, item_by_item))


def _chosen(places: Sequence[Place], chosen: Sequence[bool]) -> list[Place]:
    """Some of the places, what each waits for numbered anew."""
    numbers = [number for number, it in enumerate(chosen) if it]
    new = {number: index for index, number in enumerate(numbers)}
    return [
        replace(
            places[number],
            waits_for=frozenset(new[it] for it in _all_before(places, number) if it in new),
        )
        for number in numbers
    ]


def _all_before(places: Sequence[Place], number: int) -> frozenset[int]:
    before = places[number].waits_for
    return before.union(*(_all_before(places, it) for it in before))


def _ids(places: Iterable[Place]) -> Iterator[int]:
    for place in places:
        yield from (fetch.id for fetch, _ in fetches_in(place.node))


@dataclass(frozen=True, slots=True)
class _Compiler:
    facts: TypeFacts
    views: ListViews

    def step(self, places: Sequence[Place]) -> Step | None:
        return schedule_of([replace(it) for it in places], self.facts, self._around) if places else None

    def _around(self, step: Step, places: Sequence[Place]) -> Step:
        return PortionStep(step, frozenset(_ids(places)), places[0].streams, self.views)


class PortionStep:
    """A step on the items that are asked for now, told to those who wait for its fetches."""

    __slots__ = ("_fetch_ids", "_step", "_streams", "_views")

    def __init__(
        self, step: Step, fetch_ids: frozenset[int], streams: frozenset[int], views: ListViews
    ) -> None:
        self._step = step
        self._fetch_ids = fetch_ids
        self._streams = streams
        self._views = views

    async def run(self, run: Run) -> None:
        """Do the step.  INVARIANT: the steps of portions run in `PortionRun`s alone."""
        if not isinstance(run, PortionRun):
            raise PlanInvariantBroken("a portion's step needs a portion's run")
        seen: Run = run
        if self._streams:
            seen = run.within(self._views.view(run.root, run.ranges, self._streams))
        await self._step.run(seen)
        run.finish(self._fetch_ids)
