"""Medical put together: its vault in, a subgraph out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from authz.identity.subject import Subject
from datastores.events.outbox import prepare_outbox
from datastores.events.port import Events, Outbox
from datastores.relational.migrate import migrate
from datastores.vault.port import Vault
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.guard import Decides
from subgraphs.medical.care import Care
from subgraphs.medical.emergency import Emergencies
from subgraphs.medical.emergency_graph import Mutation, Query, Subscription
from subgraphs.medical.entities import MedicalContext
from subgraphs.medical.graph import BreakGlassGrant, User
from subgraphs.medical.importing import DocumentImporter
from subgraphs.medical.ports import Supposes

NAME = "medical"
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "medical_version"


async def prepare(vault: Vault) -> None:
    """Bring the tables to what this program knows.  Errors: SchemaTooNew."""
    await migrate(vault, MIGRATIONS, VERSION_TABLE)
    await prepare_outbox(vault)


def build(
    *,
    vault: Vault,
    outbox: Outbox,
    events: Events,
    authorizer: Supposes,
    cursors: CursorSigner,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Subgraph[MedicalContext]:
    """The subgraph. `vault` is medical's alone; `outbox` writes into it, and its relay reads from it."""
    care = Care(vault, outbox)
    emergencies = Emergencies(vault, outbox)
    importer = DocumentImporter(vault, outbox)

    def context(subject: Subject, decisions: Decides) -> MedicalContext:
        return MedicalContext(
            subject=subject,
            decisions=decisions,
            vault=vault,
            care=care,
            emergencies=emergencies,
            importer=importer,
            events=events,
            signer=cursors,
            authorizer=authorizer,
            now=now,
        )

    return Subgraph(
        name=NAME,
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[User, BreakGlassGrant],
        authorizer=authorizer,
        context=context,
        now=now,
    )
