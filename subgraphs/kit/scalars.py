"""The scalars that all subgraphs share: strict on the way in, one spelling on the way out."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from enum import Enum
from typing import Any, NewType, Protocol, runtime_checkable

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from authz.classes import Purpose
from subgraphs.kit.errors import PublicError

TEXT_CHARACTERS_MAX = 10_000


@runtime_checkable
class UploadedFile(Protocol):
    """A file that came with the request; read once, from the start, in chunks."""

    @property
    def filename(self) -> str | None:
        """The name that the client gave; not a path to trust."""
        ...

    @property
    def content_type(self) -> str | None:
        """What the client says it is; not to be trusted either."""
        ...

    async def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that is left; empty at the end."""
        ...


@strawberry.enum(description="Why a protected row is read (HL7 v3 ActReason).")
class PurposeOfUse(Enum):
    """The GraphQL spelling of `authz.classes.Purpose`; one enum for all subgraphs."""

    TREAT = Purpose.TREATMENT
    ETREAT = Purpose.EMERGENCY_TREATMENT
    PATRQT = Purpose.PATIENT_REQUEST
    HOPERAT = Purpose.OPERATIONS
    HRESCH = Purpose.RESEARCH
    HPAYMT = Purpose.PAYMENT
    BTG = Purpose.BREAK_GLASS


Upload = NewType("Upload", object)
"""Annotates an upload argument; the value is an `UploadedFile`."""

JSON = NewType("JSON", object)
"""Annotates any JSON value; for foreign documents only (a FHIR resource), never for our own types."""


def _datetime_in(value: object) -> dt.datetime:
    if not isinstance(value, str):
        raise GraphQLError("`DateTime` is RFC 3339 text such as `2026-03-01T07:30:00+01:00`")
    try:
        parsed = dt.datetime.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"`{value[:40]}` is not an RFC 3339 date and time") from None
    if parsed.tzinfo is None:
        raise GraphQLError(f"`{value[:40]}` has no UTC offset; add one, such as `Z`")
    return parsed


def _datetime_out(value: dt.datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a naive datetime reached the edge")
    return value.isoformat().replace("+00:00", "Z")


def _date_in(value: object) -> dt.date:
    if not isinstance(value, str) or len(value) != 10:
        raise GraphQLError("`Date` is text such as `2026-03-01`")
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"`{value}` is not a day of the calendar") from None


def _same(value: Any) -> Any:
    return value


def _upload_in(value: object) -> object:
    if not isinstance(value, UploadedFile):
        raise GraphQLError("`Upload` takes a file of a multipart request")
    return value


def _never_out(_: object) -> str:
    raise TypeError("an upload is never an answer")


SCALARS: Mapping[object, ScalarDefinition] = {
    dt.datetime: strawberry.scalar(
        name="DateTime",
        description="A moment: RFC 3339 with an offset.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=_datetime_out,
        parse_value=_datetime_in,
    ),
    dt.date: strawberry.scalar(
        name="Date",
        description="A day of the Gregorian calendar, `YYYY-MM-DD`.",
        specified_by_url="https://scalars.graphql.org/andimarek/local-date",
        serialize=dt.date.isoformat,
        parse_value=_date_in,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="A file of a GraphQL multipart request.",
        serialize=_never_out,
        parse_value=_upload_in,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        serialize=_same,
        parse_value=_same,
    ),
}


def schema_config() -> StrawberryConfig:
    """The one configuration of every subgraph: our scalars, camelCase, no suggestions in messages."""
    return StrawberryConfig(auto_camel_case=True, disable_field_suggestions=True, scalar_map=SCALARS)


def clean_text(value: str, argument: str, *, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """`value` in Unicode NFC, trimmed. Errors: PublicError BAD_INPUT for NUL, control or bidirectional
    override characters, and past `characters_max` characters; the message names `argument`."""
    if len(value) > characters_max:
        raise PublicError("BAD_INPUT", f"`{argument}` is longer than {characters_max} characters")
    for character in value:
        if character in "\t\n\r":
            continue
        if unicodedata.category(character) in {"Cc", "Cs"} or character in _UNSEEN:
            raise PublicError("BAD_INPUT", f"`{argument}` has a character that cannot be seen")
    return unicodedata.normalize("NFC", value).strip()


_UNSEEN = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


MOMENT_AHEAD_MAX = dt.timedelta(days=3_660)


def moment_ahead(at: dt.datetime | None, *, now: dt.datetime) -> dt.datetime | None:
    """A moment to come, None for now.  Errors: PublicError BAD_INPUT for one that has been, or is too far."""
    if at is None:
        return None
    if not now <= at <= now + MOMENT_AHEAD_MAX:
        years = MOMENT_AHEAD_MAX.days // 366
        raise PublicError("BAD_INPUT", f"`at` is a moment from now on, within {years} years")
    return at
