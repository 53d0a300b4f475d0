"""The stores of one process, by settings: embedded ones under the data folder, servers by URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from authz.facts.relational import RelationalFacts
from datastores.blobs.opening import open_blobs
from datastores.blobs.port import Blobs
from datastores.documents.opening import open_documents
from datastores.documents.port import Documents
from datastores.events.embedded import EmbeddedEvents
from datastores.graph.opening import open_graph
from datastores.graph.port import Graph
from datastores.lifecycle import Store
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from datastores.relational.postgresql_limits import PostgresqlLimits
from datastores.relational.sqlite import SqliteLimits
from datastores.series.opening import open_series
from datastores.series.port import Series
from datastores.vault.keys import FileKeyProvider, KeyProvider
from datastores.vault.opening import open_keys
from datastores.vault.sealed import SealedVault
from deploy.settings import Settings

if TYPE_CHECKING:
    from datastores.events.redis import RedisEvents

DOMAINS = ("accounts", "profiles", "training", "audit")
SUBGRAPHS = (*DOMAINS, "medical")


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store, not yet open. Each domain has its own; the vault is medical's alone."""

    relational: Mapping[str, Relational]
    facts_rows: Relational
    facts: RelationalFacts
    vault_rows: Relational
    vault: SealedVault
    blobs: Blobs
    events: EmbeddedEvents | RedisEvents
    series: Series | None = None
    graph: Graph | None = None
    documents: Documents | None = None
    """These three where a server is named; no domain keeps any of its own in the data folder yet."""

    def rows(self) -> dict[str, Relational]:
        """Every relational store by its short name: what is migrated, backed up and copied."""
        return {**self.relational, "facts": self.facts_rows, "medical": self.vault_rows}

    def rows_in_order(self) -> dict[str, Store]:
        """The relational stores by name, which are opened, and migrated, before all others."""
        return {f"the store of {name}": store for name, store in self.rows().items()}

    def others_in_order(self) -> dict[str, Store]:
        """The rest by name, in the order in which they are opened; events come last, for they read rows."""
        named: dict[str, Store | None] = {
            "the series": self.series,
            "the graph": self.graph,
            "the documents": self.documents,
        }
        there = {name: store for name, store in named.items() if store is not None}
        return {"the medical vault": self.vault, "the file store": self.blobs, **there}

    def in_order(self) -> dict[str, Store]:
        """Every store but the events, in order."""
        return {**self.rows_in_order(), **self.others_in_order()}


def stores_of(settings: Settings, *, timeout_s: float | None = None) -> Stores:
    """The stores that `settings` name. `timeout_s` is for work that takes long, such as a backup."""
    folder = settings.data_folder.resolve()
    relational = {domain: _relational(settings, folder, domain, timeout_s) for domain in DOMAINS}
    facts_rows = _relational(settings, folder, "facts", timeout_s)
    vault_url = settings.vault_url.get_secret_value() if settings.vault_url else _sqlite(folder, "vault")
    vault_rows = _opening(vault_url, "medical", timeout_s)
    vault = SealedVault(vault_rows, _keys(settings))
    return Stores(
        relational=relational,
        facts_rows=facts_rows,
        facts=RelationalFacts(facts_rows),
        vault_rows=vault_rows,
        vault=vault,
        blobs=open_blobs(_text(settings.blobs_url) or f"file:///{folder / 'blobs'}"),
        events=_events(settings, {**relational, "facts": facts_rows, "medical": vault}),
        series=open_series(url) if (url := _text(settings.series_url)) else None,
        graph=open_graph(url) if (url := _text(settings.graph_url)) else None,
        documents=open_documents(url) if (url := _text(settings.documents_url)) else None,
    )


def _keys(settings: Settings) -> KeyProvider:
    url = _text(settings.vault_keys_url)
    return open_keys(url) if url else FileKeyProvider(settings.keys_path / "vault.json")


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _events(settings: Settings, sources: Mapping[str, Relational]) -> EmbeddedEvents | RedisEvents:
    if settings.events_url is not None:
        from datastores.events.redis import RedisEvents

        return RedisEvents(settings.events_url.get_secret_value(), sources)
    return EmbeddedEvents(list(sources.values()))


def _relational(settings: Settings, folder: Path, domain: str, timeout_s: float | None) -> Relational:
    if settings.relational_url is not None:
        return _opening(settings.relational_url.get_secret_value(), domain, timeout_s)
    return _opening(_sqlite(folder, domain), domain, timeout_s)


def _opening(url: str, name: str, timeout_s: float | None) -> Relational:
    if timeout_s is None:
        return open_relational(url, search_path=name)
    return open_relational(
        url,
        search_path=name,
        sqlite_limits=SqliteLimits(read_timeout_s=timeout_s, write_timeout_s=timeout_s),
        postgresql_limits=PostgresqlLimits(read_timeout_s=timeout_s, write_timeout_s=timeout_s),
    )


def _sqlite(folder: Path, name: str) -> str:
    return f"sqlite:///{folder / f'{name}.db'}"
