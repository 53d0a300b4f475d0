"""Headers of an answer: what a resolver says beside the body, for HTTP clients and for what lies between.

There is a method for each header that may be set, and no other way: names are fixed, values checked where
they are set, an answer's lines bounded. Which of them clients get is the router's to say
(`response_headers`); over streams and WebSockets an answer has no head, and they are left out.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from enum import StrEnum
from math import ceil
from typing import Any, Final, TypeAlias

from graphql import DocumentNode, FieldNode, GraphQLSchema, TypeInfo, TypeInfoVisitor, Visitor, visit

from subgraphs.kit.classification import FieldRule

_Rules: TypeAlias = Mapping[tuple[str, str], FieldRule]
VALUE_BYTES_MAX: Final = 2_048
BYTES_MAX: Final = 8_192
"""Bytes of all lines of one answer."""
SECONDS_MAX: Final = 31_536_000
"""A year: what is good for longer is good for ever."""
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_VALUE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_COOKIE_PATH: Final = re.compile(r"/[\x21-\x3a\x3c-\x7e]*")
_TARGET: Final = re.compile(r"(?:https://[^\s/?#<>\"]+|/(?!/))[^\s<>\"\\]*")
COOKIES: Final = "set-cookie"
_ABOUT_NOTHING: Final = frozenset({"__typename", "_entities"})
"""Fields that say nothing by themselves."""


class HeaderRefused(ValueError):
    """A header that cannot be set so: a fault of whoever sets it, masked for the client."""


class SameSite(StrEnum):
    """Which requests of other sites' pages carry a cookie."""

    STRICT = "Strict"
    LAX = "Lax"


class AnswerHeaders:
    """What one answer's head will say. One a request, as `info.context.answer_headers`.

    Errors: HeaderRefused, for line breaks and all else that is no printable ASCII, values that are not of the
    header's form or too long, and more lines than an answer may have.
    """

    __slots__ = ("_everyone", "_kept_s", "_lines", "_wait_s")

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._wait_s = 0
        self._kept_s: int | None = None
        self._everyone = True

    def retry_after(self, seconds: float) -> None:
        """When it is worth to ask again; the longest wait of several counts.  Source: RFC 9110 §10.2.3."""
        self._wait_s = max(self._wait_s, _seconds(ceil(seconds)))
        self._set("retry-after", str(self._wait_s))

    def keep(self, seconds: int, *, everyone: bool = False) -> None:
        """How long the answer is good, for its caller or for `everyone`; the shortest of several counts.

        It counts for queries without errors whose fields are all PUBLIC: whatever took a decision about
        somebody is nobody's to keep.  Source: RFC 9111 §5.2.2.
        """
        seconds = _seconds(seconds)
        self._kept_s = seconds if self._kept_s is None else min(self._kept_s, seconds)
        self._everyone = self._everyone and everyone

    def deprecated(
        self, since: dt.datetime, *, sunset: dt.datetime | None = None, see: str | None = None
    ) -> None:
        """What was asked should not be asked any more, and after `sunset` is not there; `see` says what
        to ask instead.  Source: RFC 9745, RFC 8594."""
        if since.tzinfo is None or (sunset is not None and sunset.tzinfo is None):
            raise HeaderRefused("a moment in a header has a time zone")
        if see is not None:
            if not _TARGET.fullmatch(see):
                raise HeaderRefused("a link goes to an absolute path or an https URL, percent-encoded")
            self._set("link", f'<{see}>; rel="deprecation"')
        self._set("deprecation", f"@{int(since.timestamp())}")
        if sunset is not None:
            self._set("sunset", format_datetime(sunset.astimezone(dt.UTC), usegmt=True))

    def cookie(
        self,
        name: str,
        value: str,
        *,
        path: str = "/",
        max_age_s: int | None = None,
        same_site: SameSite = SameSite.STRICT,
    ) -> None:
        """A cookie of this host, over TLS alone and hidden from scripts; `max_age_s` 0 takes it away, without
        one it ends with the browser.  Source: RFC 6265 §4.1."""
        fits = _TOKEN.fullmatch(name) and _COOKIE_VALUE.fullmatch(value) and _COOKIE_PATH.fullmatch(path)
        if not fits:
            raise HeaderRefused("a cookie's name, value or path has characters that it may not have")
        age = "" if max_age_s is None else f"; Max-Age={_seconds(max_age_s)}"
        line = f"{name}={value}; Path={path}{age}; Secure; HttpOnly; SameSite={same_site.value}"
        others = [one for one in self._lines.get(COOKIES, ()) if not one.startswith(f"{name}=")]
        self._set(COOKIES, *others, line)

    def lines(self, *, may_be_kept: bool) -> Mapping[str, Sequence[str]]:
        """Lower-case name → values."""
        if self._kept_s is None or not may_be_kept:
            return self._lines
        whose = "public" if self._everyone else "private"
        return {**self._lines, "cache-control": [f"{whose}, max-age={self._kept_s}"]}

    @property
    def wants_to_be_kept(self) -> bool:
        """Whether a resolver has said how long the answer is good."""
        return self._kept_s is not None

    def _set(self, name: str, *values: str) -> None:
        for value in values:
            if len(value) > VALUE_BYTES_MAX or not _VALUE.fullmatch(value):
                raise HeaderRefused(f"`{name}` takes up to {VALUE_BYTES_MAX} characters of printable ASCII")
        lines = {**self._lines, name: list(values)}
        size = sum(len(one) + len(value) + 4 for one, all_ in lines.items() for value in all_)
        if size > BYTES_MAX:
            raise HeaderRefused(f"the headers of one answer take up to {BYTES_MAX} bytes")
        self._lines = lines


class HeadedAnswer(dict[str, Any]):
    """A GraphQL response that comes with headers, as transports look for them: lower-case name → values."""

    __slots__ = ("headers",)

    def __init__(self, answer: Mapping[str, Any], headers: Mapping[str, Sequence[str]]) -> None:
        super().__init__(answer)
        self.headers = headers


def headed(
    answer: dict[str, Any],
    told: AnswerHeaders,
    document: DocumentNode,
    *,
    rules: _Rules,
    schema: GraphQLSchema,
) -> dict[str, Any]:
    """The answer with what resolvers told of it, as it is where they told nothing."""
    may_be_kept = told.wants_to_be_kept and "errors" not in answer and asks_publicly(document, schema, rules)
    lines = told.lines(may_be_kept=may_be_kept)
    return HeadedAnswer(answer, lines) if lines else answer


class _Publicly(Visitor):
    """Looks for a field about somebody, for a mutation, and for what has no rule."""

    def __init__(self, types: TypeInfo, rules: _Rules) -> None:
        super().__init__()
        self.holds = True
        self._types = types
        self._rules = rules

    def enter_operation_definition(self, node: Any, *_: Any) -> None:
        self.holds = self.holds and node.operation.value == "query"

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value in _ABOUT_NOTHING:
            return
        parent = self._types.get_parent_type()
        rule = None if parent is None else self._rules.get((parent.name, node.name.value))
        self.holds = self.holds and rule is not None and not rule.protected and not rule.authenticated


def asks_publicly(document: DocumentNode, schema: GraphQLSchema, rules: _Rules) -> bool:
    """Whether the document is of queries for PUBLIC fields alone, that need nobody to be logged in."""
    types = TypeInfo(schema)
    looking = _Publicly(types, rules)
    visit(document, TypeInfoVisitor(types, looking))
    return looking.holds


def _seconds(seconds: int) -> int:
    if not 0 <= seconds <= SECONDS_MAX:
        raise HeaderRefused(f"a time in a header is 0 to {SECONDS_MAX} seconds")
    return int(seconds)
