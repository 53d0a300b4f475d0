"""A laptop's data folder onto servers: rows, the vault with its keys, files, and the stores beside them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection

from datastores.blobs.opening import open_blobs
from datastores.blobs.port import Blobs
from datastores.config import StoreUrlProblem
from datastores.errors import StoreError
from datastores.events import moving
from datastores.events.outbox import consumers
from datastores.folder import DataFolder
from datastores.lifecycle import Store, opened
from datastores.relational.copying import (
    Advance,
    TargetNotEmpty,
    copy_rows,
    finish_copy,
    is_begun,
    verify_rows,
)
from datastores.relational.port import Relational
from deploy.backup import TIMEOUT_S, readable
from deploy.carried import EMBEDDED, PREFIX, embedded_file
from deploy.copying_stores import Copied, Journal, copy_one, journal_for
from deploy.schemas import SCHEMAS
from deploy.settings import Region, Settings
from deploy.stores import stores_of

BLOB_BYTES_MAX = 5 * 1024**4
_POSITIONS = frozenset({consumers.name})


async def copy_folder(
    folder: Path, urls: Mapping[str, str], *, advance: Advance = lambda _name, _count: None
) -> Copied:
    """The stores of a data folder, which no platform uses meanwhile, onto the servers that `urls` name:
    `relational`, `vault`, `blobs`, `series`, `graph`, `documents`, `events`. What is not named stays.
    Begun again after a kill, it goes on where it was.

    Errors: Unavailable (folder in use), TargetNotEmpty, SchemaBehind, StoreUrlProblem, StoreError.
    """
    if "events" in urls and "relational" not in urls:
        raise StoreUrlProblem("events go to Redis with the rows that they tell of: name `--to` as well")
    claim = DataFolder(folder)
    claim.claim()
    try:
        embedded, journal = _embedded(folder), journal_for(folder, urls)
        rows, events = await _copy_all_rows(embedded, urls, journal, advance)
        copied = Copied(rows=rows, events=events)
        if "blobs" in urls:
            source = stores_of(embedded, timeout_s=TIMEOUT_S).blobs
            copied = copied.plus(Copied(files=await _copy_files(source, urls["blobs"], journal, advance)))
        for name in EMBEDDED:
            if name in urls and embedded_file(embedded, name).is_file():
                url = f"sqlite:///{embedded_file(embedded, name)}"
                copied = copied.plus(await copy_one(name, url, urls[name], journal, advance=advance))
        journal.end()
        return copied
    finally:
        claim.release()


async def _copy_all_rows(
    embedded: Settings, urls: Mapping[str, str], journal: Journal, advance: Advance
) -> tuple[int, int]:
    """How many rows, and how many events in Redis."""
    moved = [name for name in SCHEMAS if ("vault" if name == "medical" else "relational") in urls]
    if not moved:
        return 0, 0
    source = stores_of(embedded, timeout_s=TIMEOUT_S).rows()
    target = stores_of(embedded.model_copy(update=_named(urls)), timeout_s=TIMEOUT_S).rows()
    stays: dict[str, Store] = {name: source[name] for name in SCHEMAS}
    goes: dict[str, Store] = {f"the target of {name}": target[name] for name in moved}
    source_id, rows = _id(embedded.data_folder), 0
    async with opened(stays), opened(goes):
        for name in moved:
            if name in journal.done and not await is_begun(target[name]):
                # Finished before a kill; how far consumers came is Redis's from then on.
                rows += await verify_rows(source[name], target[name], SCHEMAS[name], but=_POSITIONS)
                continue
            rows += await copy_rows(
                source[name], target[name], SCHEMAS[name], source_id=source_id, advance=advance
            )
        outboxes = {name: (target if name in moved else source)[name] for name in SCHEMAS}
        async with _moved_events(urls.get("events"), outboxes, journal, advance) as (events, fed):
            for name in moved:
                journal.note(name)
                last = partial(moving.fit_to_redis, fed_position=fed[name]) if fed else _nothing
                await finish_copy(target[name], last)
    return rows, events


def _nothing(_: Connection) -> None:
    """No last step."""


@asynccontextmanager
async def _moved_events(
    url: str | None, outboxes: Mapping[str, Relational], journal: Journal, advance: Advance
) -> AsyncIterator[tuple[int, Mapping[str, int]]]:
    """How many events Redis has now, and up to where of each outbox."""
    if url is None:
        yield 0, {}
        return
    # Redis is loaded where a copy goes there.
    from datastores.events.redis_streams import StreamKeys, fed_position
    from datastores.redis_client import RedisLimits, place_of, redis_client, unavailable_where_redis_is

    client, keys = redis_client(url, RedisLimits()), StreamKeys(PREFIX)
    try:
        with unavailable_where_redis_is(place_of(url)):
            if "events" not in journal.done and await client.exists(keys.stream, keys.fed):
                raise TargetNotEmpty("the Redis has events already: copy into an empty one")
            journal.note("events")
            count = await moving.move_to_redis(client, keys, outboxes, advance=advance)
            fed = {name: await fed_position(client, keys, name) for name in outboxes}
        yield count, fed
    finally:
        await client.aclose()


def _embedded(folder: Path) -> Settings:
    """Settings of a folder alone, whatever the environment names."""
    urls = [name for name in Region.model_fields if name in Settings.model_fields]
    alone = {"regions": {}, "home_region": "", "region": ""}
    return Settings().model_copy(
        update={"data_folder": folder, "keys_folder": None, **alone, **dict.fromkeys(urls)}
    )


def _named(urls: Mapping[str, str]) -> dict[str, SecretStr]:
    return {f"{name}_url": SecretStr(urls[name]) for name in ("relational", "vault") if name in urls}


def _id(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()


async def _copy_files(source: Blobs, url: str, journal: Journal, advance: Advance) -> int:
    """Every file; its hash is compared with the one that the target acknowledged."""
    target = open_blobs(url)
    async with readable(source), opened({"the target of files": target}):
        if "blobs" not in journal.done and await _has_any(target):
            raise TargetNotEmpty("the target has files already: copy into an empty one")
        journal.note("blobs")
        count = 0
        async for key in source.list_keys():
            count += 1
            if f"blobs {key}" not in journal.done:
                advance("files", await _copy_file(source, target, key))
                journal.note(f"blobs {key}")
    return count


async def _copy_file(source: Blobs, target: Blobs, key: str) -> int:
    digest = hashlib.sha256()

    async def content() -> AsyncIterator[bytes]:
        async for part in source.get(key):
            digest.update(part)
            yield part

    blob = await target.put(key, content(), size_bytes_max=BLOB_BYTES_MAX)
    if blob.sha256 != digest.hexdigest():
        raise StoreError(f"the file `{key}` did not arrive as it was: begin again")
    return blob.size_bytes


async def _has_any(blobs: Blobs) -> bool:
    async for _ in blobs.list_keys():
        return True
    return False
