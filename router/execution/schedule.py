"""A plan's fetches as a graph: each begins when what it waits for is merged; those that can are joined.

The plan says the order by nesting. Taken apart, entity fetches to one subgraph that can be made at the
same stage become one request; those that ask the same of it become one part of that request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from router.driven import Begun, all_cancelled, begun
from router.execution.data_flow import fetches_in
from router.execution.fetches import EntityFetch, When
from router.execution.joined import PARTS_MAX, JoinedFetch
from router.execution.paths import TreePath
from router.execution.run import Run
from router.execution.sharing import Sharing, sharing_of
from router.execution.steps import Step, compile_fetch, compile_node
from router.execution.type_facts import TypeFacts
from router.planner import plan
from router.planner.plan import Fetch, PathStep, PlanNode

Path: TypeAlias = tuple[PathStep, ...]


@dataclass(slots=True)
class Place:
    """One fetch of the plan (or a part of the plan that stays as it is), and the places it waits for.

    `stage` is the number of fetches that come before it, one after the other. `streams` are the streamed
    lists below which it is made item by item; only places with the same ones share a request.
    """

    node: PlanNode
    path: Path
    waits_for: frozenset[int]
    stage: int
    streams: frozenset[int] = frozenset()
    joinable: Fetch | None = field(init=False)
    """The fetch, where it can be a part of a joined one; also under conditions."""

    def __post_init__(self) -> None:
        fetch, _, _ = _unwrapped(self.node)
        joins = isinstance(fetch, Fetch) and fetch.requires and fetch.entity_selection
        self.joinable = fetch if isinstance(fetch, Fetch) and joins and not fetch.context_rewrites else None


Around: TypeAlias = Callable[[Step, Sequence[Place]], Step]


def compile_schedule(node: PlanNode, facts: TypeFacts) -> Step:
    """The step that runs a whole plan.  Errors: `PlanInvariantBroken`, as `compile_node`."""
    places: list[Place] = []
    take_apart(node, (), frozenset(), places)
    return schedule_of(places, facts, sharing=_sharing(places))


def schedule_of(
    places: list[Place], facts: TypeFacts, around: Around | None = None, sharing: Sharing | None = None
) -> Step:
    """The step that runs these places; `around` may put something around the step of each request."""
    _delay_repeats(places)
    groups = _groups(places)
    steps: list[Step] = []
    for group in groups:
        together = [places[it] for it in group]
        step = _step(together, facts, sharing)
        steps.append(step if around is None else around(step, together))
    if len(steps) == 1:
        return steps[0]
    group_of = {place: number for number, group in enumerate(groups) for place in group}
    waits_for = [
        frozenset(group_of[before] for place in group for before in places[place].waits_for)
        for group in groups
    ]
    return Schedule(steps, waits_for)


class Schedule:
    """Steps with what each waits for.

    INVARIANT: they wait for earlier stages only, so never in a circle.
    """

    __slots__ = ("_first", "_followers", "_steps", "_waits")

    def __init__(self, steps: Sequence[Step], waits_for: Sequence[frozenset[int]]) -> None:
        self._steps = tuple(steps)
        self._waits = tuple(len(it) for it in waits_for)
        self._first = tuple(number for number, it in enumerate(waits_for) if not it)
        self._followers = tuple(
            tuple(other for other, it in enumerate(waits_for) if number in it) for number in range(len(steps))
        )

    async def run(self, run: Run) -> None:
        """Run every step as soon as it can begin. If one raises or the caller is cancelled, all end.

        A step that is the only one to follow another runs in the same coroutine.
        """
        left = list(self._waits)
        beside: list[Begun] = []
        try:
            for other in self._first[1:]:
                beside.append(begun(self._follow(other, run, left, beside)))
            await self._follow(self._first[0], run, left, beside)
            for one in beside:  # grows while it is walked
                await one
        except BaseException:
            await all_cancelled(beside)
            raise

    # A method, because a function in `run` that names itself would keep the whole tree in a circle.
    async def _follow(self, number: int, run: Run, left: list[int], beside: list[Begun]) -> None:
        """Run the step, then one of those that can begin after it; the others run beside it."""
        while True:
            await self._steps[number].run(run)
            ready = []
            for follower in self._followers[number]:
                left[follower] -= 1
                if not left[follower]:
                    ready.append(follower)
            if not ready:
                return
            for other in ready[1:]:
                beside.append(begun(self._follow(other, run, left, beside)))
            number = ready[0]


def take_apart(node: PlanNode, path: Path, after: frozenset[int], into: list[Place]) -> frozenset[int]:
    """Add the node's fetches to `into`; what comes behind the node waits for the result."""
    match node:
        case plan.Sequence(nodes):
            for it in nodes:
                after = take_apart(it, path, after, into)
            return after
        case plan.Parallel(nodes):
            return frozenset().union(*(take_apart(it, path, after, into) for it in nodes))
        case plan.Flatten(further, inner):
            return take_apart(inner, (*path, *further), after, into)
        case _:
            stage = 1 + max((into[it].stage for it in after), default=-1)
            into.append(Place(node, path, after, stage))
            return frozenset((len(into) - 1,))


def _delay_repeats(places: list[Place]) -> None:
    """A fetch that nothing waits for goes with a later one that asks the same; often of equal entities."""
    waited_for = frozenset(it for place in places for it in place.waits_for)
    questions = [None if (fetch := it.joinable) is None else _Question(fetch) for it in places]
    latest: dict[_Question, int] = {}
    for question, place in zip(questions, places, strict=True):
        if question is not None:
            latest[question] = max(place.stage, latest.get(question, 0))
    for number, (question, place) in enumerate(zip(questions, places, strict=True)):
        if question is not None and number not in waited_for:
            place.stage = latest[question]


class _Question:
    """Equal for fetches that ask the same of the same subgraph, under the same conditions."""

    __slots__ = ("_asked", "_hash")

    def __init__(self, fetch: Fetch, when: When = ()) -> None:
        self._asked = (
            fetch.service,
            fetch.entity_selection,
            fetch.declarations,
            when,
            fetch.requires,
            fetch.input_rewrites,
            fetch.output_rewrites,
        )
        self._hash = hash(self._asked[:4])  # the others nest: they are compared where these are equal

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self._asked == other._asked


def _groups(places: Sequence[Place]) -> list[list[int]]:
    """Places by request: joined ones together, every other alone."""
    joined: dict[tuple[str, int, frozenset[int]], list[int]] = {}
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        fetch = place.joinable
        if fetch is None:
            groups.append([number])
            continue
        slot = (fetch.service, place.stage, place.streams)
        group = joined.setdefault(slot, [])
        if not group or len(group) >= PARTS_MAX:
            group = joined[slot] = []
            groups.append(group)
        group.append(number)
    return groups


def _sharing(places: Sequence[Place]) -> Sharing | None:
    """How answers may be shared, where all fetches are known; what is deferred is cut out of them later."""
    if any(isinstance(it.node, plan.Defer | plan.Subscription) for it in places):
        return None
    return sharing_of([one for it in places for one in fetches_in(it.node, it.path)])


def _step(places: Sequence[Place], facts: TypeFacts, sharing: Sharing | None) -> Step:
    if len(places) == 1:
        only = places[0]
        if isinstance(only.node, Fetch):
            return compile_fetch(only.node, facts, only.path, sharing)
        return compile_node(only.node, facts, only.path)
    parts = [
        EntityFetch(fetch, [TreePath(path, facts) for path in paths], facts, when, sharing)
        for fetch, paths, when in _by_question(places)
    ]
    return parts[0] if len(parts) == 1 else JoinedFetch(parts)


def _by_question(places: Iterable[Place]) -> list[tuple[Fetch, list[Path], When]]:
    """Each question once, with the paths on which it is asked and the conditions under which it is."""
    found: dict[_Question, tuple[Fetch, list[Path], When]] = {}
    for place in places:
        fetch, further, when = _unwrapped(place.node)
        if isinstance(fetch, Fetch):
            one = found.setdefault(_Question(fetch, when), (fetch, [], when))
            one[1].append((*place.path, *further))
    return list(found.values())


def _unwrapped(node: PlanNode) -> tuple[PlanNode, Path, When]:
    """What is within conditions of which one branch has something: it, its path there, the conditions."""
    path: Path = ()
    when: When = ()
    while True:
        if isinstance(node, plan.Flatten) and when:
            path, node = (*path, *node.path), node.node
        elif isinstance(node, plan.ConditionNode) and (node.if_clause is None) != (node.else_clause is None):
            when = (*when, (node.variable, node.if_clause is not None))
            node = node.if_clause or node.else_clause or node
        else:
            return node, path, when
