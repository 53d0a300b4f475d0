"""Wiring: the domain's ports in, its subgraph out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime

from authz.identity.subject import Subject
from datastores.blobs.port import Blobs
from datastores.events.port import Events, Outbox
from datastores.relational.port import Relational
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.kit.guard import Decides
from subgraphs.kit.subgraph import AuthorizesRequests
from subgraphs.training.files.imported import FileLimits
from subgraphs.training.graph.context import TrainingContext
from subgraphs.training.graph.roots import Query, Subscription
from subgraphs.training.graph.types import ActivityType, UserType
from subgraphs.training.graph.uploads import Mutation
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store.tables import prepare

__all__ = ["NAME", "build", "build_of", "prepare"]

NAME = "training"


def build(
    *,
    relational: Relational,
    blobs: Blobs,
    outbox: Outbox,
    events: Events,
    authorizer: AuthorizesRequests,
    cursors: CursorSigner,
    workers: Executor | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    limits: FileLimits | None = None,
) -> Subgraph[TrainingContext]:
    """The subgraph over open stores that `prepare` has brought up to date.

    `workers` is where files are read and measured; None takes the event loop's threads.
    """
    ports = TrainingPorts(
        relational=relational,
        blobs=blobs,
        outbox=outbox,
        workers=workers,
        clock=clock,
        limits=limits or FileLimits(),
    )
    return build_of(ports, events=events, authorizer=authorizer, cursors=cursors)


def build_of(
    ports: TrainingPorts, *, events: Events, authorizer: AuthorizesRequests, cursors: CursorSigner
) -> Subgraph[TrainingContext]:
    """The same of ports that the command line shares: one lock over files for both."""

    def context(subject: Subject, decisions: Decides) -> TrainingContext:
        return TrainingContext(
            subject=subject,
            decisions=decisions,
            ports=ports,
            events=events,
            cursors=cursors,
            fresh_decisions=lambda: authorizer.for_request(subject),
        )

    return Subgraph(
        name=NAME,
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[UserType, ActivityType],
        authorizer=authorizer,
        context=context,
        now=ports.clock,
    )
