"""Strawberry's execution, with selection sets that are plain read by their projections.

Only values that are already there are read by projections. Resolvers, arguments, loaders and everything that
a projection declines go through the execution of graphql-core and Strawberry, whose answers, errors and
paths are the measure (`tests/subgraphs/kit/test_projection_differential.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

from graphql import (
    DocumentNode,
    GraphQLAbstractType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_nullable_type,
    is_composite_type,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import gather_with_cancel

from subgraphs.kit.declines import Declines
from subgraphs.kit.fence import Fence
from subgraphs.kit.guard import Among, FieldGuard
from subgraphs.kit.operations import Operation, conditions_of
from subgraphs.kit.owners import Asked
from subgraphs.kit.projection import Grouped, Notes, Projection, Projector, owned_below
from subgraphs.kit.settled import Settled
from subgraphs.kit.shaped import ShapedExecutor

LIST_COMPILED_MIN = 32
"""A list of so many objects is worth a projection even if its document never comes again."""
PROJECTIONS_MAX = 256
Composite: TypeAlias = GraphQLObjectType | GraphQLAbstractType


class Selections:
    """What the selection sets of one document compile to; lives as long as the document."""

    __slots__ = ("_projections", "conditions", "declines", "fence", "operations", "projector", "runs")

    def __init__(self, fence: Fence, document: DocumentNode, declines: Declines) -> None:
        self.fence = fence
        self.declines = declines
        self.projector = Projector(fence)
        self.conditions = conditions_of(document)
        self.operations: dict[str | None, Operation] = {}
        self.runs = 0
        self._projections: dict[tuple[object, ...], Projection | None] = {}

    def projection(
        self, key: tuple[object, ...], graphql_type: GraphQLObjectType, grouped: Grouped, subfields: Any
    ) -> Projection | None:
        """The projection remembered under `key`, made at the first use."""
        if key not in self._projections:
            if len(self._projections) >= PROJECTIONS_MAX:
                self._projections.clear()
            self._projections[key] = self.projector.projection(graphql_type, grouped, subfields)
        return self._projections[key]


@dataclass(frozen=True, slots=True)
class _Here:
    """A projection in one request, and the fields that it leaves to the ordinary execution."""

    projection: Projection
    rest: dict[str, Any]


class _Place(NamedTuple):
    """Where in the operation a value is completed, in graphql-core's terms."""

    details: Any
    info: Any
    path: Any
    context: Any


class SelectionExecutor(ShapedExecutor):
    """The executor of one request. Without `selections` it is Strawberry's own."""

    def __init__(self, *args: Any, selections: Selections | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if any(each.variable_signatures for each in self.fragments.values()):
            selections = None
        self._selections = selections
        self._readers: dict[tuple[str, int], tuple[Any, dict[type, _Here | None]]] = {}
        if selections is not None:
            self._begun(selections)

    @property
    def repeats(self) -> bool:
        """Whether what it finds of its document holds for the next execution as well."""
        return self._selections is not None

    def again(
        self, operation: Operation, root_value: Any, context: Any, variables: VariableValues
    ) -> SelectionExecutor:
        """See `ShapedExecutor.again`."""
        executor = super().again(operation, root_value, context, variables)
        if executor._selections is not None:
            executor._begun(executor._selections)
        return executor

    def _begun(self, selections: Selections) -> None:
        selections.runs += 1
        given = self.variable_values.coerced
        self._conditions = tuple(given.get(name) for name in selections.conditions)
        if self._shape is not None:
            self._readers = self._shape.readers

    def complete_iterable_value(  # noqa: PLR0917 - graphql-core's signature
        self,
        item_type: GraphQLOutputType,
        field_details_list: Any,
        info: Any,
        path: Any,
        items: Iterable[Any],
        position_context: Any,
    ) -> Any:
        """A list: objects with a projection are read by it, the others one by one as ever."""
        named = item_type.of_type if isinstance(item_type, GraphQLNonNull) else item_type
        if (
            not is_composite_type(named)
            or not isinstance(items, list | tuple)
            or not self._worth(len(items))
            or (self._shape is None and self.get_stream_usage(field_details_list, path) is not None)
        ):
            return super().complete_iterable_value(
                item_type, field_details_list, info, path, items, position_context
            )
        readers = self._readers_of(named, field_details_list, items)
        place = _Place(field_details_list, info, path, position_context)

        def complete() -> Any:
            return self._list(item_type, items, place, readers)

        asked = self._asked(items, readers)
        return self._decided(items, readers, asked, complete) if asked else complete()

    def collect_and_execute_subfields(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Any,
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        """One object: what is plain by its projection, the rest as ever."""
        if self._worth(1):
            readers = self._readers_of(return_type, field_details_list, (result,))
            here = readers[result.__class__]
            if here is not None:
                place = _Place(field_details_list, None, path, position_context)

                def complete() -> Any:
                    return self._object(here, return_type, result, place)

                asked = self._asked((result,), readers)
                return self._decided((result,), readers, asked, complete) if asked else complete()
        return super().collect_and_execute_subfields(
            return_type, field_details_list, path, result, position_context
        )

    def _object(self, here: _Here, return_type: GraphQLObjectType, source: Any, place: _Place) -> Any:
        guard: FieldGuard = self.context_value.guard
        shown, begun = guard.trail.shown, len(guard.trail.shown)
        answer = self._read(here, source, guard)
        if answer is None:
            return super().collect_and_execute_subfields(
                return_type, place.details, place.path, source, place.context
            )
        if not here.rest:
            return answer
        try:
            rest = self.execute_fields(return_type, source, place.path, here.rest, place.context)
        except Exception:
            del shown[begun:]
            raise
        if not self.is_awaitable(rest):
            answer.update(cast(dict[str, Any], rest))
            return answer

        async def joined() -> dict[str, Any]:
            answer.update(await rest)
            return answer

        return joined()

    def _whole(self, items: Sequence[Any], readers: Mapping[type, _Here | None]) -> list[Any] | None:
        """All items in one go, where all are of one class, read whole and proven open; None where not."""
        if isinstance(items, Settled):
            here = readers[items.cls]
        else:
            here = next(iter(readers.values())) if len(readers) == 1 else None
        if here is None or here.rest:
            return None
        projection, guard = here.projection, self.context_value.guard
        records = _records(projection, items)
        if records is None:
            return None
        notes: Notes = []
        try:
            answers = _read_all(projection, items, guard, notes)
        except Exception:
            # One of them is to be read the ordinary way; each for itself tells which, and is counted.
            return None
        guard.trail.shown += records
        guard.trail.shown += notes
        return answers

    def _list(
        self,
        item_type: GraphQLOutputType,
        items: Sequence[Any],
        place: _Place,
        readers: Mapping[type, _Here | None],
    ) -> Any:
        whole = self._whole(items, readers)
        if whole is not None:
            return whole
        if isinstance(items, Settled) and items.supposed is not None:
            return self._unsupposed(item_type, items, place)
        guard: FieldGuard = self.context_value.guard
        begun = len(guard.trail.shown)
        completed: list[Any] = []
        pending: list[int] = []
        try:
            for index, item in enumerate(items):
                here = readers[item.__class__]
                answer = (
                    self._read(here, item, guard, last=False) if here is not None and not here.rest else None
                )
                if answer is not None:
                    completed.append(answer)
                elif self._item(item_type, item, completed, place, index):
                    pending.append(index)
        except Exception:
            del guard.trail.shown[begun:]
            waiting = [completed[index] for index in pending]
            waiting.extend(each for each in items[len(completed) :] if self.is_awaitable(each))
            if waiting:
                self.settle_in_background(waiting)
            raise
        return _gathered(completed, pending) if pending else completed

    def _unsupposed(self, item_type: GraphQLOutputType, items: Settled, place: _Place) -> Any:
        """The list, once all its objects are looked at: they are not as supposed, or one was odd."""
        selections, guard = self._selections, self.context_value.guard
        assert selections is not None  # noqa: S101 - `_worth` has looked
        settled, asked = selections.fence.settle(list(items), guard, items.needs)

        def complete(settled: Any) -> Any:
            named = cast(Composite, get_nullable_type(item_type))
            readers = self._readers_of(named, place.details, settled)
            return self._list(item_type, settled, place, readers)

        if not asked:
            return complete(settled)

        async def later() -> Any:
            await guard.prepare(asked)
            completed = complete(selections.fence.settle(settled, guard, items.needs)[0])
            return await completed if self.is_awaitable(completed) else completed

        return later()

    def _read(
        self, here: _Here, source: Any, guard: FieldGuard, *, last: bool = True
    ) -> dict[str, Any] | None:
        """What the projection reads; None where it declines, whatever the reason: the ordinary way tells
        it. The `last` one to try an object counts."""
        projection = here.projection
        notes: Notes = []
        try:
            read = projection.read.function or projection.read.compiled()
            answer: dict[str, Any] = read(source, guard.open, guard.seen, notes)
        except Exception as fault:
            if last and self._selections is not None:
                self._selections.declines.count(projection.type_name, projection.fields, fault)
            return None
        guard.trail.shown += notes
        return answer

    def _item(
        self, item_type: GraphQLOutputType, item: Any, completed: list[Any], place: _Place, index: int
    ) -> bool:
        """One item the ordinary way; whether it must be awaited."""
        path = place.path.add_key(index, None)
        if self.is_awaitable(item):
            completed.append(
                self.complete_awaitable_list_item_value(
                    item, item_type, place.details, place.info, path, place.context
                )
            )
            return True
        return self.complete_list_item_value(
            item, completed, item_type, place.details, place.info, path, place.context
        )

    def _worth(self, count: int) -> bool:
        """Whether a projection pays: from a document's second run on, or for a long list."""
        selections = self._selections
        return selections is not None and (selections.runs > 1 or count >= LIST_COMPILED_MIN)

    def _readers_of(
        self, named: Composite, details: Any, items: Sequence[Any]
    ) -> Mapping[type, _Here | None]:
        """Class → projection, for every class in `items`."""
        key = (named.name, id(details))
        # The details are kept with what is known of them, so that no other list takes their identity.
        _, readers = self._readers.setdefault(key, (details, {}))
        classes = (items.cls,) if isinstance(items, Settled) else {item.__class__ for item in items}
        for cls in classes:
            if cls not in readers:
                readers[cls] = self._here(named, cls, details)
        return readers

    def _here(self, named: Composite, cls: type, details: Any) -> _Here | None:
        selections = self._selections
        assert selections is not None  # noqa: S101 - `_worth` has looked
        graphql_type = selections.projector.object_type(named, cls)
        grouped = None if graphql_type is None else self._grouped(graphql_type, details)
        if grouped is None:
            return None
        nodes = tuple(id(detail.node) for detail in details)
        key = (self._conditions, graphql_type.name, nodes)
        projection = selections.projection(key, graphql_type, grouped, self._grouped)
        if projection is None:
            return None
        return _Here(projection, {name: cast(Any, grouped[name]) for name in projection.rest})

    def _grouped(self, graphql_type: GraphQLObjectType, details: Any) -> Grouped | None:
        collected = self.collect_subfields(graphql_type, details)
        return None if collected.new_defer_usages else collected.grouped_field_set

    def _asked(self, items: Sequence[Any], readers: Mapping[type, _Here | None]) -> set[Asked]:
        """What of the objects below `items` is not decided yet."""
        asked: set[Asked] = set()
        selections = self._selections
        assert selections is not None  # noqa: S101 - `_worth` has looked
        guard: FieldGuard = self.context_value.guard
        for cls, here in readers.items():
            if here is not None and here.projection.inner:
                own = [item for item in items if item.__class__ is cls]
                for objects, needs in owned_below(own, here.projection):
                    asked |= selections.fence.settle(objects, guard, needs)[1]
        return asked

    async def _decided(
        self, items: Sequence[Any], readers: Mapping[type, _Here | None], asked: set[Asked], complete: Any
    ) -> Any:
        """`complete()`, after one batch of decisions for all that lies below `items`."""
        await self.context_value.guard.prepare(asked)
        self._asked(items, readers)
        completed = complete()
        return await completed if self.is_awaitable(completed) else completed


def _read_all(
    projection: Projection, items: Sequence[Any], guard: FieldGuard, notes: Notes
) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]]
    supposed = items.supposed if isinstance(items, Settled) else None
    if supposed is None:
        read = projection.read_all.function or projection.read_all.compiled()
        answers = read(items, guard.open, guard.seen, notes)
    elif isinstance(supposed, Among):
        read = projection.read_among.function or projection.read_among.compiled()
        among = (cast(Settled, items).cls, supposed.kind, supposed.owner_ids)
        answers = read(items, guard.open, guard.seen, notes, *among)
    else:
        read = projection.read_same.function or projection.read_same.compiled()
        answers = read(items, guard.open, guard.seen, notes, cast(Settled, items).cls, supposed)
    return answers


def _records(projection: Projection, items: Sequence[Any]) -> Notes | None:
    """The records that reading all `items` belongs to; None where they are not proven open."""
    if not projection.needs:
        return []
    if not isinstance(items, Settled) or not projection.needs <= items.proven:
        return None
    audited = projection.audited
    return [(record, audited[need]) for need in audited for record in items.records.get(need, ())]


async def _gathered(completed: list[Any], pending: Sequence[int]) -> list[Any]:
    if len(pending) == 1:
        completed[pending[0]] = await completed[pending[0]]
        return completed
    values = await gather_with_cancel(*(completed[index] for index in pending))
    for index, value in zip(pending, values, strict=True):
        completed[index] = value
    return completed
