"""Compiled fetches: ask one subgraph, merge what it says into the response tree, place its errors.

Source: `federation.md` (g) 2-4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

from router.errors import SubgraphCallFailed
from router.execution.merge import merge_object
from router.execution.null_reasons import Why, note
from router.execution.paths import ResponsePath, TreePath
from router.execution.representations import Asked, identity_of, representations_of
from router.execution.rewrites import CONDITION, compile_rewrites, renamed_keys
from router.execution.run import Run
from router.execution.sharing import ROOT, FetchPart, SharedAnswers, Sharing, nests
from router.execution.subgraph_errors import report_errors, report_failure
from router.execution.together import run_together
from router.execution.transport import SentData, SubgraphRequest, SubgraphResponse
from router.execution.type_facts import TypeFacts
from router.planner.plan import Fetch, RewritePath

_REPRESENTATIONS: Final = re.compile(r"_entities\s*\(\s*representations:\s*\$([_A-Za-z][_0-9A-Za-z]*)")
_USUAL: Final = "_entities(representations: $representations)"
_MALFORMED: Final = "SUBREQUEST_MALFORMED_RESPONSE"

_NOTHING: Final[Mapping[str, Any]] = {}

Groups = list[list[dict[str, Any]]]
"""For each representation, the objects of the tree that it stands for."""


class RootFetch:
    """A fetch of root fields; `under` is where its root object hangs (nowhere, or a field of a root type)."""

    __slots__ = (
        "_answers",
        "_objects",
        "_part",
        "_renamed",
        "_rewrite",
        "_under",
        "_variables",
        "fetch",
    )

    def __init__(
        self, fetch: Fetch, under: TreePath, facts: TypeFacts, sharing: Sharing | None = None
    ) -> None:
        self.fetch = fetch
        self._answers = SharedAnswers(fetch.service) if sharing is not None and nests(fetch) else None
        self._part = FetchPart(fetch, under.keys, sharing)
        self._under = under
        self._rewrite = compile_rewrites(fetch.output_rewrites, facts)
        self._renamed = renamed_keys(fetch.output_rewrites)
        self._objects = facts.objects
        self._variables = fetch.variable_usages

    async def run(self, run: Run) -> None:
        """Fetch and merge; a failure becomes an error in `run`."""
        targets = self._under.collect(run.root)
        if not targets:
            return
        response = await self._response(run, whole=False)
        if response is None:
            _lose(run, self.fetch, targets)
            return
        self.merge(run, response, targets)

    async def run_whole(self, run: Run) -> SentData | None:
        """As `run`; the answer's data as it came, with nothing merged, where the transport gave it so."""
        response = await self._response(run, whole=True)
        if response is not None and response.sent is not None:
            return response.sent
        if response is not None:
            self.merge(run, response, [run.root])
        else:
            _lose(run, self.fetch, [run.root])
        return None

    async def _response(self, run: Run, *, whole: bool) -> SubgraphResponse | None:
        """The answer, read unless it is to be taken `whole`; None where it could not be had."""
        answers = None if whole else self._answers
        whole = whole or (answers is not None and answers.wanted())
        try:
            response = await run.call(self.request(run, whole=whole))
            if answers is not None and response.sent is not None:
                return SubgraphResponse(answers.read(run, response.sent.json, (self._part.under(ROOT),)))
            return response
        except SubgraphCallFailed as failure:
            report_failure(run, failure, self._under.label)
            return None

    @property
    def is_at_root(self) -> bool:
        """Whether what it brings is the root's own."""
        return not self._under.keys

    def shares_answers(self) -> bool:
        """Whether the next answer is to be read by its equal parts."""
        return self._answers is not None and self._answers.wanted()

    def request(self, run: Run, *, whole: bool = False) -> SubgraphRequest:
        """The call, with the client's variables that the fetch uses.  Errors: `SubgraphCallFailed`."""
        return _request(self.fetch, run, client_variables(self._variables, run), whole=whole)

    def merge(self, run: Run, response: SubgraphResponse, targets: Sequence[dict[str, Any]]) -> None:
        """Put one answer into `targets`."""
        service = self.fetch.service
        if response.errors:
            report_errors(run, response.errors, service=service, at=self._under.label, renamed=self._renamed)
        if response.data is None:
            if not response.errors:
                report_failure(run, _no_data(service), self._under.label)
            _lose(run, self.fetch, targets)
            return
        if self._rewrite is not None:
            self._rewrite(response.data)
        for target in targets:
            merge_object(target, response.data, self._objects)


When: TypeAlias = tuple[tuple[str, bool], ...]
"""Variables with the values that they must have for a fetch to be made."""


class EntityFetch:
    """A fetch of entities: one representation for each different object under its paths.

    It is made where the client's variables are as `when` says.
    """

    __slots__ = (
        "_answers",
        "_objects",
        "_paths",
        "_renamed",
        "_representations",
        "_representations_name",
        "_rewrite",
        "_variables",
        "_when",
        "fetch",
        "part",
    )

    def __init__(
        self,
        fetch: Fetch,
        paths: Sequence[TreePath],
        facts: TypeFacts,
        when: When = (),
        sharing: Sharing | None = None,
    ) -> None:
        self.fetch = fetch
        self._when = when
        self._paths = tuple(paths)
        # what comes to several paths may go different ways there
        shares = sharing is not None and len(paths) == 1 and nests(fetch)
        self.part = FetchPart(fetch, paths[0].keys, sharing if shares else None)
        self._answers = SharedAnswers(fetch.service) if shares else None
        self._representations = representations_of(fetch, facts)
        self._rewrite = compile_rewrites(fetch.output_rewrites, facts)
        self._renamed = renamed_keys(fetch.output_rewrites)
        self._objects = facts.objects
        self._variables = fetch.variable_usages
        # a client may have a variable of that name: the planner then chose another for the representations
        self._representations_name = "representations"
        if _USUAL not in fetch.operation:
            named = _REPRESENTATIONS.search(fetch.operation)
            self._representations_name = named.group(1) if named is not None else "representations"

    async def run(self, run: Run) -> None:
        """Fetch and merge; without anything to ask for there is no call."""
        asked = self.asked(run)
        if asked is not None:
            await self.ask(run, asked)

    def asked(self, run: Run) -> Asked | None:
        """What there is to ask for now; None where that is nothing."""
        for variable, value in self._when:
            if bool(run.variables.get(variable)) is not value:
                return None
        found = self._paths[0].collect(run.root, distinct=run.shares)
        for path in self._paths[1:]:
            found += path.collect(run.root, distinct=run.shares)
        return self._asked_of(run, found) if found else None

    def _asked_of(self, run: Run, found: Sequence[dict[str, Any]]) -> Asked | None:
        asked = self._representations.of_all(found, run.failed)
        if run.reasons is not None:
            sent = {id(it) for group in asked.groups for it in group}
            skipped = [it for it in found if id(it) not in sent and self._representations.are_for(it)]
            note(run.reasons, skipped, Why.SKIPPED, self.fetch)
        return asked if asked.representations else None

    async def ask(self, run: Run, asked: Asked, extra: Mapping[str, Any] = _NOTHING) -> None:
        """Send the fetch by itself and merge what comes; `extra` are variables besides the client's."""
        variables = client_variables(self._variables, run)
        variables.update(extra)
        variables[self._representations_name] = asked.representations
        answers = self._answers
        whole = answers is not None and answers.wanted()
        try:
            response = await run.call(_request(self.fetch, run, variables, whole=whole))
            data = response.data
            if answers is not None and response.sent is not None:
                data = answers.read(run, response.sent.json, (self.part.under("_entities"),))
        except SubgraphCallFailed as failure:
            self.fail(run, failure, asked.groups)
            return
        self.merge(run, data.get("_entities") if data is not None else None, response.errors, asked.groups)

    @property
    def shares(self) -> bool:
        """Whether objects within the entities may be shared."""
        return self._answers is not None

    def merge(self, run: Run, entities: object, errors: Sequence[dict[str, Any]], groups: Groups) -> None:
        """Put the entities into their objects; `errors` have the paths of a fetch that is sent alone."""
        if errors:
            self._place_errors(run, errors, groups)
        if not isinstance(entities, list) or len(entities) != len(groups):
            # which entity an item of a list of another length stands for cannot be told: none is taken
            if not errors or entities is not None:
                self.fail(run, _wrong_length(self.fetch.service, entities, len(groups)), groups)
            else:
                _lose(run, self.fetch, chain.from_iterable(groups))
            return
        rewrite, objects = self._rewrite, self._objects
        for entity, group in zip(entities, groups, strict=True):
            if entity.__class__ is not dict:
                if run.reasons is not None:
                    note(run.reasons, group, Why.NO_ENTITY, self.fetch)
                continue
            if rewrite is not None:
                rewrite(entity)
            brought = entity.keys()
            for target in group:
                if brought.isdisjoint(target):  # as good as always
                    target.update(entity)
                else:
                    merge_object(target, entity, objects)

    def fail(self, run: Run, failure: SubgraphCallFailed, groups: Groups) -> None:
        """Nothing came for any of these; told once for each place that now lacks something."""
        for label in dict.fromkeys(path.label for path in self._paths):
            report_failure(run, failure, label)
        _lose(run, self.fetch, chain.from_iterable(groups))

    def _place_errors(self, run: Run, errors: Sequence[dict[str, Any]], groups: Groups) -> None:
        places: dict[int, list[ResponsePath]] = {}
        for tree_path in self._paths:
            for it, path in tree_path.locate(run.root):
                places.setdefault(id(it), []).append(path)

        def paths_of(index: int) -> list[ResponsePath]:
            group = groups[index] if 0 <= index < len(groups) else []
            for it in group:
                run.mark_failed(it)
            # one object can be in the group once for each of its places
            return list(dict.fromkeys(path for it in group for path in places.get(id(it), ())))

        report_errors(
            run,
            errors,
            service=self.fetch.service,
            at=self._paths[0].label,
            renamed=self._renamed,
            paths_of=paths_of,
        )


class ContextualFetch(EntityFetch):
    """An entity fetch whose arguments come from objects above: one call for each set of values."""

    __slots__ = ("_facts", "_path", "_sources")

    def __init__(self, fetch: Fetch, path: TreePath, facts: TypeFacts) -> None:
        super().__init__(fetch, (path,), facts)
        self._sources = tuple((it.variable, it.path) for it in fetch.context_rewrites)
        self._facts = facts

    async def run(self, run: Run) -> None:
        """Fetch and merge, calls with different values side by side."""
        calls: dict[bytes, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        for line in self._paths[0].ancestors(run.root):
            values: dict[str, Any] = {}
            for name, path in self._sources:
                value = self._read(path, line)
                if value is not None or name not in values:
                    values[name] = value
            calls.setdefault(identity_of(values), (values, []))[1].append(line[0])
        asked = [(self._asked_of(run, found), values) for values, found in calls.values()]
        await run_together([self.ask(run, it, values) for it, values in asked if it is not None])

    def _read(self, path: RewritePath, line: tuple[dict[str, Any], ...]) -> Any:
        """The value at `path` from the object `line[0]`, whose ancestors follow it, nearest first."""
        generation = 0
        value: Any = line[0]
        for element in path:
            if element == "..":
                generation += 1
                value = line[generation] if generation < len(line) else None
            elif value.__class__ is not dict:
                return None
            elif element.startswith(CONDITION):
                if not self._is_a(value.get("__typename"), element.removeprefix(CONDITION)):
                    return None
            else:
                value = value.get(element)
        return value

    def _is_a(self, typename: str | None, condition: str) -> bool:
        return typename is None or condition in self._facts.supertypes(typename)


def _request(fetch: Fetch, run: Run, variables: dict[str, Any], *, whole: bool = False) -> SubgraphRequest:
    return SubgraphRequest(
        service=fetch.service,
        kind=fetch.kind,
        query=fetch.operation,
        variables=variables,
        subject=run.subject,
        operation_name=fetch.operation_name,
        headers=run.options.forwarded,
        timeout_s=run.timeout_s(fetch.service),
        whole=whole,
        first=run.options.first,
    )


def client_variables(names: Sequence[str], run: Run) -> dict[str, Any]:
    """Those of the client's variables; absent ones stay absent: the subgraph tells them from null."""
    variables = run.variables
    return {name: variables[name] for name in names if name in variables}


def _lose(run: Run, fetch: Fetch, objects: Iterable[dict[str, Any]]) -> None:
    """The fetch brought nothing for these objects."""
    lost = tuple(objects)
    for it in lost:
        run.mark_failed(it)
    if run.reasons is not None:
        note(run.reasons, lost, Why.FAILED, fetch)


def _common(paths: Sequence[TreePath]) -> ResponsePath:
    """What the paths have in common: where errors go that name none of their objects."""
    first, *others = (path.label for path in paths)
    length = len(first)
    for other in others:
        while first[:length] != other[:length]:
            length -= 1
    return first[:length]


def _no_data(service: str) -> SubgraphCallFailed:
    return SubgraphCallFailed(service, "answered neither data nor errors", code=_MALFORMED)


def _wrong_length(service: str, entities: object, wanted: int) -> SubgraphCallFailed:
    answered = f"{len(entities)} entities" if isinstance(entities, list) else "no list of entities"
    return SubgraphCallFailed(service, f"answered {answered}, {wanted} were asked for", code=_MALFORMED)
