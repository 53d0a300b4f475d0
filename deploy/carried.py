"""The stores that a backup holds beside rows and files: series, graph, documents, events in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from datastores.backup.documents import CarriedDocuments
from datastores.backup.graphs import CarriedGraph
from datastores.backup.lines import Carried
from datastores.backup.series import CarriedSeries
from datastores.documents.opening import open_documents
from datastores.graph.opening import open_graph
from datastores.lifecycle import opened
from datastores.relational.opening import open_relational
from datastores.relational.postgresql_limits import PostgresqlLimits
from datastores.relational.sqlite import SqliteLimits
from deploy.settings import Settings

EVENTS = "events"
EMBEDDED = ("series", "graph", "documents")
"""Those that may lie in the data folder, each in a file of its name."""
PREFIX = "stadion"
_TIMEOUT_S = 6 * 3600.0


def carried_names(settings: Settings) -> list[str]:
    """Which of these stores a deployment has: those that a server is named for, and those in its folder."""
    named = [name for name in EMBEDDED if _url(settings, name) or embedded_file(settings, name).is_file()]
    return [*named, *([EVENTS] if settings.events_url else [])]


def embedded_file(settings: Settings, name: str) -> Path:
    """Where the store called `name` is in the data folder."""
    return settings.data_folder.resolve() / f"{name}.db"


@asynccontextmanager
async def carried_stores(
    settings: Settings, names: Collection[str], *, space: str = PREFIX
) -> AsyncIterator[Mapping[str, Carried]]:
    """The stores called `names`, open inside the block. `space` parts a drill's graph and events from those
    that are in use on the same servers.

    Errors: StoreUrlProblem, Unavailable.
    """
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(_opened(settings, name, space)) for name in names}


@asynccontextmanager
async def _opened(settings: Settings, name: str, space: str) -> AsyncIterator[Carried]:
    url = _url(settings, name) or f"sqlite:///{embedded_file(settings, name)}"
    if name == "series":
        rows = open_relational(
            url,
            search_path="series",
            sqlite_limits=SqliteLimits(read_timeout_s=_TIMEOUT_S, write_timeout_s=_TIMEOUT_S),
            postgresql_limits=PostgresqlLimits(read_timeout_s=_TIMEOUT_S, write_timeout_s=_TIMEOUT_S),
        )
        async with opened({"the series": rows}):
            yield CarriedSeries(rows)
    elif name == "graph":
        graph = open_graph(url, space=space, read_timeout_s=_TIMEOUT_S)
        async with opened({"the graph": graph}):
            yield CarriedGraph(graph)
    elif name == "documents":
        documents = open_documents(url, read_timeout_s=_TIMEOUT_S)
        async with opened({"the documents": documents}):
            yield CarriedDocuments(documents)
    else:
        async with _opened_events(url, space) as events:
            yield events


@asynccontextmanager
async def _opened_events(url: str, space: str) -> AsyncIterator[Carried]:
    # Redis is loaded where a deployment has one.
    from datastores.backup.streams import CarriedStreams
    from datastores.events.redis_streams import StreamKeys
    from datastores.redis_client import RedisLimits, place_of, redis_client

    client = redis_client(url, RedisLimits())
    try:
        yield CarriedStreams(client, StreamKeys(space), place_of(url))
    finally:
        await client.aclose()


def _url(settings: Settings, name: str) -> str:
    found: SecretStr | None = getattr(settings, f"{name}_url")
    return "" if found is None else found.get_secret_value()
