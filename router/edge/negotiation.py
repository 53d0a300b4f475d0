"""Negotiation: which media types a request brings and which of ours it takes back.

Source: GraphQL over HTTP; federation.md (i) for the streaming types.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from router.errors import ClientError
from router.execution import IncrementalFormat


class Wire(StrEnum):
    """The forms in which one answer, or a stream of answers, can leave the router."""

    JSON = "application/json"
    GRAPHQL_JSON = "application/graphql-response+json"
    EVENTS = "text/event-stream"
    PARTS = "multipart/mixed"


SINGLE = frozenset({Wire.JSON, Wire.GRAPHQL_JSON})
CONTENT_TYPES = {
    Wire.JSON: "application/json; charset=utf-8",
    Wire.GRAPHQL_JSON: "application/graphql-response+json; charset=utf-8",
    Wire.EVENTS: "text/event-stream; charset=utf-8",
}


RANGES = {
    "*/*": (Wire.JSON, Wire.GRAPHQL_JSON),
    "application/*": (Wire.JSON, Wire.GRAPHQL_JSON),
    "text/*": (Wire.EVENTS,),
    "multipart/*": (Wire.PARTS,),
}
"""What is sent to those who take a whole range, the first one that they do not refuse."""
SPEC_PARAMETERS = ("deferSpec", "incrementalSpec", "incrementalDeliverySpec")
FORMATS = {
    "20220824": IncrementalFormat.MULTIPART_2022,
    "v0.2": IncrementalFormat.PENDING,
    "3283f8a": IncrementalFormat.PENDING,
}
"""What clients call the two forms of incremental payloads → the form."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """One media type of a header, lower case, with its parameters."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """The value of one parameter, without quotes."""
        return next((value for key, value in self.parameters if key == name), None)


@dataclass(frozen=True, slots=True)
class IncrementalWire:
    """How a client takes an answer in parts; `named` are the parameters by which it asked for the form."""

    wire: Wire
    format_: IncrementalFormat
    named: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the client takes, the most wanted first. Never empty.

    `incremental` is the form for `@defer`, None where the client takes whole answers alone.
    """

    wires: tuple[Wire, ...]
    html_first: bool = False
    incremental: IncrementalWire | None = None

    @property
    def single(self) -> Wire:
        """The form for one answer; JSON where the client named only streams."""
        return next((wire for wire in self.wires if wire in SINGLE), Wire.JSON)

    @property
    def stream(self) -> Wire | None:
        """The form for a subscription's events."""
        return next((wire for wire in self.wires if wire not in SINGLE), None)

    @property
    def only_events(self) -> bool:
        """Whether single answers, too, have to travel as an event stream."""
        return self.wires == (Wire.EVENTS,)


@lru_cache(maxsize=256)
def accepted(header: str | None) -> Accepted:
    """What an Accept header allows; without one, or with `*/*`, plain JSON.

    Errors: NOT_ACCEPTABLE where no form of ours is in it.
    """
    if header is None or header.strip() == "":
        return Accepted((Wire.JSON,))
    ranked, refused = _ranked(header)
    wires: list[Wire] = []
    for media in ranked:
        wires += [wire for wire in _wires(media, refused)[:1] if wire not in wires]
    html_first = next((media.name for media in ranked), "") in {"text/html", "application/xhtml+xml"}
    if not wires and not html_first:
        raise ClientError(
            f"no accepted media type can be produced; accept `{Wire.GRAPHQL_JSON}` or `{Wire.JSON}`",
            code="NOT_ACCEPTABLE",
        )
    incremental = next((found for media in ranked if (found := _incremental(media)) is not None), None)
    return Accepted(tuple(wires) or (Wire.JSON,), html_first, incremental)


def incremental_format(name: str) -> IncrementalFormat | None:
    """The form of payloads that a client means by the name of a specification; None for one unknown here."""
    return FORMATS.get(name)


def _incremental(media: MediaType) -> IncrementalWire | None:
    """The form for parts that this media type asks for; its parameters decide, the current one without."""
    streams = [wire for wire in _wires(media) if wire not in SINGLE]
    if not streams or media.parameter("subscriptionspec") is not None:
        return None
    for name in SPEC_PARAMETERS:
        value = media.parameter(name.lower())
        if value is not None:
            format_ = FORMATS.get(value)
            return IncrementalWire(streams[0], format_, f"{name}={value}") if format_ else None
    return IncrementalWire(streams[0], IncrementalFormat.PENDING)


def _wires(media: MediaType, refused: frozenset[str] = frozenset()) -> list[Wire]:
    """What a media type, or a range of them, stands for, less what the header refuses by name."""
    charset = media.parameter("charset")
    if charset is not None and charset.lower() not in {"utf-8", "utf8"}:
        return []
    if media.name in set(Wire):
        return [Wire(media.name)]
    return [
        wire
        for wire in RANGES.get(media.name, ())
        if wire not in refused and f"{wire.partition('/')[0]}/*" not in refused - {media.name}
    ]


def _ranked(header: str) -> tuple[list[MediaType], frozenset[str]]:
    """The media types by how much they are wanted, and the names of those that are not at all."""
    ranked: list[tuple[float, int, MediaType]] = []
    refused: set[str] = set()
    for place, text in enumerate(_split(header, ",")):
        media = media_type(text)
        if media is None:
            continue
        weight = _weight(media)
        if weight > 0:
            ranked.append((-weight, place, media))
        else:
            refused.add(media.name)
    wanted = [media for _, _, media in sorted(ranked, key=lambda entry: entry[:2])]
    return wanted, frozenset(refused)


def _weight(media: MediaType) -> float:
    try:
        return float(media.parameter("q") or "1")
    except ValueError:
        return 0.0


@lru_cache(maxsize=256)
def media_type(header: str) -> MediaType | None:
    """One media type with its parameters; None where the text is not one."""
    name, *rest = _split(header, ";")
    name = name.strip().lower()
    if name.count("/") != 1:
        return None
    parameters = (one.partition("=") for one in rest)
    return MediaType(
        name, tuple((key.strip().lower(), value.strip().strip('"')) for key, _, value in parameters)
    )


@lru_cache(maxsize=256)
def is_json(media: MediaType | None) -> bool:
    """Whether a content type is JSON in UTF-8."""
    charset = (media.parameter("charset") if media else None) or "utf-8"
    return media is not None and media.name == "application/json" and charset.lower() in {"utf-8", "utf8"}


def _split(header: str, separator: str) -> list[str]:
    """Parts of a header; a separator between quotes does not part."""
    parts: list[str] = [""]
    quoted = False
    for character in header:
        quoted ^= character == '"'
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts
