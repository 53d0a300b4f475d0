"""Directives: what is done where a caller lacks what Federation's directives demand: cut, refuse, or tell.

document + what this caller lacks → AllowedOperation, by the settings under `authorization.directives`.
`@classified` is not among them: a class that a caller can never read is taken out in every mode.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from router.admission import DirectiveRules, Told
from router.errors import ClientError, OperationUnauthorized
from router.execution import GraphQLResponse
from router.execution.explain import DENIALS_MAX
from router.operation.authorize import without
from router.operation.model import AllowedOperation, Denial
from router.operation.requirements import Classified, Requirement
from router.snapshot import Document, Snapshot
from router.telemetry import denials_count, stage

log = logging.getLogger("stadion.router.authorization")
CODE: Final = "UNAUTHORIZED_FIELD_OR_TYPE"
LOGGED_PATHS_MAX: Final = 20


def allowed_without(
    document: Document, denied: frozenset[Requirement], graph: Snapshot, *, outcome: str = "taken_out"
) -> AllowedOperation:
    """The document less what is denied; callers who lack the same rights share the result."""
    allowed = document.allowed.get(denied)
    if allowed is None:
        with stage("authorize"):
            allowed = without(document.normal, denied, graph.requirements)
        document.allowed.put(denied, allowed)
    for denial in allowed.denials:
        denials_count.add(1, {"code": denial.code, "outcome": outcome})
    return allowed


def enforced(denied: frozenset[Requirement], rules: DirectiveRules) -> frozenset[Requirement]:
    """Those of the requirements that a caller lacks which take something from what they see."""
    return denied if rules.enabled and not rules.dry_run else denied - _demanded(denied)


def is_planned(denied: frozenset[Requirement], rules: DirectiveRules) -> bool:
    """Whether an operation for callers who lack these is planned with them taken out."""
    return not (rules.reject_unauthorized or rules.dry_run) or not _demanded(denied)


def allowed_by(
    document: Document, denied: frozenset[Requirement], graph: Snapshot, rules: DirectiveRules
) -> AllowedOperation:
    """What is left for a caller who lacks `denied`.

    Errors: OperationUnauthorized where directives refuse a part and all of it is refused for that.
    """
    demanded = _demanded(denied) if rules.enabled else frozenset()
    if demanded and (rules.dry_run or rules.reject_unauthorized):
        outcome = "dry_run" if rules.dry_run else "refused"
        lacking = allowed_without(document, demanded, graph, outcome=outcome).denials
        _log(document, lacking, rules, outcome)
        if lacking and not rules.dry_run:
            raise _refusal(lacking, rules.errors.response)
    allowed = allowed_without(document, enforced(denied, rules), graph)
    if demanded and not rules.dry_run:
        _log(document, _by_directives(allowed.denials), rules, "taken_out")
    return told_as(allowed, rules)


def told_as(allowed: AllowedOperation, rules: DirectiveRules) -> AllowedOperation:
    """The same, with denials by directives left out of `errors` where the settings say so."""
    if rules.errors.response is Told.ERRORS or not allowed.denials:
        return allowed
    denials = (replace(one, told=one.code != CODE) for one in allowed.denials)
    return replace(allowed, denials=tuple(denials))


def notes_on(
    document: Document, denied: frozenset[Requirement], graph: Snapshot, rules: DirectiveRules
) -> list[dict[str, Any]]:
    """Entries for `extensions.authorizationErrors`: what is, or in a dry run would be, taken out.

    Paths are without list indices: they are known before anything is asked.
    """
    if not rules.enabled or rules.errors.response is Told.DISABLED:
        return []
    if not rules.dry_run and rules.errors.response is Told.ERRORS:
        return []
    sought = _demanded(denied) if rules.dry_run else denied
    cut = document.allowed.get(sought) or without(document.normal, sought, graph.requirements)
    return [entry_of(one) for one in _by_directives(cut.denials)[:DENIALS_MAX]]


def noted(response: GraphQLResponse, notes: Sequence[Mapping[str, Any]]) -> GraphQLResponse:
    """The response with these entries in its extensions."""
    if not notes:
        return response
    return replace(response, extensions={**response.extensions, "authorizationErrors": list(notes)})


async def first_noted(
    source: AsyncIterator[GraphQLResponse], notes: Sequence[Mapping[str, Any]]
) -> AsyncIterator[GraphQLResponse]:
    """The responses, the first one with these entries. Closing it closes the source."""
    try:
        async for response in source:
            yield noted(response, notes)
            notes = ()
    finally:
        if (close := getattr(source, "aclose", None)) is not None:
            await close()


def entry_of(denial: Denial) -> dict[str, Any]:
    """One denial as an entry of a list of errors."""
    return {
        "message": f"not authorised for `{denial.coordinate}`",
        "path": list(denial.path),
        "extensions": {**denial.extensions, "code": denial.code},
    }


def _refusal(lacking: Sequence[Denial], told: Told) -> ClientError:
    entries = lacking[:DENIALS_MAX] if told is Told.ERRORS else ()
    problems = [
        ClientError(f"not authorised for `{one.coordinate}`", code=CODE, path=list(one.path))
        for one in entries
    ]
    extensions = (
        {"authorizationErrors": [entry_of(one) for one in lacking[:DENIALS_MAX]]}
        if told is Told.EXTENSIONS
        else {}
    )
    whole = ClientError("not authorised for all of the operation", code=CODE, extensions=extensions)
    return OperationUnauthorized(problems or [whole])


def _demanded(denied: frozenset[Requirement]) -> frozenset[Requirement]:
    return frozenset(one for one in denied if not isinstance(one, Classified))


def _by_directives(denials: Sequence[Denial]) -> tuple[Denial, ...]:
    return tuple(one for one in denials if one.code == CODE)


def _log(document: Document, denials: Sequence[Denial], rules: DirectiveRules, outcome: str) -> None:
    """INVARIANT: response keys and coordinates, which are GraphQL names; never a value or a caller."""
    if denials and rules.errors.log and log.isEnabledFor(logging.INFO):
        shown = ", ".join(".".join(one.path) for one in denials[:LOGGED_PATHS_MAX])
        name = document.normal.name or "without a name"
        log.info("directives deny %d paths of operation %s (%s): %s", len(denials), name, outcome, shown)
