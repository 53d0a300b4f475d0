"""Events in Redis Streams into chunks and back: the stream, how far it was fed, how far each group came.

A backup reads the groups first and the rows of the outboxes after all of this: restored, a group may be
given an event twice, and is given every one.
"""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.backup.errors import BackupDamaged
from datastores.backup.lines import (
    Advance,
    KeptStore,
    KeptTable,
    keep_rows,
    kept_pages,
    sum_of_pages,
    told_difference,
)
from datastores.backup.repository import Repository
from datastores.events.redis_streams import StreamKeys, before
from datastores.redis_client import unavailable_where_redis_is
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.rows import Row

_ENTRIES_PER_PAGE = 500
# In one step: what was fed, and the entry up to which the stream has it.
_FED = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local told = redis.call('HGETALL', KEYS[2])
table.insert(told, 1, newest[1] and newest[1][1] or '0-0')
return told
"""
_PUT = "for i = 1, #ARGV, 2 do redis.call('XADD', KEYS[1], ARGV[i], 'event', ARGV[i + 1]) end return 0"
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "groups": ("group", "after_entry"),
    "fed": ("source", "position"),
    "entries": ("entry", "event"),
    "dead_letters": ("group", "entry", "event", "failure"),
}


@dataclass(frozen=True, slots=True)
class CarriedStreams:
    """`Carried` of the keys of one deployment in Redis. `client` is a driver's, `place` is for messages."""

    client: Any
    keys: StreamKeys
    place: str

    async def keep(self, repository: Repository, *, advance: Advance) -> KeptStore:
        """The groups, then what was fed, then the stream as far as that, then what was given up on."""
        with unavailable_where_redis_is(self.place):
            groups = await self._groups()
            newest, fed = await self._fed()
            pages = {
                "groups": _once(groups),
                "fed": _once(fed),
                "entries": self._entries(newest),
                "dead_letters": self._dead_letters([name for name, _ in groups]),
            }
            kept = [
                await keep_rows(name, _COLUMNS[name], rows, repository, advance=advance)
                for name, rows in pages.items()
            ]
        return KeptStore({}, tuple(kept))

    async def restore(self, kept: KeptStore, repository: Repository, *, advance: Advance) -> None:
        """The stream with its entries' own ids, the groups where they were, the dead letters."""
        with unavailable_where_redis_is(self.place):
            if await self.client.exists(self.keys.stream, self.keys.fed):
                raise TargetNotEmpty("the Redis to restore into has events: restore into an empty one")
            groups = [row async for rows in kept_pages(repository, kept.table("groups")) for row in rows]
            behind = await self._restore_entries(kept.table("entries"), groups, repository, advance)
            await self._restore_groups(groups, behind)
            async for rows in kept_pages(repository, kept.table("fed")):
                await self.client.hset(self.keys.fed, mapping=dict(rows))
            async for rows in kept_pages(repository, kept.table("dead_letters")):
                for group, entry, event, failure in rows:
                    fields = {"event": event, "failure": failure}
                    await self.client.xadd(self.keys.dead(group), fields, id=entry)
                advance("dead letters", len(rows))
            if told := await self.difference(kept, repository):
                raise BackupDamaged(f"Redis does not hold what the backup has: {told}")

    async def difference(self, kept: KeptStore, repository: Repository) -> str:
        """The first part that is not as it was kept."""
        groups = [name async for rows in kept_pages(repository, kept.table("groups")) for name, _ in rows]
        with unavailable_where_redis_is(self.place):
            newest, fed = await self._fed()
            pages = {
                "groups": _once(await self._groups()),
                "fed": _once(fed),
                "entries": self._entries(newest),
                "dead_letters": self._dead_letters(groups),
            }
            for name, rows in pages.items():
                found, table = await sum_of_pages(rows), kept.table(name)
                if told := told_difference(name, found, table.rows, table.digest):
                    return told
        return ""

    async def forget(self, people: Sequence[str]) -> None:
        """Nothing: events are let go after some days, and consumers look at whom they are about."""

    async def clear(self) -> None:
        """Delete every key of the deployment that a restore makes."""
        with unavailable_where_redis_is(self.place):
            groups = [name for name, _ in await self._groups()]
            names = [self.keys.stream, self.keys.fed, *map(self.keys.dead, groups)]
            await self.client.delete(*names)

    async def _groups(self) -> list[Row]:
        """Each group with the entry behind which it goes on: nothing that it was given is left out."""
        if not await self.client.exists(self.keys.stream):
            return []
        found: list[Row] = []
        for told in await self.client.xinfo_groups(self.keys.stream):
            name = _text(told["name"])
            pending = await self.client.xpending(self.keys.stream, name)
            first = _text(pending["min"]) if pending["pending"] else None
            found.append((name, _text(told["last-delivered-id"]) if first is None else before(first)))
        return sorted(found)

    async def _fed(self) -> tuple[str, list[Row]]:
        newest, *told = await self.client.eval(_FED, 2, self.keys.stream, self.keys.fed)
        pairs = zip(told[::2], told[1::2], strict=True)
        return _text(newest), sorted((_text(name), int(position)) for name, position in pairs)

    async def _entries(self, newest: str) -> AsyncIterator[list[Row]]:
        async for page in self._stream_pages(self.keys.stream, newest):
            yield [(_text(entry), fields[b"event"].decode()) for entry, fields in page]

    async def _dead_letters(self, groups: Sequence[str]) -> AsyncIterator[list[Row]]:
        for group in groups:
            async for page in self._stream_pages(self.keys.dead(group), "+"):
                yield [
                    (group, _text(entry), fields[b"event"].decode(), fields[b"failure"].decode())
                    for entry, fields in page
                ]

    async def _stream_pages(
        self, key: str, newest: str
    ) -> AsyncIterator[list[tuple[bytes, dict[bytes, bytes]]]]:
        after = "-"
        while page := await self.client.xrange(key, min=after, max=newest, count=_ENTRIES_PER_PAGE):
            yield page
            after = f"({_text(page[-1][0])}"

    async def _restore_entries(
        self, kept: KeptTable, groups: Sequence[Row], repository: Repository, advance: Advance
    ) -> Mapping[str, int]:
        """Every entry; how many of them each group has behind it, which Redis would otherwise not know."""
        behind = {name: 0 for name, _ in groups}
        async for rows in kept_pages(repository, kept):
            await self.client.eval(_PUT, 1, self.keys.stream, *(word for row in rows for word in row))
            places = [_order(entry) for entry, _ in rows]
            for name, after in groups:
                behind[name] += bisect.bisect_right(places, _order(after))
            advance("events", len(rows))
        return behind

    async def _restore_groups(self, groups: Sequence[Row], behind: Mapping[str, int]) -> None:
        newest = await self.client.xrevrange(self.keys.stream, count=1)
        last = _text(newest[0][0]) if newest else "0-0"
        for name, after in groups:
            made = {"id": after, "mkstream": True, "entries_read": behind[name]}
            await self.client.xgroup_create(self.keys.stream, name, **made)
            last = max(last, after, key=_order)
        # A clock that is behind must not give new entries ids that a group has passed already.
        if last != "0-0":
            await self.client.execute_command("XSETID", self.keys.stream, last)


async def _once(rows: Sequence[Row]) -> AsyncIterator[Sequence[Row]]:
    yield rows


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _order(entry: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry.partition("-")
    return int(milliseconds), int(sequence or 0)
