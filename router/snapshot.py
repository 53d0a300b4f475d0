"""Snapshot: one supergraph with all that is known about it and all that was worked out from it.

A reload makes a new snapshot and swaps it in whole; requests under way finish on the one they began with.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from graphql import GraphQLSchema

from router.config import RouterConfig
from router.execution import CompiledPlan
from router.operation.lift import LiftedText
from router.operation.model import AllowedOperation, NormalOperation, OperationKind, ValidOperation
from router.operation.parse import ParseLimits
from router.operation.requirements import Requirement, Requirements, requirements_of
from router.planner import query_graph_of
from router.telemetry import cache_count
from schema.supergraph import Supergraph, read_supergraph

PERCENT = re.compile(r"percent\((\d{1,3}(?:\.\d{1,8})?)\)")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
PlanKey: TypeAlias = tuple[str, frozenset[str], frozenset[Requirement]]
"""Signature of the allowed operation, override labels that are on, and for an operation that reads the
schema what of it stays hidden. INVARIANT: never a token or a person."""
VISIBLE_SCHEMAS_MAX = 64
ONCE_MAX = 48
"""Documents, forms and plans that are kept though they were asked for once only, each."""


class Cache(Generic[Key, Value]):
    """The most recently used values within two limits, and at most one making of each at a time.

    `weigh` says what an entry counts towards `weight_max`; without it only their number is limited. Of the
    values that nobody has asked for again only `once_max` are kept, if that is not 0: what comes once,
    however much of it, pushes out nothing that comes again. What is made a second time is kept as others.
    """

    def __init__(
        self,
        name: str,
        *,
        entries_max: int,
        weigh: Callable[[Key], int] | None = None,
        weight_max: int = 0,
        once_max: int = 0,
    ) -> None:
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self._making: dict[Key, asyncio.Future[Value]] = {}
        self._entries_max = max(entries_max, 1)
        self._weigh = weigh or _weightless
        self._weight_max = weight_max
        self._weight = 0
        self._hits: dict[Key, int] = {}
        self._once_max = once_max
        self._once: dict[Key, None] = {}
        """Keys of values that nobody has asked for again, the oldest first."""
        self._gone: dict[int, None] = {}
        """Hashes of such keys whose values are gone."""
        self._hit: Mapping[str, str | bool] = {"cache": name, "found": True}
        self._miss: Mapping[str, str | bool] = {"cache": name, "found": False}

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self) -> tuple[Key, ...]:
        """All keys, the most recently used first."""
        return tuple(reversed(self._entries))

    def items(self) -> tuple[tuple[Key, Value], ...]:
        """All entries as they are now."""
        return tuple(self._entries.items())

    def hits(self, key: Key) -> int:
        """How often the kept value was asked for."""
        return self._hits.get(key, 0)

    def get(self, key: Key) -> Value | None:
        """The value, now the most recently used; None where there is none."""
        value = self._entries.get(key)
        if value is None:
            cache_count.add(1, self._miss)
            return None
        self._entries.move_to_end(key)
        self._once.pop(key, None)
        self._hits[key] = self._hits.get(key, 0) + 1
        cache_count.add(1, self._hit)
        return value

    def known(self, key: Key) -> Value | None:
        """As `get`, for those who ask again where there is none: a miss does not count."""
        return self.get(key) if key in self._entries else None

    def note_miss(self) -> None:
        """Count a look-up that found nothing, which `known` does not."""
        cache_count.add(1, self._miss)

    def put(self, key: Key, value: Value) -> None:
        """Keep the value; the least recently used ones go when there are too many or too heavy ones."""
        if key not in self._entries:
            self._weight += self._weigh(key)
            self._note_new(key)
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._entries_max or self._weight > self._weight_max:
            if len(self._entries) == 1:
                break
            self._drop(next(iter(self._entries)))

    def _note_new(self, key: Key) -> None:
        """Let the oldest value go that nobody has asked for again, if this is one too many of them."""
        if not self._once_max:
            return
        if hash(key) in self._gone:
            del self._gone[hash(key)]
            return
        self._once[key] = None
        if len(self._once) > self._once_max:
            oldest = next(iter(self._once))
            self._drop(oldest)
            if len(self._gone) >= self._entries_max:
                del self._gone[next(iter(self._gone))]
            self._gone[hash(oldest)] = None

    def _drop(self, key: Key) -> None:
        del self._entries[key]
        self._once.pop(key, None)
        self._hits.pop(key, None)
        self._weight -= self._weigh(key)

    async def get_or_make(self, key: Key, make: Callable[[], Awaitable[Value]]) -> Value:
        """The value; made once however many ask at the same time. A failed making is not kept.

        The making goes on when the one who began it is cancelled: others may wait for it.
        """
        value = self.get(key)
        return await self.made(key, make) if value is None else value

    async def made(self, key: Key, make: Callable[[], Awaitable[Value]]) -> Value:
        """As `get_or_make`, where `get` has found nothing."""
        making = self._making.get(key)
        if making is None:
            making = asyncio.ensure_future(make())
            self._making[key] = making
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    def _made(self, key: Key, done: asyncio.Future[Value]) -> None:
        self._making.pop(key, None)
        if not done.cancelled() and done.exception() is None:
            self.put(key, done.result())


def _weightless(_: object) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Document:
    """What is known about one operation text before it is known who asks; the same for all callers.

    `needed` are the requirements of its fields, `allowed` the operations left for callers that lack some.
    `reads_schema`: it has `__schema` or `__type`. `normal` answers all at once; `deferring` is set where
    `@defer` or `@stream` may want parts, which `deciding` variables decide: one of `variants` for each case.
    """

    kind: OperationKind
    normal: NormalOperation
    reads_schema: bool
    needed: frozenset[Requirement]
    allowed: Cache[frozenset[Requirement], AllowedOperation]
    lifted: Mapping[str, Any] = field(default_factory=dict)
    """Values of variables that stand for literals of the text."""
    deferring: ValidOperation | None = None
    deciding: tuple[str, ...] = ()
    variants: dict[tuple[bool, ...], Document] = field(default_factory=dict)
    ready: list[CompiledPlan] = field(default_factory=list)
    """The plan for callers who lack nothing, once there is one; of a document that always has the same."""

    @property
    def defers(self) -> bool:
        """Whether a client that takes answers in parts may get one."""
        return self.deferring is not None


@dataclass(slots=True)
class Alike:
    """Texts of one form: a document for each choice of the literals that stay in the text.

    None where texts with these literals cannot share a document.
    """

    documents: dict[tuple[str, ...], tuple[LiftedText, Document] | None] = field(default_factory=dict)
    slots: LiftedText | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that depends on the supergraph alone. Frozen; its caches fill as requests come.

    `labels` are all labels of progressive `@override`s.
    """

    sdl_sha256: str
    supergraph: Supergraph
    api_schema: GraphQLSchema
    requirements: Requirements
    all_requirements: frozenset[Requirement]
    labels: frozenset[str]
    parse_limits: ParseLimits
    documents: Cache[tuple[str, str | None], Document]
    forms: Cache[tuple[str, str | None], Alike]
    plans: Cache[PlanKey, CompiledPlan]
    visible: Cache[frozenset[Requirement], GraphQLSchema]


@dataclass(frozen=True, slots=True)
class Hot:
    """An operation that is often asked for: its text, its name, and the rights that its callers lacked."""

    text: str
    operation_name: str | None
    denied: tuple[frozenset[Requirement], ...]


def hottest(graph: Snapshot, *, operations_max: int) -> list[Hot]:
    """The operations asked for most often on this snapshot, the hottest first.

    Texts that differ in their literals alone count together, as the form that they share a document in.
    """
    found: list[tuple[int, Hot]] = []
    for key, document in graph.documents.items():
        found.append((graph.documents.hits(key), Hot(*key, document.allowed.keys())))
    for key, alike in graph.forms.items():
        for shared in alike.documents.values():
            if shared is not None:
                lifting, document = shared
                hot = Hot(lifting.text, key[1], document.allowed.keys())
                found.append((graph.forms.hits(key), hot))
    found.sort(key=lambda one: one[0], reverse=True)
    return [one for _, one in found[:operations_max]]


def snapshot_of(sdl: str, config: RouterConfig) -> Snapshot:
    """The snapshot of a supergraph's SDL.

    Errors: those of `read_supergraph`; UnknownDataClass where `@classified` names a class unknown here.
    """
    supergraph = read_supergraph(sdl)
    requirements = requirements_of(supergraph)
    query_graph_of(supergraph)  # made now, so that the first operation does not wait for it
    limits = config.operation
    return Snapshot(
        sdl_sha256=hashlib.sha256(sdl.encode()).hexdigest(),
        supergraph=supergraph,
        api_schema=supergraph.api_schema,
        requirements=requirements,
        all_requirements=requirements.all(),
        labels=labels_of(supergraph),
        parse_limits=ParseLimits(
            document_bytes_max=limits.document_bytes_max,
            tokens_max=limits.tokens_max,
            nesting_max=limits.nesting_max,
        ),
        documents=Cache(
            "documents",
            entries_max=config.caches.documents_max,
            weigh=lambda key: len(key[0]),
            weight_max=config.caches.text_chars_max,
            once_max=ONCE_MAX,
        ),
        forms=Cache(
            "forms",
            entries_max=config.caches.documents_max,
            weigh=lambda key: len(key[0]),
            weight_max=config.caches.text_chars_max,
            once_max=ONCE_MAX,
        ),
        plans=Cache(
            "plans",
            entries_max=config.caches.plans_max,
            weigh=lambda key: len(key[0]),
            weight_max=config.caches.text_chars_max,
            once_max=ONCE_MAX,
        ),
        visible=Cache("visible", entries_max=VISIBLE_SCHEMAS_MAX),
    )


def labels_of(supergraph: Supergraph) -> frozenset[str]:
    """Every label under which some field moves from one subgraph to another."""
    return frozenset(
        join.override_label
        for type_ in supergraph.types.values()
        for field in type_.fields.values()
        for join in field.joins.values()
        if join.override_label is not None
    )


def labels_on(labels: frozenset[str], named: tuple[str, ...]) -> frozenset[str]:
    """Those of `labels` that hold for one request: named ones, and `percent(n)` with that chance.

    One draw decides all percentages, so that what is on at 10 % is on at 20 % as well.
    """
    if not labels:
        return labels
    drawn = random.uniform(0, 100)  # noqa: S311  # spreads load, guards nothing
    return frozenset(one for one in labels if one in named or drawn < _percent(one))


def _percent(label: str) -> float:
    matched = PERCENT.fullmatch(label)
    return float(matched[1]) if matched else 0.0
