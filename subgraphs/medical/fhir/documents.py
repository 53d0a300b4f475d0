"""Bytes → entries: a Bundle, one bare resource, or NDJSON, each resource with the text that it came in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from subgraphs.medical.fhir.problems import DocumentRefused, EntryProblem

BUNDLE_TYPES = ("collection", "transaction", "batch")
DOCUMENT_BYTES_MAX = 20_000_000
ENTRIES_MAX = 10_000
RESOURCE_BYTES_MAX = 1_000_000
DEPTH_MAX = 64
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_READING = ("POST", "PUT")
# A string, which is passed over, or one bracket. A string need not end: what is cut off is read once, too.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[\]{}])', re.DOTALL)


class _Request(msgspec.Struct):
    method: str | None = None
    url: str | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")
    full_url: str | None = msgspec.field(default=None, name="fullUrl")
    request: _Request | None = None


class _Document(msgspec.Struct):
    resource_type: str | None = msgspec.field(default=None, name="resourceType")
    type: str | None = None
    entry: list[_Entry] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a document. `source` is its text as it came; `resource` the same, parsed, with
    decimals as Decimal."""

    index: int
    source: bytes
    resource: dict[str, Any]
    full_url: str | None = None

    @property
    def resource_type(self) -> str:
        """The FHIR type that it says it is."""
        return str(self.resource["resourceType"])

    @property
    def fhir_id(self) -> str | None:
        """Its logical id, if it has one."""
        value = self.resource.get("id")
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds: the entries that could be read, and why the others could not."""

    entries: tuple[Entry, ...]
    problems: tuple[EntryProblem, ...]


def read_document(content: bytes) -> Document:
    """The entries of a FHIR JSON document.

    Limits: 20 MB, 10 000 entries, 1 MB a resource, 64 levels deep.
    Errors: DocumentRefused where nothing can be read of it.
    """
    if len(content) > DOCUMENT_BYTES_MAX:
        raise DocumentRefused(
            "DOCUMENT_TOO_LARGE", f"the document is over {DOCUMENT_BYTES_MAX} bytes: split it"
        )
    content = content.removeprefix(_BYTE_ORDER_MARK).strip()
    if not content:
        raise DocumentRefused("DOCUMENT_EMPTY", "the document is empty")
    _check_depth(content)
    if _is_ndjson(content):
        return _read_lines(content)
    document = _decoded(content)
    if document.resource_type == "Bundle":
        return _read_bundle(document)
    return _collected([(0, content, None)])


def _decoded(content: bytes) -> _Document:
    try:
        return msgspec.json.decode(content, type=_Document)
    except msgspec.ValidationError:
        raise DocumentRefused(
            "NOT_FHIR", "the document is no FHIR resource: an object with `resourceType`"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentRefused("NOT_JSON", f"the document is not JSON: {_place(error)}") from None


def _place(error: Exception) -> str:
    """msgspec's own words, which name a place and no content."""
    return str(error).removeprefix("JSON is malformed: ")


def _read_bundle(bundle: _Document) -> Document:
    if bundle.type not in BUNDLE_TYPES:
        kinds = ", ".join(f"`{kind}`" for kind in BUNDLE_TYPES)
        if bundle.type is None:
            raise DocumentRefused("BUNDLE_TYPE_MISSING", f"the bundle has no `type`: it is one of {kinds}")
        raise DocumentRefused(
            "BUNDLE_TYPE_UNKNOWN",
            f"a bundle of type `{bundle.type[:40]}` is not imported: use one of {kinds}",
        )
    entries = bundle.entry or []
    if len(entries) > ENTRIES_MAX:
        raise DocumentRefused("TOO_MANY_ENTRIES", f"the bundle has over {ENTRIES_MAX} entries: split it")
    problems = [problem for index, entry in enumerate(entries) for problem in _doubts(index, entry)]
    readable = [
        (index, bytes(entry.resource), entry.full_url)
        for index, entry in enumerate(entries)
        if bytes(entry.resource) and (entry.request is None or entry.request.method in _READING)
    ]
    read = _collected(readable)
    return Document(read.entries, tuple(sorted((*problems, *read.problems), key=lambda each: each.entry)))


def _doubts(index: int, entry: _Entry) -> Iterator[EntryProblem]:
    method = entry.request.method if entry.request is not None else None
    if method is not None and method not in _READING:
        message = "only entries of `POST` and `PUT` are imported; this one was left out"
        yield EntryProblem(index, "METHOD_SKIPPED", message, element="request.method", warning=True)
    elif not bytes(entry.resource):
        message = "the entry has no resource; it was left out"
        yield EntryProblem(index, "RESOURCE_MISSING", message, element="resource", warning=True)
    if entry.full_url is not None and ":" not in entry.full_url:
        message = "`fullUrl` should be an absolute URL"
        yield EntryProblem(index, "FULL_URL_RELATIVE", message, element="fullUrl", warning=True)


def _is_ndjson(content: bytes) -> bool:
    """Whether the first line is a whole JSON object and more lines follow."""
    first, _, rest = content.partition(b"\n")
    if not rest.strip() or not first.rstrip().endswith(b"}"):
        return False
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _read_lines(content: bytes) -> Document:
    lines = [(index, line.strip()) for index, line in enumerate(content.split(b"\n")) if line.strip()]
    if len(lines) > ENTRIES_MAX:
        raise DocumentRefused("TOO_MANY_ENTRIES", f"the file has over {ENTRIES_MAX} lines: split it")
    return _collected([(index, line, None) for index, line in lines])


def _collected(sources: list[tuple[int, bytes, str | None]]) -> Document:
    entries: list[Entry] = []
    problems: list[EntryProblem] = []
    for index, source, full_url in sources:
        try:
            entries.append(Entry(index, source, parse_resource(source), full_url))
        except ResourceUnreadable as error:
            problems.append(EntryProblem(index, error.code, error.message))
    return Document(tuple(entries), tuple(problems))


class ResourceUnreadable(ValueError):
    """The text is no resource."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parse_resource(source: bytes) -> dict[str, Any]:
    """The resource with decimals as Decimal, so that 70.50 stays 70.50.

    Errors: ResourceUnreadable where it is not JSON, no resource, or says a property twice.
    """
    if len(source) > RESOURCE_BYTES_MAX:
        raise ResourceUnreadable("RESOURCE_TOO_LARGE", f"the resource is over {RESOURCE_BYTES_MAX} bytes")
    try:
        parsed = json.loads(
            source, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_once_each
        )
    except ResourceUnreadable:
        raise
    except json.JSONDecodeError as error:
        raise ResourceUnreadable("NOT_JSON", f"not JSON: {error.msg} at character {error.pos}") from None
    except (UnicodeDecodeError, RecursionError, ValueError, ArithmeticError):
        raise ResourceUnreadable("NOT_JSON", "not JSON in UTF-8, or a number is too long") from None
    if rb"\u" in source:
        _check_characters(parsed)
    kind = parsed.get("resourceType") if isinstance(parsed, dict) else None
    if not isinstance(kind, str) or not kind:
        raise ResourceUnreadable("RESOURCE_TYPE_MISSING", "not a FHIR resource: `resourceType` is missing")
    return dict(parsed)


def _check_characters(parsed: object) -> None:
    """Errors: ResourceUnreadable for half a surrogate pair, which JSON can spell and UTF-8 cannot."""
    try:
        json.dumps(parsed, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise ResourceUnreadable("BAD_CHARACTER", "a text holds half a surrogate pair") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ResourceUnreadable(
            "PROPERTY_TWICE", "a JSON property is given twice, so its meaning is unclear"
        )
    return found


def _refuse_constant(_: str) -> None:
    raise ResourceUnreadable("NOT_JSON", "not JSON: a number is not finite")


def _check_depth(content: bytes) -> None:
    """Errors: DocumentRefused past DEPTH_MAX. Brackets in strings do not count."""
    depth = 0
    for character in _structure(content):
        depth += 1 if character in b"[{" else -1
        if depth > DEPTH_MAX:
            raise DocumentRefused("TOO_DEEP", f"the document is nested over {DEPTH_MAX} levels deep")


def _structure(content: bytes) -> Iterator[bytes]:
    """The brackets of `content` in order, those in strings left out."""
    for match in _TOKENS.finditer(content):
        if match.group(1):
            yield match.group(1)
