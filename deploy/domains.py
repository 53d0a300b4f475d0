"""The domains, each with the ports it asks for: the only place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authz.decide import Authorizer
from authz.identity.tokens import TokenIssuer
from deploy.stores import Stores
from subgraphs.accounts import subgraph as accounts
from subgraphs.accounts.passwords import Passwords
from subgraphs.accounts.second_factor import SecondFactor
from subgraphs.accounts.sessions import RefreshKey
from subgraphs.kit import CursorSigner, Subgraph
from subgraphs.medical import subgraph as medical
from subgraphs.profiles import subgraph as profiles
from subgraphs.training import subgraph as training
from subgraphs.training.files.imported import FileLimits
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import tables as training_tables


@dataclass(frozen=True, slots=True)
class Shared:
    """What more than one domain is handed. `secret(name)` gives the installation's kept random bytes."""

    stores: Stores
    authorizer: Authorizer
    tokens: TokenIssuer
    passwords: Passwords
    secret: Callable[[str], bytes]
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Domains:
    """The subgraphs by name, and the ports of training that the command line shares."""

    subgraphs: Mapping[str, Subgraph[Any]]
    training_ports: TrainingPorts


async def prepare_domains(stores: Stores) -> None:
    """Bring every domain's tables to what this program knows.  Errors: SchemaTooNew."""
    await accounts.prepare(stores.relational["accounts"])
    await profiles.prepare(stores.relational["profiles"])
    await training_tables.prepare(stores.relational["training"])
    await medical.prepare(stores.vault)


def build_domains(shared: Shared) -> Domains:
    """Every subgraph over its open, prepared stores."""
    stores, cursors = shared.stores, CursorSigner(shared.secret("cursors"))
    training_ports = TrainingPorts(
        relational=stores.relational["training"],
        blobs=stores.blobs,
        outbox=stores.events.outbox,
        workers=None,
        clock=shared.now,
        limits=FileLimits(),
    )
    built: list[Subgraph[Any]] = [
        accounts.build(
            relational=stores.relational["accounts"],
            outbox=stores.events.outbox,
            authorizer=shared.authorizer,
            tokens=shared.tokens,
            passwords=shared.passwords,
            second_factor=SecondFactor(shared.secret("second-factors")),
            refresh_key=RefreshKey(shared.secret("refresh-tokens")),
            cursors=cursors,
            now=shared.now,
        ),
        profiles.build(
            relational=stores.relational["profiles"],
            outbox=stores.events.outbox,
            authorizer=shared.authorizer,
            cursors=cursors,
            now=shared.now,
        ),
        training.build_of(
            training_ports, events=stores.events, authorizer=shared.authorizer, cursors=cursors
        ),
        medical.build(
            vault=stores.vault,
            outbox=stores.events.outbox,
            authorizer=shared.authorizer,
            cursors=cursors,
            now=shared.now,
        ),
    ]
    return Domains({each.name: each for each in built}, training_ports)
