"""Audit put together: its store and keys in, a subgraph and a consumer out."""

from __future__ import annotations

from pathlib import Path

from authz.identity.subject import Subject
from datastores.events.outbox import prepare_outbox
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from subgraphs.audit import model, store
from subgraphs.audit.entities import AuditContext, AuditRecord, User
from subgraphs.audit.events import AuditLog
from subgraphs.audit.explaining import Explainer
from subgraphs.audit.graph import Query
from subgraphs.kit import CursorSigner, Subgraph, batch_loader
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests

NAME = "audit"
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "audit_version"


async def prepare(relational: Relational) -> None:
    """Bring the tables to what this program knows.  Errors: SchemaTooNew."""
    await migrate(relational, MIGRATIONS, VERSION_TABLE)
    await prepare_outbox(relational)


def build(
    *, log: AuditLog, explainer: Explainer, authorizer: AuthorizesRequests, cursors: CursorSigner
) -> Subgraph[AuditContext]:
    """The subgraph. Feed it `events.CONSUMED_TOPICS` through `events.consumer(log)`."""

    async def records(ids: list[str]) -> dict[str, model.AuditRecord]:
        return await log.relational.read(lambda c: store.records_by_id(c, ids))

    def context(subject: Subject, decisions: Decides) -> AuditContext:
        return AuditContext(
            subject=subject,
            decisions=decisions,
            log=log,
            explainer=explainer,
            cursors=cursors,
            records=batch_loader(records),
        )

    return Subgraph(
        name=NAME,
        query=Query,
        types=[User, AuditRecord],
        authorizer=authorizer,
        context=context,
        now=log.now,
    )
