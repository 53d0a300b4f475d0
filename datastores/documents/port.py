"""The documents port: JSON objects in named collections, each with an id and a version.

Filters are values of the types below; no adapter takes a text in its own dialect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

PAGE_MAX = 1_000
OWNER_FIELD = "owner_id"
"""The field of a document's content that names the person whom it belongs to, if it is a person's."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}(\.[A-Za-z_][A-Za-z0-9_]{0,60}){0,5}")
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Document:
    """One record. `version` is 1 when it is inserted and grows by one with each replacement."""

    id: str
    content: Mapping[str, Any]
    version: int = 1


@dataclass(frozen=True, slots=True)
class Equals:
    """The field at a dotted path has this value. Numbers equal numbers of any type; a boolean is none."""

    field: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of these values."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The field is of the bounds' kind (text or number), at least `low` and below `high`; None is open."""

    field: str
    low: str | float | None = None
    high: str | float | None = None


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these holds; of none, everything does."""

    filters: tuple[Filter, ...]


Filter = Equals | OneOf | Between | All
EVERYTHING = All(())


class Documents(Protocol):
    """Collections of documents.

    Atomicity: one document, not one call: a bulk call that raises may have done a part, and can be repeated.
    An acknowledged write survives a crash. Ordering: `find` by id, in code point order.
    Errors: Conflict for an id that is taken or a version that has moved on; Unavailable; ValueError for a
    name, field, value or bound out of bounds. There is no NotFound: what is missing is left out.
    """

    async def open(self) -> None:
        """Connect and make what the store needs; raises Unavailable or SchemaTooNew."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        ...

    async def close(self) -> None:
        """Give back resources."""
        ...

    async def insert(self, collection: str, documents: Sequence[Document]) -> None:
        """Add new documents at version 1; Conflict where an id is taken."""
        ...

    async def replace(self, collection: str, documents: Sequence[Document]) -> None:
        """Put new content; `version` is the one that was read, and Conflict tells that it has moved on."""
        ...

    async def get(self, collection: str, ids: Sequence[str]) -> Mapping[str, Document]:
        """The documents that are there, by id."""
        ...

    async def delete(self, collection: str, ids: Sequence[str]) -> int:
        """Remove; how many were there."""
        ...

    async def forget_people(self, ids: Sequence[str]) -> None:
        """Remove every document of people who are erased, in every collection: those whose field `owner_id`
        is one of `ids`."""
        ...

    async def find(
        self, collection: str, where: Filter = EVERYTHING, *, after_id: str | None = None, limit: int = 100
    ) -> tuple[Document, ...]:
        """The next documents that match, behind `after_id`, at most `limit` (at most 1000)."""
        ...

    async def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        """How many match."""
        ...

    async def collections(self) -> tuple[str, ...]:
        """The names of all collections that have documents, sorted; for backups and copies."""
        ...

    def one_moment(self) -> AbstractAsyncContextManager[Documents | None]:
        """Inside the block, the documents as they were at one moment, for reading; None where the store has
        no snapshot that outlives a call, as servers of MongoDB's protocol need not have one."""
        ...

    async def put_back(self, collection: str, documents: Sequence[Document]) -> None:
        """Add documents at the versions that they have, as a backup kept them; Conflict where an id is
        taken."""
        ...


def is_collection(name: str) -> bool:
    """Whether a collection may have this name."""
    return _NAME.fullmatch(name) is not None


def check_collection(name: str) -> None:
    """ValueError for a name other than lower-case words."""
    if not is_collection(name):
        raise ValueError("the name of a collection has lower-case letters, digits and `_`")


def check_limit(limit: int) -> None:
    """ValueError for a page out of bounds."""
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"`limit` is 1 to {PAGE_MAX}")


def check_filter(where: Filter) -> None:
    """ValueError for a field or value that no document can have."""
    if isinstance(where, All):
        for each in where.filters:
            check_filter(each)
        return
    if not _FIELD.fullmatch(where.field):
        raise ValueError("a field is a dotted path of letters, digits and `_`")
    if isinstance(where, Between):
        kinds = {isinstance(bound, str) for bound in (where.low, where.high) if bound is not None}
        if len(kinds) != 1:
            raise ValueError("bounds are two texts or two numbers, at least one of them given")
