"""Several `_entities` fetches to one subgraph as one request, each under an alias of its own.

A request costs more than the entities in it, for both sides. What each part brings, and what is told of
its errors, is as if it had been sent alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from router.errors import SubgraphCallFailed
from router.execution.fetches import EntityFetch, client_variables
from router.execution.representations import Asked
from router.execution.run import Run
from router.execution.sharing import SharedAnswers
from router.execution.together import run_together
from router.execution.transport import SubgraphRequest

PARTS_MAX: Final = 16
"""Parts of one request; more would make documents that servers refuse."""
DOCUMENTS_MAX: Final = 32

_Filled: TypeAlias = tuple[int, EntityFetch, Asked]
"""A part that has something to ask for, with its number."""


class JoinedFetch:
    """Entity fetches of one subgraph that are made at the same stage."""

    __slots__ = ("_answers", "_documents", "_parts", "_prefix", "_refused")

    def __init__(self, parts: Sequence[EntityFetch]) -> None:
        self._parts = tuple(parts)
        self._prefix = _free_prefix(parts)
        shares = any(it.shares for it in parts)
        self._answers = SharedAnswers(parts[0].fetch.service) if shares else None
        self._documents: dict[tuple[int, ...], str] = {}
        self._refused = False
        """Whether the server has said that it does not take such documents."""

    async def run(self, run: Run) -> None:
        """Fetch what there is to ask for; a part that is alone in that is sent as itself."""
        filled = [
            (number, part, asked)
            for number, part in enumerate(self._parts)
            if (asked := part.asked(run)) is not None
        ]
        if len(filled) == 1 or self._refused:
            await run_together([part.ask(run, asked) for _, part, asked in filled])
        elif filled:
            await self._ask(run, filled)

    async def _ask(self, run: Run, filled: Sequence[_Filled]) -> None:
        answers = self._answers
        whole = answers is not None and answers.wanted()
        try:
            response = await run.call(self._request(run, filled, whole=whole))
            data, errors = response.data, response.errors
            if answers is not None and response.sent is not None:
                parts = [part.part.under(f"_e{number}") for number, part, _ in filled]
                data = answers.read(run, response.sent.json, parts)
        except SubgraphCallFailed as failure:
            for _, part, asked in filled:
                part.fail(run, failure, asked.groups)
            return
        by_part = _errors_by_part(errors, filled, each=data is None)
        if data is None and _worth_asking_again(errors):
            await self._ask_again(run, filled, by_part, errors)
            return
        for number, part, asked in filled:
            entities = data.get(f"_e{number}") if data is not None else None
            part.merge(run, entities, by_part[number], asked.groups)

    async def _ask_again(
        self,
        run: Run,
        filled: Sequence[_Filled],
        by_part: Mapping[int, list[dict[str, Any]]],
        errors: Sequence[Mapping[str, Any]],
    ) -> None:
        """Ask alone for the parts that no error names: one part's fault must not cost the others."""
        named = {_part_of(it) for it in errors}
        self._refused = named == {None}
        again = []
        for number, part, asked in filled:
            if number in named:
                part.merge(run, None, by_part[number], asked.groups)
            else:
                again.append(part.ask(run, asked))
        await run_together(again)

    def _request(self, run: Run, filled: Sequence[_Filled], *, whole: bool) -> SubgraphRequest:
        """The call for these parts.  Errors: `SubgraphCallFailed` where no time is left."""
        fetch = self._parts[0].fetch
        variables: dict[str, Any] = {}
        for number, part, asked in filled:
            variables |= client_variables(part.fetch.variable_usages, run)
            variables[f"{self._prefix}{number}"] = asked.representations
        numbers = tuple(number for number, _, _ in filled)
        document = self._documents.get(numbers)
        if document is None:
            if len(self._documents) >= DOCUMENTS_MAX:
                self._documents.clear()
            document = self._documents[numbers] = self._document(numbers)
        return SubgraphRequest(
            service=fetch.service,
            kind=fetch.kind,
            query=document,
            variables=variables,
            subject=run.subject,
            operation_name=fetch.operation_name,
            headers=run.options.forwarded,
            timeout_s=run.timeout_s(fetch.service),
            whole=whole,
        )

    def _document(self, numbers: Sequence[int]) -> str:
        """`query N($r0: [_Any!]!, …) {_e0: _entities(representations: $r0) {…} …}`."""
        fetches = {number: self._parts[number].fetch for number in numbers}
        declared = [f"${self._prefix}{number}: [_Any!]!" for number in numbers]
        # the parts come from one operation: a variable is declared alike in all of them
        declared += dict.fromkeys(it for fetch in fetches.values() for it in fetch.declarations)
        fields = [
            f"_e{number}: _entities(representations: ${self._prefix}{number}){fetch.entity_selection}"
            for number, fetch in fetches.items()
        ]
        name = self._parts[0].fetch.operation_name or ""
        return f"query {name}({', '.join(declared)}){{{' '.join(fields)}}}"


def _free_prefix(parts: Sequence[EntityFetch]) -> str:
    """A beginning of variable names that no variable of the client has."""
    used = {name for part in parts for name in part.fetch.variable_usages}
    prefix = "r"
    while any(name.startswith(prefix) for name in used):
        prefix = f"_{prefix}"
    return prefix


def _part_of(error: Mapping[str, Any]) -> int | None:
    """The number of the part that an error's path is in."""
    path = error.get("path")
    first = path[0] if isinstance(path, list) and path else None
    if isinstance(first, str) and first.startswith("_e") and first[2:].isdecimal():
        return int(first[2:])
    return None


def _worth_asking_again(errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the fault is one part's, or the document's as such; a server in trouble is left alone."""
    if any(_part_of(it) is not None for it in errors):
        return True
    return bool(errors) and all(_code(it) == "GRAPHQL_VALIDATION_FAILED" for it in errors)


def _code(error: Mapping[str, Any]) -> object:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, Mapping) else None


def _errors_by_part(
    errors: Sequence[dict[str, Any]], filled: Sequence[_Filled], *, each: bool
) -> dict[int, list[dict[str, Any]]]:
    """The errors of each part as if it had been sent alone; one without a part is told once, or for each."""
    found: dict[int, list[dict[str, Any]]] = {number: [] for number, _, _ in filled}
    for error in errors:
        number = _part_of(error)
        if number in found:
            found[number].append({**error, "path": ["_entities", *error["path"][1:]]})
            continue
        for part in found if each else (filled[0][0],):
            found[part].append(error)
    return found
