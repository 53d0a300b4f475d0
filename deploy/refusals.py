"""What the router refuses before planning leaves a record, as what a subgraph refuses does.

parsed operation -> fields that this caller's roles can never read -> one record a class -> outbox -> audit.
Nothing is done for an operation of which nothing is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from graphql import value_from_ast_untyped

from authz.identity.subject import Subject
from authz.question import DEFAULT_DENY
from authz.trail import AUDITED, Outcome, Touched, is_own
from deploy.assemble import Platform
from router.directives import allowed_without
from router.hooks import OnParsed
from router.operation.authorize import Rights, denied_to
from router.operation.model import Denial, NormalField, NormalSelection
from router.operation.requirements import Classified, Requirement, Requirements
from router.pipeline import GraphQLRequest
from router.snapshot import Document, Snapshot
from router.telemetry import request_trace_id
from subgraphs.kit.trail import Ledger, OutboxLedger, accesses

OWNED_BY_KEY = "User"
"""Of this type the key is whose fields they are."""
_Kind = tuple[str | None, str, str]


def ledger_of(platform: Platform) -> Ledger:
    """Where the router's refusals are kept: beside the facts that they were decided by."""
    return OutboxLedger(platform.stores.facts_rows, platform.stores.events.outbox)


def records_refusals(ledger: Ledger, rights: Rights, snapshot: Snapshot) -> OnParsed:
    """The hook. An operation whose refusals cannot be recorded is not answered."""

    audited = frozenset(one for one in snapshot.requirements.all() if _is_audited(one))

    async def record(request: GraphQLRequest, document: Document, subject: Subject) -> None:
        denied = denied_to(subject, document.needed, rights)
        if denied.isdisjoint(audited):
            return
        allowed = allowed_without(document, denied, snapshot)
        touched = list(_touched(allowed.denials, document, request, subject, snapshot.requirements))
        if touched:
            trace_id = request_trace_id.get() or ""
            await ledger.keep(accesses(subject, "router", datetime.now(UTC), trace_id, touched))

    return record


def _is_audited(requirement: Requirement) -> bool:
    return isinstance(requirement, Classified) and requirement.data_class in AUDITED


def _touched(
    denials: tuple[Denial, ...],
    document: Document,
    request: GraphQLRequest,
    subject: Subject,
    requirements: Requirements,
) -> Iterator[Touched]:
    """One for each owner, class and action of protected fields that were taken out."""
    refused: dict[_Kind, set[str]] = {}
    for denial in denials:
        type_name, _, field_name = denial.coordinate.partition(".")
        owner_id = _owner(denial, document.normal.selections, request.variables, subject)
        if is_own(subject, owner_id):
            continue
        for one in requirements.of(type_name, field_name):
            if isinstance(one, Classified) and _is_audited(one):
                kind = (owner_id, one.data_class.value, one.action)
                refused.setdefault(kind, set()).add(denial.coordinate)
    for (owner_id, data_class, action), fields in refused.items():
        yield Touched(
            target_id=owner_id,
            action=action,
            data_class=data_class,
            fields=tuple(sorted(fields)),
            allowed=False,
            rule=DEFAULT_DENY,
            outcome=Outcome.REFUSED,
        )


def _owner(
    denial: Denial,
    selections: tuple[NormalSelection, ...],
    variables: Mapping[str, Any],
    subject: Subject,
) -> str | None:
    """Whose field it would have been, where the operation says so: no row was loaded that could tell."""
    if len(denial.path) != 2 or denial.coordinate.partition(".")[0] != OWNED_BY_KEY:
        return None
    root = next(
        (one for one in selections if isinstance(one, NormalField) and one.response_key == denial.path[0]),
        None,
    )
    if root is None:
        return None
    if root.name == "me":
        return subject.id
    key = next((each for each in root.arguments if each.name == "id"), None)
    given = None if key is None else value_from_ast_untyped(key.value, dict(variables))
    return given if isinstance(given, str) else None
