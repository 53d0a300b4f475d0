"""Admission: settings on who may ask for what and how much; read once, before anything runs."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from authz.identity.proof_nonces import KEY_BYTES_MIN
from authz.identity.subject import Subject
from router.header_settings import check_lower


class Safelist(StrEnum):
    """Which documents are run, where some are registered in a manifest."""

    OFF = "off"
    LOG_UNKNOWN = "log_unknown"
    KNOWN_TEXTS = "known_texts"
    IDS_ONLY = "ids_only"


class Demand(StrEnum):
    """What is done with costs."""

    OFF = "off"
    MEASURE = "measure"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsConfig:
    """Which pages of other origins may call. No origins: none. `*` means any, then without credentials.

    `headers` are those that the router itself reads, as it comes.
    """

    origins: Annotated[tuple[str, ...], "origins whose pages may call; `*` is any"] = ()
    headers: Annotated[tuple[str, ...], "request headers those pages may send"] = (
        "authorization",
        "content-type",
        "dpop",
        "graphql-require-preflight",
        "apollo-require-preflight",
        "x-apollo-operation-name",
        "graphql-client-name",
        "apollographql-client-name",
        "apollographql-client-version",
        "stadion-client-name",
        "traceparent",
        "tracestate",
    )
    exposed_headers: Annotated[
        tuple[str, ...], "headers of answers that those pages may read, besides `stadion-trace-id`"
    ] = ()  # fmt: skip
    credentials: Annotated[
        bool, "those pages may have the browser send cookies, and read the answers; not with `*`"
    ] = False
    max_age_s: Annotated[int, "seconds for which a browser remembers the permission"] = 600

    def __post_init__(self) -> None:
        if self.credentials and "*" in self.origins:
            raise ValueError("name the `origins` that may send credentials; `*` is everybody")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandControl:
    """What operations may cost, by `@cost` and `@listSize`. An object costs 1 and a mutation 10 more, unless
    the schema says otherwise; what is below a list costs as often as the list is long.

    `measure` counts and tells, `enforce` refuses as well. 0 sets no limit.
    """

    mode: Annotated[Demand, "whether costs are counted, and whether limits on them hold"] = Demand.OFF
    list_size_assumed: Annotated[int, "items of a list whose size `@listSize` does not tell"] = 10
    cost_max: Annotated[int, "estimated cost of one operation; 0 sets no limit"] = 0
    actual_cost_max: Annotated[int, "cost of one answer; a dearer one is not sent; 0 sets no limit"] = 0
    subgraph_cost_max: Annotated[
        Mapping[str, int],
        "by a subgraph's name, or `all`: estimated cost of an operation's fetches from it; those over it are "
        "left out",
    ] = field(default_factory=dict)
    measure_answers: Annotated[bool, "count what answers cost, too"] = True
    shown: Annotated[bool, "tell costs in `extensions.cost` of answers"] = False


class Told(StrEnum):
    """Where an answer tells of what directives denied."""

    ERRORS = "errors"
    EXTENSIONS = "extensions"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectiveErrors:
    """Who is told of denials by Federation's directives. A dry run never tells of them in `errors`."""

    log: Annotated[bool, "one line in the log for each operation of which something is denied"] = True
    response: Annotated[Told, "in `errors`, in `extensions.authorizationErrors`, or nowhere"] = Told.ERRORS


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectiveRules:
    """What `@authenticated`, `@requiresScopes` and `@policy` do to an operation whose caller lacks something.

    Without more, what is denied is taken out. A dry run goes before a refusal.
    """

    enabled: Annotated[bool, "enforce `@authenticated`, `@requiresScopes` and `@policy`"] = True
    reject_unauthorized: Annotated[bool, "refuse the whole operation where a part is denied"] = False
    dry_run: Annotated[bool, "take nothing out, refuse nothing: tell what would have been"] = False
    errors: Annotated[DirectiveErrors, "who is told of denials"] = field(default_factory=DirectiveErrors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What holds for callers who may not have all that they ask for."""

    directives: Annotated[DirectiveRules, "Federation's own directives"] = field(
        default_factory=DirectiveRules
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientClass:
    """What holds for some clients instead of the general settings. The first class that fits counts.

    A client belongs to it by its token alone: by the client that the token was issued to, or by a role.
    """

    client_ids: Annotated[tuple[str, ...], "clients, as tokens name them, that belong to it"] = ()
    roles: Annotated[tuple[str, ...], "roles whose bearers belong to it"] = ()
    safelist: Annotated[Safelist, "what runs for them where documents are registered"] = Safelist.OFF
    introspection: Annotated[bool, "answer `__schema` and `__type`, and suggest names in errors"] = True
    cost_max: Annotated[int, "estimated cost of one operation; 0: `demand.cost_max`"] = 0
    requests_per_minute_max: Annotated[
        int, "requests a minute for one caller; 0: `rate.requests_per_minute_max`"
    ] = 0


class TokenAlgorithm(StrEnum):
    """What tokens are signed with: each by a public key; no shared secret is ever one."""

    ED25519 = "Ed25519"
    ES256 = "ES256"
    RS256 = "RS256"
    PS256 = "PS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignIssuer:
    """Somebody else's issuer whose tokens are taken as well, by its own keys alone.

    It speaks for its people's scopes and clients, of roles for those in `roles` alone, and never for the
    level of authentication. RSA keys need 2 048 bits.
    """

    issuer: Annotated[str, "what `iss` of its tokens says"] = ""
    jwks: Annotated[str, "URL, or file, of its keys (JWKS)"] = ""
    audience: Annotated[str, "what `aud` of its tokens says, or holds"] = ""
    algorithms: Annotated[
        tuple[str, ...], "what it signs with: `Ed25519`, `ES256`, `RS256`, `PS256`"
    ] = ("Ed25519", "ES256")  # fmt: skip
    token_types: Annotated[tuple[str, ...], "what `typ` may say; an empty text: it may be missing"] = (
        "at+jwt",
        "jwt",
    )
    lifetime_s_max: Annotated[int, "seconds that its tokens are good for, at most"] = 3_600
    roles: Annotated[tuple[str, ...], "roles that its tokens may give; none: no roles"] = ()
    subject_prefix: Annotated[str, "text before its people's ids, which keeps them apart from ours"] = ""

    def __post_init__(self) -> None:
        if not (self.issuer and self.jwks and self.audience and self.lifetime_s_max):
            raise ValueError("an issuer needs `issuer`, `jwks`, `audience` and `lifetime_s_max`")
        if not self.algorithms or not set(self.algorithms) <= set(TokenAlgorithm):
            raise ValueError(f"`algorithms` are of {', '.join(TokenAlgorithm)}")


def class_of(subject: Subject, classes: Mapping[str, ClientClass]) -> tuple[str, ClientClass] | None:
    """The class that a caller's token names, else the first that fits, with its name; None for no class."""
    named = None if subject.client_class is None else classes.get(subject.client_class)
    if named is not None and subject.client_class is not None:
        return subject.client_class, named
    for name, one in classes.items():
        # Most classes are only ever named by tokens, and name nobody themselves.
        if one.client_ids and subject.client_id in one.client_ids:
            return name, one
        if one.roles and not subject.roles.isdisjoint(one.roles):
            return name, one
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Who stands between clients and the router. An address in `header` is believed as far as it was put
    there by a trusted network; with none trusted, the connection's own address is the client's.
    """

    trusted: Annotated[tuple[str, ...], "networks (CIDR) of proxies whose word on addresses is taken"] = ()
    header: Annotated[str, "header in which they tell the client's address, lower case"] = "x-forwarded-for"

    def __post_init__(self) -> None:
        for network in self.trusted:
            ipaddress.ip_network(network)
        check_lower("header", (self.header,))


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """Where metrics and traces go. Neither is anywhere unless it is said where."""

    metrics_address: Annotated[
        str, "`HOST:PORT` of `/metrics` (Prometheus), apart from the public port; workers after the first "
        "take the ports after it"
    ] = ""  # fmt: skip
    otlp_endpoint: Annotated[str, "URL of a collector (OTLP over HTTP) that traces go to"] = ""
    traced_percent: Annotated[
        int, "of a hundred requests without a caller's own trace, how many are traced"
    ] = 10
    json_logs: Annotated[bool, "write the log as one JSON object a line"] = False

    def __post_init__(self) -> None:
        if self.traced_percent > 100:
            raise ValueError("`traced_percent` is at most 100")
        host, _, port = self.metrics_address.rpartition(":")
        if self.metrics_address and not (host and port.isdigit() and int(port) < 65_536):
            raise ValueError("`metrics_address` must be `HOST:PORT`")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofNonceSettings:
    """What proofs of keys have to repeat, so that none is made in advance. Without a `key` a process takes
    only those that were made for it, so that none is used at another, either; several behind one address need
    the same."""

    required: Annotated[bool, "proofs have to repeat a nonce of the router's"] = False
    key: Annotated[str, "what nonces are made with, 32 bytes or more, the same for several routers"] = field(
        default="", repr=False
    )

    def __post_init__(self) -> None:
        if self.key and len(self.key.encode()) < KEY_BYTES_MIN:
            raise ValueError(f"`key` needs {KEY_BYTES_MIN} bytes or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """PEM files of the public port, which then speaks https alone. They are read anew when they change.

    With `client_ca_file`, clients need a certificate of one of its authorities.
    """

    certificate_file: Annotated[str, "the router's certificate, with its chain (PEM)"] = ""
    key_file: Annotated[str, "the key of that certificate (PEM)"] = ""
    client_ca_file: Annotated[str, "authorities of which clients need a certificate (PEM)"] = ""

    def __post_init__(self) -> None:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("a certificate needs its key: name `certificate_file` and `key_file` together")
        if self.client_ca_file and not self.certificate_file:
            raise ValueError("`client_ca_file` needs `certificate_file` and `key_file`")
