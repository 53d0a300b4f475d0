"""Header settings: which headers calls to subgraphs carry, and which of their answers' clients get."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Propagated:
    """A client's header that goes on to the subgraph. `matching` is a regular expression for whole names."""

    named: Annotated[str, "name of a request header"] = ""
    matching: Annotated[str, "regular expression for whole names of request headers"] = ""
    rename: Annotated[str, "name under which it goes on"] = ""
    default: Annotated[str, "value where the client sent none"] = ""

    def __post_init__(self) -> None:
        _check_names(self.named, self.matching)
        _check_name(self.rename)
        _check_value(self.default)
        if self.matching and (self.rename or self.default):
            raise ValueError("`rename` and `default` go with `named`, not with `matching`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """A header that every call carries."""

    name: Annotated[str, "name of the header"] = ""
    value: Annotated[str, "its value"] = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_value(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Headers that an earlier rule let through and that do not go on after all."""

    named: Annotated[str, "name of a header"] = ""
    matching: Annotated[str, "regular expression for whole names of headers"] = ""

    def __post_init__(self) -> None:
        _check_names(self.named, self.matching)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRule:
    """One of `propagate`, `insert` and `remove`. Rules are followed in their order."""

    propagate: Annotated[Propagated, "a client's header goes on"] = field(default_factory=Propagated)
    insert: Annotated[Inserted, "a header is set"] = field(default_factory=Inserted)
    remove: Annotated[Removed, "headers are taken out"] = field(default_factory=Removed)

    def __post_init__(self) -> None:
        said = [self.propagate != Propagated(), self.insert != Inserted(), self.remove != Removed()]
        if sum(said) != 1:
            raise ValueError("a header rule is one of `propagate`, `insert` and `remove`")
        if self.insert != Inserted() and not self.insert.name:
            raise ValueError("`insert` needs the `name` of the header")
        for name in (self.propagate.rename, self.insert.name):
            if name.lower() in OF_ONE_CALL:
                raise ValueError(f"`{name}` is for the router to set on each call")


class Merging(StrEnum):
    """What becomes of one header of several calls: that of the answer that came last or first, or all."""

    LAST = "last"
    FIRST = "first"
    APPEND = "append"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """A header of a subgraph's answer that goes on to the client. `set-cookie` is always a line for each
    value, `cache-control` always the most restrictive of all calls."""

    named: Annotated[str, "name of an answer's header"] = ""
    matching: Annotated[str, "regular expression for whole names of an answer's headers"] = ""
    rename: Annotated[str, "name under which it goes on"] = ""
    default: Annotated[str, "value where the subgraph sent none"] = ""
    merging: Annotated[Merging, "which of several calls' values the client gets"] = Merging.LAST

    def __post_init__(self) -> None:
        _check_names(self.named, self.matching)
        _check_name(self.rename)
        _check_value(self.default)
        if self.matching and (self.rename or self.default):
            raise ValueError("`rename` and `default` go with `named`, not with `matching`")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRule:
    """One of `propagate`, `insert` and `remove`. Rules are followed in their order."""

    propagate: Annotated[Returning, "a header of the subgraph's answer goes on"] = field(
        default_factory=Returning
    )
    insert: Annotated[Inserted, "a header is set"] = field(default_factory=Inserted)
    remove: Annotated[Removed, "headers are taken out"] = field(default_factory=Removed)

    def __post_init__(self) -> None:
        said = [self.propagate != Returning(), self.insert != Inserted(), self.remove != Removed()]
        if sum(said) != 1:
            raise ValueError("a return rule is one of `propagate`, `insert` and `remove`")
        if self.insert != Inserted() and not self.insert.name:
            raise ValueError("`insert` needs the `name` of the header")
        for name in (self.propagate.named, self.propagate.rename, self.insert.name):
            if stays_here(name.lower()) and name.lower() not in _BY_NAME_ALONE:
                raise ValueError(f"`{name}` is the router's own or its connection's: it goes to no client")

    def names(self, name: str) -> bool:
        """Whether it lets this header through."""
        one = self.propagate
        if one.named:
            return name == (one.rename or one.named).lower()
        return bool(one.matching) and re.fullmatch(one.matching, name, re.IGNORECASE) is not None

    @property
    def is_personal(self) -> bool:
        """Whether it may let through what is about one caller: all but how long an answer is good may be."""
        return self.propagate != Returning() and self.propagate.named.lower() != "cache-control"


def stays_here(name: str) -> bool:
    """Whether an answer's header of this lower-case name never goes on to a client."""
    return name in _OF_ONE_HOP or name.startswith(_OF_ROUTERS)


_OF_ONE_HOP: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade", "host", "expect", "content-length", "content-type",
        "content-encoding", "content-range", "accept-ranges", "etag", "last-modified", "age", "date",
        "server", "via", "vary", "alt-svc", "location", "www-authenticate", "allow", "retry-after",
        "x-sendfile",
    }
)  # fmt: skip
"""Headers of one connection, one body, or of what the router itself says."""
_BY_NAME_ALONE: Final = frozenset({"retry-after"})
"""Of these, what a domain may say as well: let through by a rule that names it, by no pattern."""
_OF_ROUTERS: Final = ("stadion-", "access-control-", "x-accel-")
"""How names begin of what the router, its rules on origins and a proxy before it say."""


OF_ONE_CALL: Final = frozenset(
    {
        "host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding",
        "accept", "accept-encoding", "upgrade", "keep-alive", "te", "trailer", "expect", "proxy-connection",
        "proxy-authorization", "proxy-authenticate",
    }
)  # fmt: skip
"""Headers of one connection and one body towards a subgraph: the transport sets its own."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")


def check_lower(setting: str, names: tuple[str, ...]) -> None:
    """Refuse names that no header is found by, since headers are known by lower-case names."""
    for name in names:
        if not name or name != name.lower() or not _NAME.fullmatch(name):
            raise ValueError(f"`{setting}` has names of headers in lower case, not `{name}`")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"`{name}` is not the name of a header")


def _check_value(value: str) -> None:
    if not value.isprintable():
        raise ValueError("the value of a header is one line of printable characters")


def _check_names(named: str, matching: str) -> None:
    _check_name(named)
    if named and matching:
        raise ValueError("a header is `named` or found by `matching`, not both")
    try:
        re.compile(matching)
    except re.error as error:
        raise ValueError(f"`{matching}` is not a regular expression: {error.msg}") from None
