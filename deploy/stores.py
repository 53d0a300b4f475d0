"""The stores of one process, by settings: embedded ones under the data folder, servers by URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from authz.facts.relational import RelationalFacts
from datastores.blobs.files import FileBlobs
from datastores.events.embedded import EmbeddedEvents
from datastores.events.redis import RedisEvents
from datastores.lifecycle import Store
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from deploy.settings import Settings

DOMAINS = ("accounts", "profiles", "training", "audit")
SUBGRAPHS = (*DOMAINS, "medical")


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store, not yet open. Each domain has its own; the vault is medical's alone."""

    relational: Mapping[str, Relational]
    facts_rows: Relational
    facts: RelationalFacts
    vault: SealedVault
    blobs: FileBlobs
    events: EmbeddedEvents | RedisEvents

    def in_order(self) -> dict[str, Store]:
        """By name, in the order in which they are opened; events are last, for they read the others."""
        return {
            **{f"the store of {domain}": store for domain, store in self.relational.items()},
            "the store of authorization facts": self.facts_rows,
            "the medical vault": self.vault,
            "the file store": self.blobs,
        }


def stores_of(settings: Settings) -> Stores:
    """The stores that `settings` name."""
    folder = settings.data_folder.resolve()
    relational = {domain: _relational(settings, folder, domain) for domain in DOMAINS}
    facts_rows = _relational(settings, folder, "facts")
    vault_url = settings.vault_url.get_secret_value() if settings.vault_url else _sqlite(folder, "vault")
    vault = SealedVault(
        open_relational(vault_url, search_path="medical"), FileKeyProvider(folder / "keys" / "vault.json")
    )
    return Stores(
        relational=relational,
        facts_rows=facts_rows,
        facts=RelationalFacts(facts_rows),
        vault=vault,
        blobs=FileBlobs(folder / "blobs"),
        events=_events(settings, {**relational, "facts": facts_rows, "medical": vault}),
    )


def _events(settings: Settings, sources: Mapping[str, Relational]) -> EmbeddedEvents | RedisEvents:
    if settings.events_url is not None:
        return RedisEvents(settings.events_url.get_secret_value(), sources)
    return EmbeddedEvents(list(sources.values()))


def _relational(settings: Settings, folder: Path, domain: str) -> Relational:
    if settings.relational_url is not None:
        return open_relational(settings.relational_url.get_secret_value(), search_path=domain)
    return open_relational(_sqlite(folder, domain))


def _sqlite(folder: Path, name: str) -> str:
    return f"sqlite:///{folder / f'{name}.db'}"
