"""The data of one delivered part, and the errors and refusals that belong to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from router.execution.explain import Explanation
from router.execution.paths import ResponsePath
from router.execution.payloads import PartAnswer, Pending, PendingFragment, PendingItems
from router.execution.projection import ItemProjection, Projection
from router.execution.views import ListViews, Ranges


class PartAnswers:
    """Makes the parts of one execution; `explains` where fields were denied."""

    def __init__(self, projection: Projection, views: ListViews, *, explains: bool) -> None:
        self._known = projection.parts
        self._views = views
        self._explains = explains

    def fragment(self, pending: PendingFragment, ranges: Ranges, streams: Collection[int]) -> PartAnswer:
        """What the fragment adds to its object; null where null reached the fragment."""
        projection = self._known.get(pending.selection)
        if projection is None:
            projection = self._known[pending.selection] = Projection(pending.selection)
        it = self._views.under(pending.selection.keys).view_of(pending.it, ranges, streams)
        data = projection.project(it)
        if not projection.irregular and not self._explains:
            return PartAnswer(data)
        explanation = Explanation()
        explanation.of_object(it, pending.selection, pending.path)
        return PartAnswer(data, [], tuple(explanation.denials), _refusals(explanation))

    def items(
        self, pending: PendingItems, begin: int, end: int, ranges: Ranges, streams: Collection[int]
    ) -> PartAnswer:
        """The list's items from `begin` to before `end`."""
        projection = self._known.get(id(pending.field))
        if projection is None:
            projection = self._known[id(pending.field)] = ItemProjection(pending.field)
        projection.irregular.clear()
        below = pending.field.selection
        views = self._views.under(below.keys) if below is not None else None
        explanation = Explanation()
        items: list[Any] = []
        broken_at: int | None = None
        for index, value in enumerate(pending.values[begin:end], begin):
            shown = value if views is None else views.view_of(value, ranges, streams)
            item = projection.project(shown)
            if self._explains or projection.irregular or item is None:
                explanation.of_item(shown, pending.field, (*pending.path, index))
                projection.irregular.clear()
            if item is None and projection.is_non_null:
                broken_at = index
                break
            items.append(item)
        return PartAnswer(None, items, tuple(explanation.denials), _refusals(explanation), broken_at)


def _refusals(explanation: Explanation) -> dict[str, Any]:
    return {"valueCompletion": explanation.refusals} if explanation.refusals else {}


def errors_by_place(
    errors: Sequence[dict[str, Any]], places: Sequence[Pending]
) -> dict[str, list[dict[str, Any]]]:
    """Each error at the place in which it happened, by id; the first one takes those without a place."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in errors:
        if not places:
            break
        path = tuple(entry.get("path", ()))
        it = max(
            (one for one in places if path[: len(one.path)] == one.path),
            key=lambda one: len(one.path),
            default=places[0],
        )
        found.setdefault(it.id, []).append(entry)
    return found


def index_in(entry: Mapping[str, Any], list_path: ResponsePath) -> int:
    """The index of the list's item that an error is about; -1 for one about something else."""
    path = tuple(entry.get("path", ()))
    index = path[len(list_path)] if len(path) > len(list_path) and path[: len(list_path)] == list_path else -1
    return index if isinstance(index, int) else -1
