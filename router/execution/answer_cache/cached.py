"""The subgraph port before another one: what subgraphs say may be kept is kept, and not asked for again.

Entities are kept one by one, whatever they were asked for with; root fields as one answer.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import orjson

from router.execution.answer_cache.freshness import STALE, Freshness, freshness_of, now_s, tell
from router.execution.answer_cache.hints import Hints, hints_of
from router.execution.answer_cache.keys import Unlike, keys_of
from router.execution.answer_cache.reading import EntityPart, ReadQuery, read_query
from router.execution.answer_cache.tags import (
    TagFormats,
    named_tag,
    tag_formats_of,
    told_of_entities,
    told_of_root,
)
from router.execution.transport import SentData, SubgraphRequest, SubgraphResponse, SubgraphTransport
from router.operation.model import OperationKind
from router.telemetry import instruments
from router.traffic import CachedAnswers, Traffic
from schema.supergraph import Supergraph

log = logging.getLogger("stadion.router.answers_kept")
QUERIES_MAX: Final = 1_024
VALUE_BYTES_MAX: Final = 1_000_000
CLOCKS_APART_S: Final = 1.0
"""Routers that share a store may differ so much about the time."""
_GENERATION_S: Final = 7 * 24 * 3_600
_UNREAD: Final = object()

look_ups = instruments.counter(
    "stadion.router.subgraph.cache", "entities and root answers looked up", labels=("subgraph.name", "found")
)


class AnswerStore(Protocol):
    """Where answers are kept. It may lose anything at any time; an error is as good as a miss."""

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values that are there, by key."""
        ...

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        """Keep `values` for so long."""
        ...


@dataclass(slots=True)
class _Unit:
    """What is kept under one key: an entity, or the answer to root fields."""

    public_key: str
    private_key: str
    tags: list[str]
    text: bytes | None = None
    left: Freshness = STALE
    stamps: str = ""
    looked_up_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A value that may be kept under its unit's key; `told` are tags that came with it."""

    unit: _Unit
    value: Any
    freshness: Freshness
    told: tuple[str, ...]


class AnswerCache:
    """What was kept, by key; forgotten by tag. One a process, over a store that several may share."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store

    async def forget(self, tags: Sequence[str]) -> None:
        """Whatever was kept under one of these tags, or is being fetched now, is not given any more.

        Errors: those of the store.
        """
        fresh = {_generation_key(tag): _generation(at_s=now_s()) for tag in tags}
        if fresh:
            await self._store.set_many(fresh, ttl_s=_GENERATION_S)

    async def look_up(self, units: Sequence[_Unit]) -> None:
        """Fill in what is there; each unit knows its tags' generations of now."""
        tags = {tag: _generation_key(tag) for unit in units for tag in unit.tags}
        keys = [*tags.values(), *(key for unit in units for key in (unit.public_key, unit.private_key))]
        found = await self._get(keys)
        generations = await self._generations(tags, found)
        now = now_s()
        good: list[tuple[_Unit, str, dict[str, Any]]] = []
        for unit in units:
            unit.stamps = "".join(generations[tag] for tag in unit.tags)
            unit.looked_up_s = now
            for key in (unit.private_key, unit.public_key):
                entry = _entry(found.get(key))
                if entry is not None and entry["s"] == unit.stamps and entry["u"] > now:
                    good.append((unit, key, entry))
        told = {tag: _generation_key(tag) for *_, entry in good for tag in entry.get("t", ())}
        later = await self._get(list(told.values())) if told else {}
        for unit, key, entry in good:
            stamps: Mapping[str, str] = entry.get("t", {})
            stands = all(later.get(told[tag], b"").hex() == stamp for tag, stamp in stamps.items())
            if stands and unit.text is None:
                unit.text = orjson.dumps(entry["d"])
                unit.left = Freshness(entry["u"] - now, key == unit.private_key)

    async def keep(self, kept: Sequence[_Kept]) -> None:
        """Keep each value for as long as it is good, under the generations that held before it was asked
        for: what was forgotten meanwhile stays forgotten."""
        told = {tag: _generation_key(tag) for one in kept for tag in one.told}
        generations = await self._generations(told, await self._get(list(told.values()))) if told else {}
        by_seconds: dict[float, dict[str, bytes]] = {}
        now = now_s()
        for one in kept:
            unit, freshness = one.unit, one.freshness
            # which tags it has was not known when it was asked for: what was forgotten since then is old
            if any(_made_s(generations[tag]) >= unit.looked_up_s - CLOCKS_APART_S for tag in one.told):
                continue
            key = unit.private_key if freshness.private else unit.public_key
            entry = {"s": unit.stamps, "u": now + freshness.seconds, "d": one.value}
            if one.told:
                entry["t"] = {tag: generations[tag] for tag in one.told}
            text = orjson.dumps(entry)
            if len(text) <= VALUE_BYTES_MAX:
                by_seconds.setdefault(freshness.seconds, {})[key] = text
        for seconds, values in by_seconds.items():
            await self._set(values, seconds)

    async def _generations(self, tags: Mapping[str, str], found: Mapping[str, bytes]) -> dict[str, str]:
        missing = {key: _generation(at_s=0) for key in tags.values() if key not in found}
        if missing:
            await self._set(missing, _GENERATION_S)
        return {tag: (found.get(key) or missing[key]).hex() for tag, key in tags.items()}

    async def _get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        try:
            return await self._store.get_many(keys)
        except Exception as error:
            log.warning("kept answers could not be looked up: %s", type(error).__name__)
            return {}

    async def _set(self, values: Mapping[str, bytes], seconds: float) -> None:
        try:
            await self._store.set_many(values, ttl_s=seconds)
        except Exception as error:
            log.warning("answers could not be kept: %s", type(error).__name__)


class CachedTransport:
    """A transport that asks its inner one only for what is not kept. Mutations and streams pass by."""

    def __init__(
        self, inner: SubgraphTransport, cache: AnswerCache, supergraph: Supergraph, traffic: Traffic
    ) -> None:
        self.inner = inner
        self.cache = cache
        self._traffic = traffic
        self.follow(supergraph)

    def follow(self, supergraph: Supergraph) -> None:
        """Read hints and tags of another supergraph from now on."""
        self._hints: Hints = hints_of(supergraph)
        self._formats: TagFormats = tag_formats_of(supergraph)
        self._read: OrderedDict[str, ReadQuery | None] = OrderedDict()

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says; what is kept is as good as what was fetched."""
        policy = self._traffic.of(request.service).cache
        if not policy.enabled or request.kind is not OperationKind.QUERY:
            if policy.enabled or not self._traffic.returns_freshness:  # else the inner one tells
                tell(STALE)
            return await self.inner.fetch(request)
        query = self._query(request.query)
        if query is None:
            tell(STALE)
            return await self.inner.fetch(request)
        try:
            if query.entities:
                return await self._entities(request, query, policy)
            return await self._root(request, query, policy)
        except Unlike:  # before anything was asked
            tell(STALE)
            return await self.inner.fetch(request)

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """As the port says."""
        return self.inner.subscribe(request)

    async def close(self) -> None:
        """Close the inner transport; the store is its owner's."""
        await self.inner.close()

    def _query(self, text: str) -> ReadQuery | None:
        found: Any = self._read.get(text, _UNREAD)
        if found is _UNREAD:
            found = self._read[text] = read_query(text, self._hints)
            if len(self._read) > QUERIES_MAX:
                self._read.popitem(last=False)
        else:
            self._read.move_to_end(text)
        query: ReadQuery | None = found
        return query

    async def _root(
        self, request: SubgraphRequest, query: ReadQuery, policy: CachedAnswers
    ) -> SubgraphResponse:
        tags = self._formats.of_root(request.service, query.arguments(request.variables))
        unit = _unit(request, "root", [request.query, request.operation_name, request.variables], tags)
        await self.cache.look_up([unit])
        look_ups.add(1, {"subgraph.name": request.service, "found": unit.text is not None})
        if unit.text is not None:
            tell(unit.left)
            if request.whole:
                return SubgraphResponse(data=None, sent=SentData.of(unit.text))
            return SubgraphResponse(data=orjson.loads(unit.text))
        response = await self.inner.fetch(request)
        freshness = _freshness(response, query.hint, policy)
        tell(freshness)
        value = orjson.Fragment(response.sent.json) if response.sent is not None else response.data
        if value is not None and not response.errors and freshness.seconds > 0:
            told = told_of_root(response.extensions)
            if told is not None:
                await self.cache.keep([_Kept(unit, value, freshness, _named(request.service, told))])
        return response

    async def _entities(
        self, request: SubgraphRequest, query: ReadQuery, policy: CachedAnswers
    ) -> SubgraphResponse:
        units = {part.alias: self._units(request, part) for part in query.entities}
        await self.cache.look_up([unit for every in units.values() for unit in every])
        missing = {
            alias: [n for n, unit in enumerate(every) if unit.text is None] for alias, every in units.items()
        }
        self._count(request.service, units)
        data: dict[str, Any] = {alias: [_value(unit) for unit in every] for alias, every in units.items()}
        if not any(missing.values()):
            return SubgraphResponse(data=data)
        variables = dict(request.variables)
        for part in query.entities:
            asked = request.variables[part.representations]
            variables[part.representations] = [asked[index] for index in missing[part.alias]]
        response = await self.inner.fetch(replace(request, variables=variables, whole=False))
        return await self._merged(request, query, policy, response, units=units, missing=missing, data=data)

    async def _merged(
        self,
        request: SubgraphRequest,
        query: ReadQuery,
        policy: CachedAnswers,
        response: SubgraphResponse,
        *,
        units: Mapping[str, list[_Unit]],
        missing: Mapping[str, list[int]],
        data: dict[str, Any],
    ) -> SubgraphResponse:
        """The answer to all that was asked: what was kept, and what came now, which is kept if it may be."""
        if response.data is None:
            tell(STALE)
            return response
        failed = {tuple(error.get("path") or ())[:2] for error in response.errors}
        kept: list[_Kept] = []
        told = iter(told_of_entities(response.extensions, sum(len(one) for one in missing.values())))
        for part in query.entities:
            came = response.data.get(part.alias)
            if not isinstance(came, list) or len(came) != len(missing[part.alias]):
                tell(STALE)
                return replace(response, data={**data, part.alias: None})
            representations = request.variables[part.representations]
            for position, (index, value) in enumerate(zip(missing[part.alias], came, strict=True)):
                data[part.alias][index] = value
                typename = str(representations[index].get("__typename"))
                freshness = _freshness(response, part.hints.get(typename), policy)
                whole = (
                    () not in failed and (part.alias,) not in failed and (part.alias, position) not in failed
                )
                tell(freshness if whole else STALE)
                own = next(told)
                if whole and value is not None and freshness.seconds > 0 and own is not None:
                    unit = units[part.alias][index]
                    kept.append(_Kept(unit, value, freshness, _named(request.service, own)))
        if kept:
            await self.cache.keep(kept)
        return replace(response, data=data, errors=_placed(response.errors, missing))

    def _units(self, request: SubgraphRequest, part: EntityPart) -> list[_Unit]:
        used = {name: request.variables.get(name) for name in part.variables}
        return [
            _unit(request, "entity", [part.text, used, one], self._formats.of_entity(request.service, one))
            for one in request.variables[part.representations]
        ]

    def _count(self, service: str, units: Mapping[str, list[_Unit]]) -> None:
        for every in units.values():
            for unit in every:
                look_ups.add(1, {"subgraph.name": service, "found": unit.text is not None})
                if unit.text is not None:
                    tell(unit.left)


def _unit(request: SubgraphRequest, kind: str, parts: list[Any], tags: list[str]) -> _Unit:
    public_key, private_key = keys_of(request, kind, parts)
    return _Unit(public_key, private_key, tags)


def _generation_key(tag: str) -> str:
    return f"answers:2:tag:{hashlib.sha256(tag.encode()).hexdigest()}"


def _generation(*, at_s: float) -> bytes:
    """A new generation of a tag, with the time at which its answers were forgotten; 0: never yet."""
    return secrets.token_bytes(8) + int(at_s * 1_000).to_bytes(8, "big")


def _made_s(generation: str) -> float:
    return int(generation[16:] or "0", 16) / 1_000


def _named(service: str, told: Sequence[str]) -> tuple[str, ...]:
    return tuple(named_tag(service, one) for one in told)


def _entry(value: bytes | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        entry = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) and entry.keys() - {"t"} == {"s", "u", "d"} else None


def _value(unit: _Unit) -> Any:
    return None if unit.text is None else orjson.loads(unit.text)


def _freshness(response: SubgraphResponse, hint: Freshness | None, policy: CachedAnswers) -> Freshness:
    """The header's word, else the directives', else the default for what says nothing, which is private."""
    said = freshness_of(response.cache_control) if response.cache_control else None
    found = said or hint or Freshness(policy.ttl_s_default, private=True)
    return Freshness(min(found.seconds, policy.ttl_s_max), found.private)


def _placed(errors: Sequence[dict[str, Any]], missing: Mapping[str, list[int]]) -> tuple[dict[str, Any], ...]:
    """The errors with the indices of what the request asked for, not of what was fetched."""
    placed = []
    for error in errors:
        path = error.get("path")
        if isinstance(path, list) and len(path) > 1 and path[0] in missing and isinstance(path[1], int):
            indices = missing[path[0]]
            if 0 <= path[1] < len(indices):
                error = {**error, "path": [path[0], indices[path[1]], *path[2:]]}
        placed.append(error)
    return tuple(placed)
