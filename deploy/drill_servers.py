"""Where a drill restores: a throw-away folder, and servers of which it takes nothing that is in use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import Connection

from datastores.blobs.opening import open_blobs
from datastores.config import StoreUrlProblem
from datastores.documents.opening import open_documents
from datastores.lifecycle import opened
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.opening import open_relational
from deploy.backup import STORES_IN_ORDER
from deploy.carried import EVENTS, carried_stores
from deploy.settings import Settings

_STORES = ("relational", "vault", "blobs", "series", "graph", "documents", "events")
_BY_SCHEME = {
    "neo4j": "graph",
    "bolt": "graph",
    "mongodb": "documents",
    "redis": "events",
    "rediss": "events",
}
_SCHEMAS = (*STORES_IN_ORDER, "series", "graph")


def drill_target(settings: Settings, servers: Sequence[str], folder: Path) -> Settings:
    """Settings of a platform in `folder` and on `servers` by scheme; a second PostgreSQL takes series.

    Errors: StoreUrlProblem for a server that no store can be on.
    """
    urls: dict[str, Any] = dict.fromkeys(f"{name}_url" for name in _STORES)
    for server in servers:
        for name in _stores_on(server, taken=urls["relational_url"] is not None):
            urls[f"{name}_url"] = SecretStr(server)
    return settings.model_copy(update={**urls, "data_folder": folder, "keys_folder": None})


def _stores_on(server: str, *, taken: bool) -> Sequence[str]:
    scheme = server.partition(":")[0].partition("+")[0]
    if scheme == "postgresql":
        return ("series",) if taken else ("relational", "vault", "series")
    if scheme == "s3":
        return ("blobs",)
    if scheme not in _BY_SCHEME:
        raise StoreUrlProblem(f"a drill restores nothing on `{scheme}://`: leave `--server` out for a folder")
    return (_BY_SCHEME[scheme],)


@asynccontextmanager
async def thrown_away(target: Settings, *, space: str) -> AsyncIterator[None]:
    """The servers of `target`, given back at the end as they were.

    Graph and events have `space` for themselves; the rest must be empty.
    Errors: TargetNotEmpty, before anything is written.
    """
    async with AsyncExitStack() as stack:
        postgresql = {_text(url): None for url in (target.relational_url, target.series_url) if url}
        for url in postgresql:
            await stack.enter_async_context(_schemas_dropped(url))
        if target.documents_url:
            await _refuse_documents(_text(target.documents_url))
        if target.blobs_url:
            await stack.enter_async_context(_files_deleted(_text(target.blobs_url)))
        named = {"graph": target.graph_url, "documents": target.documents_url, EVENTS: target.events_url}
        names = [name for name, url in named.items() if url]
        try:
            yield
        finally:
            async with carried_stores(target, names, space=space) as stores:
                for store in stores.values():
                    await store.clear()


@asynccontextmanager
async def _schemas_dropped(url: str) -> AsyncIterator[None]:
    server = open_relational(url)
    async with opened({"the server of the drill": server}):
        found = await server.read(_own_schemas)
        if found:
            raise TargetNotEmpty(f"the server has a schema `{found[0]}`: a drill needs one without")
        try:
            yield
        finally:
            await server.write(_drop_own_schemas)


async def _refuse_documents(url: str) -> None:
    documents = open_documents(url)
    async with opened({"the server of the drill": documents}):
        if found := await documents.collections():
            raise TargetNotEmpty(f"the server has documents in `{found[0]}`: name an empty database")


@asynccontextmanager
async def _files_deleted(url: str) -> AsyncIterator[None]:
    blobs = open_blobs(url)
    async with opened({"the server of the drill": blobs}):
        async for _ in blobs.list_keys():
            raise TargetNotEmpty("the bucket has files: name an empty one")
        try:
            yield
        finally:
            for key in [key async for key in blobs.list_keys()]:
                await blobs.delete(key)


def _own_schemas(connection: Connection) -> list[str]:
    query = sa.text("SELECT nspname FROM pg_namespace WHERE nspname = ANY(:names) ORDER BY 1")
    return list(connection.execute(query, {"names": list(_SCHEMAS)}).scalars())


def _drop_own_schemas(connection: Connection) -> None:
    for name in _SCHEMAS:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {name} CASCADE"))


def _text(url: SecretStr) -> str:
    return url.get_secret_value()
