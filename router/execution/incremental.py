"""Incremental delivery: a first answer without the `@defer` fragments, then what they select.

Source: the GraphQL incremental delivery proposal, in the multipart form of 2022 and in its current form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from authz.identity.subject import Subject
from router.execution.compiled import CompiledPlan
from router.execution.execute import answer_by, execute
from router.execution.explain import Explanation, visible_path
from router.execution.paths import ResponsePath
from router.execution.projection import Projection
from router.execution.response import GraphQLResponse
from router.execution.run import DEFAULT_OPTIONS, ExecutionOptions, Run
from router.execution.shape import AnswerSelection
from router.execution.transport import SubgraphTransport


class IncrementalFormat(StrEnum):
    """The two shapes of payloads; values are what clients name them by."""

    MULTIPART_2022 = "20220824"
    """`{data, hasNext}`, then `{incremental: [{path, label, data, errors}], hasNext}`."""
    PENDING = "pending"
    """`{data, pending, hasNext}`, then `{incremental: [{id, data}], completed: [{id}], hasNext}`."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """One deferred fragment of one object of the first answer; `it` is the object in the response tree."""

    id: str
    path: ResponsePath
    label: str | None
    selection: AnswerSelection
    it: dict[str, Any]


async def execute_incrementally(
    compiled: CompiledPlan,
    variables: Mapping[str, Any],
    subject: Subject,
    transport: SubgraphTransport,
    *,
    format_: IncrementalFormat,
    options: ExecutionOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[GraphQLResponse]:
    """The answer in parts. One plain response where nothing is deferred, or nothing has to be waited for.

    Errors of the first fetches are in the first part; later ones beside the data that they belong to.
    """
    split = compiled.split()
    if split is None or split.later is None:
        yield await execute(compiled, variables, subject, transport, options=options)
        return
    run = Run(variables=variables, subject=subject, transport=transport, options=options)
    if split.first is not None:
        await split.first.run(run)
    projection = compiled.projection(variables, deferred=False)
    first = answer_by(compiled, run, projection)
    pending = [
        _Pending(str(number), *found)
        for number, found in enumerate(_places(projection.shape, run.root, first.data, ()))
    ]
    if not pending:
        yield first
        return
    yield _first_part(first, pending, format_)
    told = len(run.errors)
    await split.later.run(run)
    yield _last_part(run, run.errors[told:], pending, format_)


def _places(
    selection: AnswerSelection, it: Any, answered: Any, path: ResponsePath
) -> Iterator[tuple[ResponsePath, str | None, AnswerSelection, dict[str, Any]]]:
    """Every object that is in the first answer and has something to follow, in response order."""
    if isinstance(answered, list) and isinstance(it, list):
        for index, (item, answered_item) in enumerate(zip(it, answered, strict=False)):
            yield from _places(selection, item, answered_item, (*path, index))
    if not isinstance(answered, dict) or not isinstance(it, dict):
        return
    runtime_type = selection.runtime_type(it.get("__typename"))
    if runtime_type is None:
        return
    for label, fragment in selection.later(runtime_type):
        yield path, label, fragment, it
    for field in selection.fields(runtime_type):
        if field.selection is not None:
            yield from _places(
                field.selection, it.get(field.key), answered.get(field.key), (*path, field.key)
            )


def _first_part(
    first: GraphQLResponse, pending: Sequence[_Pending], format_: IncrementalFormat
) -> GraphQLResponse:
    members: dict[str, Any] = {"hasNext": True}
    if format_ is IncrementalFormat.PENDING:
        members = {"pending": [_named(it, {"id": it.id}) for it in pending], **members}
    return GraphQLResponse(first.data, first.errors, first.extensions, incremental=members)


def _named(it: _Pending, members: dict[str, Any]) -> dict[str, Any]:
    members["path"] = list(it.path)
    if it.label is not None:
        members["label"] = it.label
    return members


def _last_part(
    run: Run, errors: Sequence[dict[str, Any]], pending: Sequence[_Pending], format_: IncrementalFormat
) -> GraphQLResponse:
    by_place = _placed(errors, pending)
    incremental: list[dict[str, Any]] = []
    completed: list[dict[str, Any]] = []
    for it in pending:
        data = Projection(it.selection).project(it.it)
        explanation = Explanation()
        explanation.of_object(it.it, it.selection, it.path)
        own = [*by_place.get(it.id, ()), *explanation.denials]
        if format_ is IncrementalFormat.MULTIPART_2022:
            part = _named(it, {"data": data})
            incremental.append({**part, "errors": own} if own else part)
        elif data is None:
            # null reached the fragment itself: there is no data to add, only why
            completed.append({"id": it.id, "errors": own or [{"message": "the deferred part is null"}]})
        else:
            incremental.append({"id": it.id, "data": data, **({"errors": own} if own else {})})
            completed.append({"id": it.id})
    members: dict[str, Any] = {}
    if incremental:
        members["incremental"] = incremental
    if completed:
        members["completed"] = completed
    members["hasNext"] = False
    return GraphQLResponse(None, incremental=members, initial=False)


def _placed(errors: Sequence[dict[str, Any]], pending: Sequence[_Pending]) -> dict[str, list[dict[str, Any]]]:
    """Each error at the fragment in whose place it happened; the first one takes those without a place."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in errors:
        path = entry.get("path", [])
        it = max(
            (one for one in pending if _starts(path, one.path)),
            key=lambda one: len(one.path),
            default=pending[0],
        )
        if _starts(path, it.path):
            length = len(it.path)
            entry = {**entry, "path": [*path[:length], *visible_path(it.selection, path[length:])]}
        found.setdefault(it.id, []).append(entry)
    return found


def _starts(path: Sequence[Any], prefix: ResponsePath) -> bool:
    return tuple(path[: len(prefix)]) == prefix
