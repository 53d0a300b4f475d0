"""RouterConfig: every setting and limit of the router, with its unit; read once, before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from router.admission import (
    Authorization,
    ClientClass,
    CorsConfig,
    DemandControl,
    ForeignIssuer,
    ProofNonceSettings,
    Proxies,
    Safelist,
    ServerTls,
    TelemetryConfig,
)
from router.codings import WRITTEN
from router.header_settings import check_lower
from router.traffic import Traffic

__all__ = ["ConfigError", "CorsConfig", "RouterConfig", "Safelist", "read_config"]

Section = TypeVar("Section")
VARIABLE: Final = re.compile(r"\$\{env\.(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
NO_ENVIRONMENT: Final[Mapping[str, str]] = {}


class ConfigError(ValueError):
    """A setting that the router does not know or cannot take; the text names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLimits:
    """What the text of one operation may ask for before anything is planned. 0 switches a limit off."""

    document_bytes_max: Annotated[int, "bytes of one operation's text"] = 512 * 1024
    tokens_max: Annotated[int, "lexical tokens of the text"] = 15_000
    nesting_max: Annotated[int, "levels of brackets in the text; over 200 counts as 200"] = 200
    depth_max: Annotated[int, "levels of fields, fragments followed"] = 200
    fields_max: Annotated[int, "fields in all, fragments expanded"] = 50_000
    aliases_max: Annotated[int, "aliased fields"] = 1_000
    root_fields_max: Annotated[int, "fields at the operation's root"] = 500
    directives_max: Annotated[int, "directives in the operation"] = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one HTTP request may weigh, and how long it may take to arrive.

    `batch_operations_max=0`: a list of operations is refused.
    """

    head_bytes_max: Annotated[int, "bytes of a request's head; more get 431"] = 65_536
    head_wait_ms_max: Annotated[int, "milliseconds until a head that has begun has arrived"] = 10_000
    body_bytes_max: Annotated[int, "bytes of a request body"] = 2_000_000
    body_wait_ms_max: Annotated[int, "milliseconds until the body has arrived"] = 10_000
    upload_bytes_max: Annotated[int, "bytes of a multipart request with files"] = 50_000_000
    upload_wait_ms_max: Annotated[int, "milliseconds until such a request has arrived"] = 300_000
    uploads_max: Annotated[int, "files in one request"] = 10
    url_bytes_max: Annotated[int, "bytes of the URL's parameters"] = 32_000
    batch_operations_max: Annotated[int, "operations in one list; 0 refuses lists"] = 0
    in_flight_max: Annotated[int, "requests under way; more get 503"] = 2_000
    compressed_bytes_min: Annotated[int, "bytes from which on an answer is compressed"] = 1_024
    first_request_wait_ms_max: Annotated[
        int, "milliseconds for which a stopping router waits for a connection's first request"
    ] = 2_000
    next_request_wait_ms_max: Annotated[
        int, "milliseconds for which it waits for one more request of a connection that was kept alive"
    ] = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What clients that keep a connection open may take."""

    init_wait_ms_max: Annotated[int, "milliseconds for a WebSocket client to send `connection_init`"] = 3_000
    heartbeat_ms: Annotated[int, "milliseconds of silence before a sign of life"] = 10_000
    queue_events_max: Annotated[int, "events that wait for a slow client; the oldest go first"] = 128
    lost_events_max: Annotated[int, "events that a client may lose before its stream ends; 0: any"] = 1_000
    send_wait_ms_max: Annotated[
        int, "milliseconds that a client may take to read what was sent; twice that of a whole answer"
    ] = 30_000
    connections_max: Annotated[int, "streams and WebSocket connections open at a time; more get 503"] = 10_000
    per_caller_max: Annotated[int, "of these, how many one caller may have open; 0: all"] = 1_000
    operations_per_connection_max: Annotated[int, "operations under way on one WebSocket connection"] = 100
    message_bytes_max: Annotated[int, "bytes of one WebSocket message"] = 2_000_000
    websocket_compression: Annotated[
        bool, "compress WebSocket messages (permessage-deflate), each by itself"
    ] = False

    def __post_init__(self) -> None:
        if not self.heartbeat_ms:
            raise ValueError("`heartbeat_ms` is 1 or more: there is a pause between signs of life")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistedConfig:
    """Documents by id. `automatic`: clients may have theirs remembered by their hash.

    `safelist`: `log_unknown` runs all and logs the hash of what is not registered; `known_texts` runs
    registered texts alone; `ids_only` runs nothing but ids of registered documents.
    """

    automatic: Annotated[bool, "clients may have a document remembered by its hash"] = True
    safelist: Annotated[Safelist, "what runs where documents are registered"] = Safelist.OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """Requests a minute for one caller (a person, or an address for anonymous ones), and for one address,
    whoever asks from there. 0 switches it off. `burst_requests_max` may come at once; they count.

    With a Redis (`STADION_RATE_URL`) all routers count together; while it is away, each by itself.
    """

    requests_per_minute_max: Annotated[int, "requests a minute for one caller; 0 sets no rate"] = 0
    address_requests_per_minute_max: Annotated[
        int, "requests a minute from one address, whoever asks; 0 sets no rate"
    ] = 0
    burst_requests_max: Annotated[int, "of these, how many may come at once"] = 100
    callers_max: Annotated[int, "callers whose rates are remembered"] = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """Entries kept for each supergraph, least recently used out first.

    `text_chars_max` bounds the texts of all kept documents together, and those of all plans: what is
    kept for a text takes some hundred bytes a character. `warmed_max` of the hottest operations are planned
    on a new supergraph before it is taken into use.
    """

    documents_max: Annotated[int, "operation texts kept with what is known of them"] = 1_024
    plans_max: Annotated[int, "compiled plans kept"] = 512
    persisted_documents_max: Annotated[int, "documents remembered by their hash"] = 1_024
    text_chars_max: Annotated[int, "characters of all texts kept, and of all plans"] = 4_000_000
    warmed_max: Annotated[int, "hottest operations planned on a new supergraph before it serves"] = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """The router's settings. `forward_headers` are request headers handed on to subgraphs, lower case.

    `trusted_preflight_headers`: one of them proves that a browser asked for permission first.
    `introspection_by_caller`: each caller reads the schema that their rights can reach, and errors
    suggest nothing. Subgraphs' errors are shown where all of them are exposed, or where their code says that
    they were worded for clients; the others are masked under the request's trace id. `compression` is for
    those without a proxy in front: it costs more than all other work on an answer.
    `shared_queries`: equal queries of one caller that are under way together are answered once.
    `override_labels`: named labels of `@override` that are on; `percent(n)` labels need no setting.
    """

    introspection: Annotated[bool, "answer `__schema` and `__type`; `stadion router --dev` does"] = False
    introspection_by_caller: Annotated[
        bool, "each caller reads the schema that their rights can reach; no suggestions"
    ] = False
    shared_queries: Annotated[
        bool, "equal queries of one caller that are under way together are answered once"
    ] = True
    explorer: Annotated[bool, "serve the explorer to browsers at `/graphql`"] = True
    csrf_prevention: Annotated[bool, "refuse what another site's form could send"] = True
    compression: Annotated[bool, "compress answers, as their client takes them"] = False
    compression_codings: Annotated[
        tuple[str, ...], "codings of compressed answers, the most wanted first: `zstd`, `br`, `gzip`"
    ] = WRITTEN
    expose_subgraph_errors: Annotated[
        bool, "show all of subgraphs' errors to clients; `stadion router --dev` does"
    ] = False
    exposed_error_codes: Annotated[
        tuple[str, ...], "subgraphs' errors with one of these codes are shown whatever else is"
    ] = (
        "BAD_CURSOR",
        "BAD_INPUT",
        "BAD_PAGE",
        "CONFLICT",
        "FORBIDDEN",
        "FORBIDDEN_ARGUMENT",
        "FORBIDDEN_FIELD",
        "NOT_FOUND",
        "REGION_UNAVAILABLE",
        "SUBSCRIPTION_EXPIRED",
        "UNAUTHENTICATED",
    )
    expose_query_plan: Annotated[
        bool, "tell plans to those who send the header `Apollo-Expose-Query-Plan: true` (or `dry-run`)"
    ] = False
    error_extensions: Annotated[
        tuple[str, ...], "members of subgraphs' error extensions that clients see; none: all, "
        "of errors that are shown for their code `code` and `obligation`"
    ] = ()  # fmt: skip
    null_reasons: Annotated[bool, "tell which fetch left which null, in `extensions.nullReasons`"] = False
    forward_headers: Annotated[tuple[str, ...], "request headers handed on to subgraphs, lower case"] = ()
    trusted_preflight_headers: Annotated[
        tuple[str, ...], "one of them proves that a browser asked for permission first"
    ] = (
        "graphql-require-preflight",
        "apollo-require-preflight",
        "x-apollo-operation-name",
    )
    public_urls: Annotated[
        tuple[str, ...],
        "where clients reach `/graphql`, as proofs of keys name it; none: the port itself",
    ] = ()
    proof_nonces: Annotated[ProofNonceSettings, "what proofs of keys have to repeat"] = field(
        default_factory=ProofNonceSettings
    )
    require_client_name: Annotated[bool, "refuse requests without a header that names the client"] = False
    require_operation_name: Annotated[bool, "refuse operations without a name"] = False
    override_labels: Annotated[tuple[str, ...], "labels of `@override` that are on"] = ()
    request_timeout_ms_max: Annotated[int, "milliseconds for a whole request"] = 30_000
    subgraph_timeout_ms_max: Annotated[int, "milliseconds for one call to a subgraph"] = 30_000
    drain_ms_max: Annotated[int, "milliseconds for requests under way when the router stops"] = 10_000
    operation: Annotated[OperationLimits, "what one operation may ask for"] = field(
        default_factory=OperationLimits
    )
    http: Annotated[HttpLimits, "what one HTTP request may take"] = field(default_factory=HttpLimits)
    persisted: Annotated[PersistedConfig, "documents by id or hash"] = field(default_factory=PersistedConfig)
    rate: Annotated[RateLimits, "how often one caller may ask"] = field(default_factory=RateLimits)
    streams: Annotated[StreamLimits, "what open connections may take"] = field(default_factory=StreamLimits)
    caches: Annotated[CacheLimits, "what is kept between requests"] = field(default_factory=CacheLimits)
    cors: Annotated[CorsConfig, "which pages of other origins may call"] = field(default_factory=CorsConfig)
    authorization: Annotated[Authorization, "what callers without all rights get"] = field(
        default_factory=Authorization
    )
    demand: Annotated[DemandControl, "what operations may cost"] = field(default_factory=DemandControl)
    client_classes: Annotated[
        Mapping[str, ClientClass], "by a name of yours: what holds for some clients instead"
    ] = field(default_factory=dict)
    issuers: Annotated[tuple[ForeignIssuer, ...], "others whose tokens are taken"] = ()
    proxies: Annotated[Proxies, "who stands between clients and the router"] = field(default_factory=Proxies)
    tls: Annotated[ServerTls, "certificates of the public port"] = field(default_factory=ServerTls)
    telemetry: Annotated[TelemetryConfig, "where metrics and traces go"] = field(
        default_factory=TelemetryConfig
    )
    subgraphs: Annotated[Traffic, "how subgraphs are called"] = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        if not self.compression_codings or not set(self.compression_codings) <= set(WRITTEN):
            raise ValueError(f"`compression_codings` are of {', '.join(WRITTEN)}")
        check_lower("forward_headers", self.forward_headers)
        check_lower("trusted_preflight_headers", self.trusted_preflight_headers)
        if not (self.request_timeout_ms_max and self.subgraph_timeout_ms_max):
            raise ValueError("`request_timeout_ms_max` and `subgraph_timeout_ms_max` are 1 or more")


class _Given(str):
    """A value that the environment gave: whatever kind its setting has, it came as text."""

    __slots__ = ()


def read_config(settings: Mapping[str, Any], environment: Mapping[str, str] = NO_ENVIRONMENT) -> RouterConfig:
    """The configuration that `settings` (a decoded YAML or JSON document) describes, defaults elsewhere.

    `${env.NAME}` in a text is `environment`'s value, `${env.NAME:-text}` has a default, also for
    an empty one.
    Errors: ConfigError for a key that does not exist, a value of another type, a negative number, a
    variable that is not set.
    """
    return _section(RouterConfig, _expanded(settings, environment, at=""), at="")


def _expanded(value: Any, environment: Mapping[str, str], *, at: str) -> Any:
    """The same settings with what the environment says in them. No value of it is in any message."""
    if isinstance(value, Mapping):
        return {
            key: _expanded(one, environment, at=f"{at}.{key}" if at else str(key))
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_expanded(one, environment, at=at) for one in value]
    if not isinstance(value, str) or "${" not in value:
        return value

    def given(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name not in environment and default is None:
            raise ConfigError(
                f"`{at}`: the environment has no `{name}`; set it, or write `${{env.{name}:-…}}`"
            )
        return environment.get(name) or default or ""

    if "${" in "".join((VARIABLE.sub("", value), *(default for _, default in VARIABLE.findall(value)))):
        raise ConfigError(f"`{at}`: write `${{env.NAME}}` or `${{env.NAME:-text}}`, one not within another")
    return _Given(VARIABLE.sub(given, value))


def _section(kind: type[Section], settings: object, *, at: str) -> Section:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"`{at.rstrip('.') or 'the configuration'}` must be a mapping of settings")
    hints = typing.get_type_hints(kind)
    for key in settings:
        if key not in hints:
            raise ConfigError(_unknown(str(key), tuple(hints), at))
    values = {
        key: _value(hints[key], value, at=f"{at}{key}", beside=settings) for key, value in settings.items()
    }
    try:
        return kind(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"`{at.rstrip('.')}`: {error}") from None


def _unknown(key: str, known: tuple[str, ...], at: str) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean `{at}{near[0]}`?" if near else "take it out"
    return f"unknown setting `{at}{key}`; {advice}"


def _value(hint: Any, value: object, *, at: str, beside: Mapping[str, Any]) -> object:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _section(hint, value, at=f"{at}.")
    if typing.get_origin(hint) is Mapping:
        member = typing.get_args(hint)[1]
        if member is int:
            return _numbers(value, at=at)
        return _by_name(member, value, at=at, for_all=beside.get("all"))
    if isinstance(hint, types.GenericAlias):
        member = typing.get_args(hint)[0]
        return _texts(value, at=at) if member is str else _sections(member, value, at=at)
    if issubclass(hint, StrEnum):
        if value not in set(hint):
            found = "what the environment says" if isinstance(value, _Given) else f"`{value}`"
            raise ConfigError(f"`{at}` must be one of {', '.join(hint)}, not {found}")
        return hint(value)
    if isinstance(value, _Given):
        value = _typed(value, hint)
        if type(value) is not hint:
            raise ConfigError(f"`{at}` must be {_wanted(hint)}; the environment says something else")
    if type(value) is not hint:
        raise ConfigError(f"`{at}` must be {_wanted(hint)}, not `{value}`")
    if isinstance(value, int) and value < 0:
        raise ConfigError(f"`{at}` must be 0 or more, not `{value}`")
    return value


def _typed(text: str, hint: type) -> object:
    """What a text of the environment is as a value of this kind; the text itself where it is none."""
    if hint is bool and text in {"true", "false"}:
        return text == "true"
    return int(text) if hint is int and text.isdecimal() else str(text)


def _numbers(value: object, *, at: str) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"`{at}` must be a mapping from names to whole numbers")
    return {
        str(name): int(_value(int, number, at=f"{at}.{name}", beside={}))  # type: ignore[call-overload]
        for name, number in value.items()
    }


def _by_name(kind: type[Section], value: object, *, at: str, for_all: object) -> dict[str, Section]:
    """Sections by name, each over what the section `all` beside them says."""
    if not isinstance(value, Mapping) or not all(isinstance(one, Mapping) for one in value.values()):
        raise ConfigError(f"`{at}` must be a mapping from names to settings")
    below = for_all if isinstance(for_all, Mapping) else {}
    return {str(name): _section(kind, _over(below, own), at=f"{at}.{name}.") for name, own in value.items()}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both sections in one; lists follow one another, for everything else `above` wins."""
    found = dict(below)
    for key, value in above.items():
        known = found.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = _over(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            value = known + value
        found[key] = value
    return found


def _sections(kind: type[Section], value: object, *, at: str) -> tuple[Section, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"`{at}` must be a list of settings")
    return tuple(_section(kind, one, at=f"{at}[{index}].") for index, one in enumerate(value))


def _texts(value: object, *, at: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"`{at}` must be a list of texts")
    return tuple(value)


def _wanted(hint: Any) -> str:
    return {bool: "true or false", int: "a whole number"}.get(hint, "a text")
