"""The Redis layout of the events: one stream of all, a group and a stream of dead letters a consumer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from datastores.events.port import Event

# Events enter once and in order however many processes feed the stream: each source's last position is kept
# beside it and moves in the same step.
_FEED = """
local last = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local added = 0
for i = 2, #ARGV, 2 do
  if tonumber(ARGV[i]) > last then
    redis.call('XADD', KEYS[1], '*', 'event', ARGV[i + 1])
    last = tonumber(ARGV[i])
    added = added + 1
  end
end
if added > 0 then redis.call('HSET', KEYS[2], ARGV[1], string.format('%d', last)) end
return added
"""
# A lease is prolonged and given back only by its holder.
_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

Delivery = tuple[str, Event]
_COUNTED_AT_ONCE = 1_000
_SEQUENCE_MAX = (1 << 64) - 1


class StreamKeys:
    """The keys of one deployment. The braces keep them on one server of a cluster, as the scripts need."""

    def __init__(self, prefix: str) -> None:
        self.stream = f"{{{prefix}}}:events"
        self.fed = f"{{{prefix}}}:fed"
        self._prefix = prefix

    def dead(self, group: str) -> str:
        """The dead letters of `group`."""
        return f"{{{self._prefix}}}:dead:{group}"

    def lease(self, group: str) -> str:
        """Who delivers for `group` now."""
        return f"{{{self._prefix}}}:lease:{group}"


async def feed(client: Any, keys: StreamKeys, source: str, batch: Sequence[tuple[int, Event]]) -> None:
    """Append `batch` to the stream; what is already in it is passed over."""
    words: list[str | bytes] = [source]
    for position, event in batch:
        words += [str(position), packed(event)]
    await client.eval(_FEED, 2, keys.stream, keys.fed, *words)


async def add(client: Any, keys: StreamKeys, event: Event) -> None:
    """Append an event that stands in no outbox."""
    await client.xadd(keys.stream, {"event": packed(event)})


async def fed_position(client: Any, keys: StreamKeys, source: str) -> int:
    """The position of `source` up to which the stream has its events."""
    return int(await client.hget(keys.fed, source) or 0)


async def set_fed_position(client: Any, keys: StreamKeys, source: str, position: int) -> None:
    """Set it, where the source itself went back to a backup."""
    await client.hset(keys.fed, source, position)


async def take_lease(client: Any, key: str, token: str, *, lease_s: float) -> bool:
    """Whether the lease is ours now."""
    if await renew_lease(client, key, token, lease_s=lease_s):
        return True
    return bool(await client.set(key, token, nx=True, px=int(lease_s * 1000)))


async def renew_lease(client: Any, key: str, token: str, *, lease_s: float) -> bool:
    """Whether it is still ours; then for another `lease_s`."""
    return bool(await client.eval(_RENEW, 1, key, token, int(lease_s * 1000)))


async def release_lease(client: Any, key: str, token: str) -> None:
    """Give it back."""
    await client.eval(_RELEASE, 1, key, token)


async def taken_over(client: Any, keys: StreamKeys, group: str, *, count: int) -> list[Delivery]:
    """The next deliveries that `group` was given and never finished, oldest first."""
    _, messages, _ = await client.xautoclaim(keys.stream, group, "stadion", min_idle_time=0, count=count)
    return [(_text(at), unpacked(fields)) for at, fields in messages if fields]


async def delivered(
    client: Any, keys: StreamKeys, group: str, *, count: int, wait_s: float
) -> list[Delivery]:
    """The next new deliveries, waited for up to `wait_s`."""
    answer = await client.xreadgroup(
        group, "stadion", {keys.stream: ">"}, count=count, block=max(1, int(wait_s * 1000))
    )
    return _deliveries(answer)


async def appended(client: Any, keys: StreamKeys, after: str, *, count: int, wait_s: float) -> list[Delivery]:
    """What came into the stream after the entry `after`, waited for up to `wait_s`."""
    answer = await client.xread({keys.stream: after}, count=count, block=max(1, int(wait_s * 1000)))
    return _deliveries(answer)


async def newest_entry(client: Any, keys: StreamKeys) -> str:
    """The id of the newest entry; `0-0` where there is none."""
    newest = await client.xrevrange(keys.stream, count=1)
    return _text(newest[0][0]) if newest else "0-0"


async def oldest_unfinished(client: Any, keys: StreamKeys) -> str | None:
    """The entry from which on the slowest group still needs the stream; None where there is no group."""
    needed = []
    for group in await client.xinfo_groups(keys.stream):
        pending = await client.xpending(keys.stream, _text(group["name"]))
        needed.append(_text(pending["min"]) if pending["pending"] else _text(group["last-delivered-id"]))
    return min(needed, key=_order, default=None)


async def unfinished_count(client: Any, keys: StreamKeys, group: str) -> int:
    """How many entries `group` was not given yet, or was given and is not done with."""
    for told in await client.xinfo_groups(keys.stream):
        if _text(told["name"]) == group:
            lag = told["lag"]
            if lag is None:  # Redis has lost count, as it does where a group was set back or entries went
                lag = await _count_after(client, keys, _text(told["last-delivered-id"]))
            return int(told["pending"]) + int(lag)
    return 0


async def _count_after(client: Any, keys: StreamKeys, entry: str) -> int:
    count, after = 0, entry
    while page := await client.xrange(keys.stream, min=f"({after}", count=_COUNTED_AT_ONCE):
        count += len(page)
        after = _text(page[-1][0])
    return count


def before(entry: str) -> str:
    """The id right before an entry's: who goes on behind it is given that entry."""
    milliseconds, sequence = _order(entry)
    if sequence:
        return f"{milliseconds}-{sequence - 1}"
    return f"{milliseconds - 1}-{_SEQUENCE_MAX}" if milliseconds else "0-0"


def earlier(one: str, other: str) -> str:
    """The earlier of two entry ids."""
    return min(one, other, key=_order)


def packed(event: Event) -> bytes:
    """An event as JSON."""
    fields = {"id": event.id, "topic": event.topic, "key": event.key, "payload": dict(event.payload)}
    return orjson.dumps({**fields, "at_utc": event.at_utc.isoformat()})


def unpacked(fields: Any) -> Event:
    """The event of a stream entry."""
    told = orjson.loads(fields[b"event"])
    at_utc = datetime.fromisoformat(told["at_utc"])
    return Event(told["id"], told["topic"], told["key"], told["payload"], at_utc)


def _deliveries(answer: Any) -> list[Delivery]:
    # RESP2 answers with pairs, RESP3 with a mapping of lists of lists.
    streams = answer.values() if isinstance(answer, dict) else [messages for _, messages in answer or []]
    found = []
    for messages in streams:
        for entry in messages:
            pairs = (
                entry
                if isinstance(entry, list) and entry and isinstance(entry[0], (list, tuple))
                else [entry]
            )
            found += [(_text(at), unpacked(fields)) for at, fields in pairs]
    return found


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _order(entry: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry.partition("-")
    return int(milliseconds), int(sequence or 0)
