"""Every adapter of a port as one parametrised fixture: the contract suites run against each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from datastores.vault.keys import FileKeyProvider, KeyProvider
from datastores.vault.kms import KmsKeyProvider
from datastores.vault.sealed import SealedVault
from tests.kit_datastores import postgresql_schema, postgresql_url
from tests.kit_datastores.kms import running_key_service
from tests.kit_datastores.memcached import memcached_url, own_memcached
from tests.kit_datastores.mongodb import mongo_java_url, mongodb_url
from tests.kit_datastores.neo4j import neo4j_server, neo4j_url
from tests.kit_datastores.redis import own_redis, redis_cluster_url, redis_url
from tests.kit_datastores.s3 import s3_url
from tests.kit_datastores.timescaledb import timescaledb_url

__all__ = [
    "memcached_url",
    "mongo_java_url",
    "mongodb_url",
    "neo4j_server",
    "neo4j_url",
    "own_memcached",
    "own_redis",
    "postgresql_schema",
    "postgresql_url",
    "redis_cluster_url",
    "redis_url",
    "s3_url",
    "timescaledb_url",
]

ADAPTERS = ["sqlite", "postgresql"]
Providers = Callable[[], KeyProvider]
Vaults = Callable[..., Awaitable[SealedVault]]


@pytest.fixture(params=ADAPTERS)
def fresh_store(request: pytest.FixtureRequest, tmp_path: Path) -> Relational:
    """An empty relational store, not yet open."""
    if request.param == "sqlite":
        return open_relational(f"sqlite:///{tmp_path}/store.db")
    url = request.getfixturevalue("postgresql_url")
    return open_relational(url, search_path=request.getfixturevalue("postgresql_schema"))


@pytest.fixture
async def store(fresh_store: Relational) -> AsyncIterator[Relational]:
    """An empty, open relational store."""
    await fresh_store.open()
    yield fresh_store
    await fresh_store.close()


@pytest.fixture(params=["key-file", "kms"])
async def providers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Providers]:
    """Makes providers of the same keys, each as another process has it."""
    if request.param == "key-file":
        yield lambda: FileKeyProvider(tmp_path / "keys" / "vault.json")
        return
    async with running_key_service() as service:
        yield lambda: KmsKeyProvider(service.url)


@pytest.fixture
async def vaults(fresh_store: Relational, providers: Providers) -> AsyncIterator[Vaults]:
    """Makes vaults over the same rows and keys; all are closed in the end."""
    made: list[SealedVault] = []

    async def make(**options: Any) -> SealedVault:
        made.append(SealedVault(fresh_store, providers(), **options))
        await made[-1].open()
        return made[-1]

    yield make
    for vault in made:
        await vault.close()


@pytest.fixture
async def vault(vaults: Vaults) -> SealedVault:
    """An empty, open vault."""
    return await vaults()
