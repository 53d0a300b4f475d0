"""Traffic to subgraphs: what a call may take, carry and try again, for all of them and for each by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from authz.identity.seals import check_secret
from router.header_settings import HeaderRule, Propagated, ReturnRule


class Http2(StrEnum):
    """Whether a subgraph is spoken to in HTTP/2. It carries many calls on one connection and takes more
    processor time a call than HTTP/1.1."""

    OFF = "off"
    NEGOTIATED = "negotiated"
    CLEARTEXT = "cleartext"


class StreamProtocol(StrEnum):
    """How subscriptions reach a subgraph."""

    WEBSOCKET = "websocket"
    WEBSOCKET_LEGACY = "websocket_legacy"
    SSE = "sse"
    MULTIPART = "multipart"
    CALLBACK = "callback"
    EVENTS = "events"


class Joining(StrEnum):
    """Which open stream a further reader of an equal subscription may be taken into.

    `before_first`: one that has given nothing yet, so that no reader can tell that it shares; who comes later
    shares a newer stream. `with_latest`: any, and the latest event is the reader's first one: for
    subscriptions that tell what is now, then each change. `from_now`: any; its first event is the next one.
    """

    BEFORE_FIRST = "before_first"
    WITH_LATEST = "with_latest"
    FROM_NOW = "from_now"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a query is sent once more: its connection was lost, or the answer was 502, 503 or 504.

    A mutation is never sent twice. The pause before try n is drawn from 0 to `pause_ms_base` · 2ⁿ, at most
    `pause_ms_max`; a `Retry-After` that fits into the call's time counts instead. The budget keeps retries
    from becoming the load that a subgraph in trouble dies of: each call earns `budget_percent` of a retry,
    each second `budget_per_second`, and no more than ten seconds' earnings are kept.

    A subgraph that refuses connections (it restarts) is waited for: its queries stand still together while
    one of them knocks, for at most `unreachable_wait_ms_max` after the first refusal.
    """

    attempts_max: Annotated[int, "times that one query is sent, the first one included"] = 3
    pause_ms_base: Annotated[int, "milliseconds of pause before the first retry, at most"] = 25
    pause_ms_max: Annotated[int, "milliseconds of pause before any retry, at most"] = 1_000
    budget_percent: Annotated[int, "retries that a hundred calls earn"] = 20
    budget_per_second: Annotated[int, "retries that a second earns besides"] = 10
    unreachable_wait_ms_max: Annotated[
        int, "milliseconds for which queries wait for a subgraph that refuses connections; 0 fails at once"
    ] = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a subgraph is left alone: of the calls of the last `window_ms`, at least `calls_min`, more than
    `failures_percent_max` have failed (not reached, lost, timed out, 5xx). For `open_ms` its calls then fail
    at once; after that `trial_calls` show whether it is well. 0 percent switches the breaker off.
    """

    failures_percent_max: Annotated[int, "failed calls of a hundred that a subgraph may have; 0: any"] = 50
    calls_min: Annotated[int, "calls in the window before they are judged"] = 20
    window_ms: Annotated[int, "milliseconds whose calls count"] = 10_000
    open_ms: Annotated[int, "milliseconds for which a subgraph is left alone"] = 5_000
    trial_calls: Annotated[int, "calls that must go well before all are let through again"] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files for calls over https. They are read anew when they change; no call is lost by that.

    A subgraph's certificate is always verified, by the system's authorities or those of `ca_file`.
    """

    ca_file: Annotated[str, "authorities to trust instead of the system's (PEM)"] = ""
    certificate_file: Annotated[str, "the router's own certificate, with its chain (PEM)"] = ""
    key_file: Annotated[str, "the key of that certificate (PEM)"] = ""

    def __post_init__(self) -> None:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("a certificate needs its key: name `certificate_file` and `key_file` together")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTopic:
    """Which events a subscription field tells of, and the entity that each of them names: `type`, by those
    `fields` of the event's payload that are the entity's key."""

    topic: Annotated[str, "topic of the events"] = ""
    type: Annotated[str, "type of the entity that an event names"] = ""
    fields: Annotated[tuple[str, ...], "members of the payload that are the entity's key"] = ("id",)
    argument: Annotated[str, "argument that says of which key events are wanted; none: of all"] = ""

    def __post_init__(self) -> None:
        if not (self.topic and self.type and self.fields):
            raise ValueError("a topic needs `topic`, `type` and `fields`")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSource:
    """How a subgraph's subscriptions are opened. `url` is where, the subgraph's own URL when left empty."""

    protocol: Annotated[StreamProtocol, "how subscriptions reach the subgraph"] = StreamProtocol.WEBSOCKET
    url: Annotated[str, "where subscriptions go instead of the subgraph's URL"] = ""
    shared: Annotated[bool, "equal subscriptions of equal rights share one stream"] = True
    joining: Annotated[Joining, "which open stream a further reader joins"] = Joining.BEFORE_FIRST
    event_bytes_max: Annotated[int, "bytes of one event"] = 4 * 1024 * 1024
    queue_events_max: Annotated[int, "events that wait for one reader; the oldest go first"] = 128
    heartbeat_ms: Annotated[int, "milliseconds between a subgraph's signs of life (callback)"] = 5_000
    topics: Annotated[Mapping[str, EventTopic], "by a subscription field's name, its events (events)"] = (
        field(default_factory=dict)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswers:
    """Whether what a subgraph answers is kept. Only what says how long it is good is kept: by its
    `Cache-Control`, or by `@cacheControl` in the supergraph; `ttl_s_default` speaks for neither."""

    enabled: Annotated[bool, "keep answers that may be kept"] = False
    ttl_s_default: Annotated[int, "seconds for answers that do not say how long they are good"] = 0
    ttl_s_max: Annotated[int, "seconds for which any answer is kept, at most"] = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """How calls prove to a subgraph that is not the platform's own that the router made them: by a seal, an
    HMAC over time, a nonce, the subgraph's name and the body (`authz/identity/seals.py`)."""

    secret: Annotated[
        str, "secret shared with the subgraph, 32 bytes or more, as `${env.NAME}`; none: no seal"
    ] = field(default="", repr=False)  # fmt: skip
    header: Annotated[str, "header that carries the seal"] = "stadion-seal"

    def __post_init__(self) -> None:
        if self.secret:
            check_secret(self.secret.encode())
        if not self.header:
            raise ValueError("a seal needs its `header`")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgraphTraffic:
    """How calls to one subgraph are made. `url` replaces the supergraph's."""

    url: Annotated[str, "address instead of the supergraph's"] = ""
    socket: Annotated[str, "path of a Unix socket that is connected to instead of the address's host"] = ""
    timeout_ms_max: Annotated[int, "milliseconds for one call; 0: `subgraph_timeout_ms_max`"] = 0
    connect_timeout_ms_max: Annotated[int, "milliseconds to connect"] = 5_000
    connections_max: Annotated[int, "connections to the subgraph"] = 200
    keep_alive_ms: Annotated[int, "milliseconds for which an idle connection is kept"] = 30_000
    answer_bytes_max: Annotated[int, "bytes of one answer, decompressed"] = 64 * 1024 * 1024
    http2: Annotated[Http2, "HTTP/2: `negotiated` over https, `cleartext` over http without asking"] = (
        Http2.OFF
    )
    trusted_answers: Annotated[
        bool, "long answers that go on as they come are not checked to be JSON throughout"
    ] = False  # fmt: skip
    compress_requests: Annotated[bool, "compress bodies over 1 KiB (gzip)"] = False
    accept_compressed: Annotated[bool, "ask for compressed answers (zstd, br, gzip, deflate)"] = False
    shared_fetches: Annotated[bool, "equal fetches of equal rights under way together are made once"] = True
    headers: Annotated[tuple[HeaderRule, ...], "which headers calls carry"] = ()
    response_headers: Annotated[tuple[ReturnRule, ...], "which headers of answers go on to clients"] = ()
    retry: Annotated[RetryPolicy, "when a query is sent once more"] = field(default_factory=RetryPolicy)
    breaker: Annotated[BreakerPolicy, "when a subgraph is left alone"] = field(default_factory=BreakerPolicy)
    tls: Annotated[TlsFiles, "certificates"] = field(default_factory=TlsFiles)
    sealing: Annotated[Sealing, "proof of the router for subgraphs of others"] = field(
        default_factory=Sealing
    )
    subscriptions: Annotated[SubscriptionSource, "how events come"] = field(
        default_factory=SubscriptionSource
    )
    cache: Annotated[CachedAnswers, "whether answers are kept"] = field(default_factory=CachedAnswers)

    @property
    def returns_personal(self) -> bool:
        """Whether headers of its answers that go on to clients may be about one caller."""
        return any(rule.is_personal for rule in self.response_headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """What of the kept answers of `subgraphs` an event makes stale: what has the tag, else all entities of
    the type, else all."""

    topic: Annotated[str, "topic of the events"] = ""
    subgraphs: Annotated[tuple[str, ...], "names of the subgraphs whose answers are forgotten"] = ()
    cache_tag: Annotated[str, "tag of what is forgotten, such as `run-{$event.id}`"] = ""
    type: Annotated[str, "type of the entities that are forgotten"] = ""

    def __post_init__(self) -> None:
        if not (self.topic and self.subgraphs):
            raise ValueError("a rule of `forget_on` needs `topic` and `subgraphs`")
        if self.cache_tag and self.type:
            raise ValueError("a rule of `forget_on` has `cache_tag` or `type`, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Settings for all subgraphs, and by name those of one: what it leaves out is as for all, and its
    header rules follow theirs."""

    all: Annotated[SubgraphTraffic, "for every subgraph"] = field(default_factory=SubgraphTraffic)
    by_name: Annotated[
        Mapping[str, SubgraphTraffic], "by a subgraph's name, what differs from `all` for it"
    ] = field(default_factory=dict)
    forget_on: Annotated[
        tuple[Forgetting, ...], "events of the bus by which kept answers are forgotten"
    ] = ()  # fmt: skip
    callback_url: Annotated[
        str, "where subgraphs reach this router's `/callback`, for subscriptions by callback"
    ] = ""

    def __post_init__(self) -> None:
        used = any(one.subscriptions.protocol is StreamProtocol.CALLBACK for one in self.each())
        if used and not self.callback_url.startswith(("http://", "https://")):
            raise ValueError("subscriptions by callback need `callback_url`, an http:// or https:// URL")

    @property
    def needs_events(self) -> bool:
        """Whether subscriptions of some subgraph, or what to forget, come from the event bus."""
        return bool(self.forget_on) or any(
            one.subscriptions.protocol is StreamProtocol.EVENTS for one in self.each()
        )

    @property
    def returns_headers(self) -> bool:
        """Whether headers of some subgraph's answers go on to clients."""
        return any(one.response_headers for one in self.each())

    @property
    def returns_personal(self) -> bool:
        """Whether some of them may be about one caller."""
        return any(one.returns_personal for one in self.each())

    @property
    def returns_freshness(self) -> bool:
        """Whether clients are told how long answers are good by what subgraphs say of theirs."""
        return any(rule.names("cache-control") for one in self.each() for rule in one.response_headers)

    @property
    def keeps_answers(self) -> bool:
        """Whether answers of some subgraph are kept."""
        return any(one.cache.enabled for one in self.each())

    def each(self) -> tuple[SubgraphTraffic, ...]:
        """The settings for all, and every subgraph's own."""
        return (self.all, *self.by_name.values())

    def of(self, name: str) -> SubgraphTraffic:
        """What holds for one subgraph."""
        return self.by_name.get(name, self.all)

    def client_headers(self) -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
        """Names, lower case, and patterns of the client's headers that some subgraph is to see."""
        rules = [
            rule.propagate for one in self.each() for rule in one.headers if rule.propagate != Propagated()
        ]
        names = frozenset(rule.named.lower() for rule in rules if rule.named)
        patterns = dict.fromkeys(rule.matching for rule in rules if rule.matching)
        return names, tuple(re.compile(one, re.IGNORECASE) for one in patterns)
