"""RouterConfig: every setting and limit of the router, with its unit; read once, before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

Section = TypeVar("Section")


class ConfigError(ValueError):
    """A setting that the router does not know or cannot take; the text names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLimits:
    """What the text of one operation may ask for before anything is planned. 0 switches a limit off."""

    document_bytes_max: int = 512 * 1024
    tokens_max: int = 15_000
    nesting_max: int = 200
    depth_max: int = 200
    fields_max: int = 50_000
    aliases_max: int = 1_000
    root_fields_max: int = 500
    directives_max: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one HTTP request may weigh, and how long it may take to arrive.

    `batch_operations_max=0`: a list of operations is refused.
    """

    body_bytes_max: int = 2_000_000
    body_wait_ms_max: int = 10_000
    upload_bytes_max: int = 50_000_000
    upload_wait_ms_max: int = 300_000
    uploads_max: int = 10
    url_bytes_max: int = 32_000
    batch_operations_max: int = 0
    in_flight_max: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What clients that keep a connection open may take."""

    init_wait_ms_max: int = 3_000
    heartbeat_ms: int = 10_000
    queue_events_max: int = 128
    connections_max: int = 10_000
    operations_per_connection_max: int = 100
    message_bytes_max: int = 2_000_000


class Safelist(StrEnum):
    """Which documents are run, where some are registered in a manifest."""

    OFF = "off"
    LOG_UNKNOWN = "log_unknown"
    KNOWN_TEXTS = "known_texts"
    IDS_ONLY = "ids_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistedConfig:
    """Documents by id. `automatic`: clients may have theirs remembered by their hash.

    `safelist`: `log_unknown` runs all and logs the hash of what is not registered; `known_texts` runs
    registered texts alone; `ids_only` runs nothing but ids of registered documents.
    """

    automatic: bool = True
    safelist: Safelist = Safelist.OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """Requests a minute for one caller (a person, or an address for anonymous ones). 0 switches it off.

    `burst_requests_max` may come at once; they count as requests of the minute.
    """

    requests_per_minute_max: int = 0
    burst_requests_max: int = 100
    callers_max: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """Entries kept for each supergraph, least recently used out first.

    `text_chars_max` bounds the texts of all kept documents together, and those of all plans: what is
    kept for a text takes some hundred bytes a character. `warmed_max` of the latest documents are planned
    on a new supergraph before it is taken into use.
    """

    documents_max: int = 1_024
    plans_max: int = 512
    persisted_documents_max: int = 1_024
    text_chars_max: int = 4_000_000
    warmed_max: int = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsConfig:
    """Which pages of other origins may call. No origins: none. `*` means any, then without credentials."""

    origins: tuple[str, ...] = ()
    headers: tuple[str, ...] = ("authorization", "content-type", "graphql-require-preflight")
    max_age_s: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """The router's settings. `forward_headers` are request headers handed on to subgraphs, lower case.

    `trusted_preflight_headers`: one of them proves that a browser asked for permission first.
    `introspection_by_caller`: each caller reads the schema that their rights can reach, and errors
    suggest nothing. `compression` is for those without a proxy in front: it costs more than all other
    work on an answer.
    `shared_queries`: equal queries of one caller that are under way together are answered once.
    `override_labels`: named labels of `@override` that are on; `percent(n)` labels need no setting.
    """

    introspection: bool = True
    introspection_by_caller: bool = False
    shared_queries: bool = True
    explorer: bool = True
    csrf_prevention: bool = True
    compression: bool = False
    expose_subgraph_errors: bool = True
    forward_headers: tuple[str, ...] = ()
    trusted_preflight_headers: tuple[str, ...] = (
        "graphql-require-preflight",
        "apollo-require-preflight",
        "x-apollo-operation-name",
    )
    override_labels: tuple[str, ...] = ()
    request_timeout_ms_max: int = 30_000
    subgraph_timeout_ms_max: int = 30_000
    drain_ms_max: int = 10_000
    operation: OperationLimits = field(default_factory=OperationLimits)
    http: HttpLimits = field(default_factory=HttpLimits)
    persisted: PersistedConfig = field(default_factory=PersistedConfig)
    rate: RateLimits = field(default_factory=RateLimits)
    streams: StreamLimits = field(default_factory=StreamLimits)
    caches: CacheLimits = field(default_factory=CacheLimits)
    cors: CorsConfig = field(default_factory=CorsConfig)


def read_config(settings: Mapping[str, Any]) -> RouterConfig:
    """The configuration that `settings` (a decoded YAML or JSON document) describes, defaults elsewhere.

    Errors: ConfigError for a key that does not exist, a value of another type, a negative number.
    """
    return _section(RouterConfig, settings, at="")


def _section(kind: type[Section], settings: object, *, at: str) -> Section:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"`{at.rstrip('.') or 'the configuration'}` must be a mapping of settings")
    hints = typing.get_type_hints(kind)
    for key in settings:
        if key not in hints:
            raise ConfigError(_unknown(str(key), tuple(hints), at))
    values = {key: _value(hints[key], value, at=f"{at}{key}") for key, value in settings.items()}
    return kind(**values)


def _unknown(key: str, known: tuple[str, ...], at: str) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean `{at}{near[0]}`?" if near else "take it out"
    return f"unknown setting `{at}{key}`; {advice}"


def _value(hint: Any, value: object, *, at: str) -> object:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _section(hint, value, at=f"{at}.")
    if isinstance(hint, types.GenericAlias):
        return _texts(value, at=at)
    if issubclass(hint, StrEnum):
        if value not in set(hint):
            raise ConfigError(f"`{at}` must be one of {', '.join(hint)}, not `{value}`")
        return hint(value)
    if type(value) is not hint:
        raise ConfigError(f"`{at}` must be {_wanted(hint)}, not `{value}`")
    if isinstance(value, int) and value < 0:
        raise ConfigError(f"`{at}` must be 0 or more, not `{value}`")
    return value


def _texts(value: object, *, at: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"`{at}` must be a list of texts")
    return tuple(value)


def _wanted(hint: Any) -> str:
    return {bool: "true or false", int: "a whole number"}.get(hint, "a text")
