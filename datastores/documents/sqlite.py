"""Documents in SQLite: content as JSON text, filters by SQLite's own JSON functions, values always bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from datastores.documents.port import (
    EVERYTHING,
    OWNER_FIELD,
    All,
    Between,
    Document,
    Equals,
    Filter,
    OneOf,
    Scalar,
    check_collection,
    check_filter,
    check_limit,
)
from datastores.errors import Conflict
from datastores.relational.migrate import migrate
from datastores.relational.one_moment import one_moment
from datastores.relational.port import Relational
from datastores.relational.schemas import Schema

_IDS_PER_STATEMENT = 500
_NUMBERS = ("integer", "real")
_documents = sa.Table(
    "documents",
    sa.MetaData(),
    *(sa.Column(name) for name in ("collection", "id", "version", "content")),
)
_read = sa.select(_documents.c.id, _documents.c.content, _documents.c.version)
SCHEMA = Schema("documents", Path(__file__).parent / "migrations", "documents_version", (_documents,))


class SqliteDocuments:
    """`Documents` on a SQLite store of its own. Each call is one transaction: all of it or nothing."""

    def __init__(self, rows: Relational) -> None:
        self._rows = rows

    async def open(self) -> None:
        """Open the store and bring its table up to date."""
        await self._rows.open()
        await migrate(self._rows, SCHEMA.scripts, SCHEMA.version_table)

    async def ready(self) -> None:
        """Raise Unavailable where the store cannot serve."""
        await self._rows.ready()

    async def close(self) -> None:
        """Close the store."""
        await self._rows.close()

    async def insert(self, collection: str, documents: Sequence[Document]) -> None:
        """Add new documents at version 1; Conflict where an id is taken."""
        await self.put_back(collection, [Document(d.id, d.content) for d in documents])

    async def put_back(self, collection: str, documents: Sequence[Document]) -> None:
        """Add documents at the versions that they have; Conflict where an id is taken."""
        check_collection(collection)
        rows = [
            {"collection": collection, "id": d.id, "version": d.version, "content": _packed(d)}
            for d in documents
        ]
        if rows:
            await self._rows.write(lambda c: c.execute(sa.insert(_documents), rows))

    async def replace(self, collection: str, documents: Sequence[Document]) -> None:
        """Put new content where the version is still the one that was read."""
        check_collection(collection)

        def work(connection: Connection) -> None:
            for document in documents:
                same = _of(collection) & (_documents.c.id == document.id)
                statement = sa.update(_documents).where(same, _documents.c.version == document.version)
                values = {"version": document.version + 1, "content": _packed(document)}
                if connection.execute(statement.values(values)).rowcount == 0:
                    raise Conflict(
                        f"a document of `{collection}` has changed since it was read: read it again"
                    )

        await self._rows.write(work)

    async def get(self, collection: str, ids: Sequence[str]) -> Mapping[str, Document]:
        """The documents that are there, by id."""
        check_collection(collection)

        def work(connection: Connection) -> dict[str, Document]:
            found = {}
            for at in range(0, len(ids), _IDS_PER_STATEMENT):
                some = _documents.c.id.in_(ids[at : at + _IDS_PER_STATEMENT])
                for row in connection.execute(_read.where(_of(collection), some)):
                    found[row[0]] = _unpacked(row)
            return found

        return await self._rows.read(work)

    async def delete(self, collection: str, ids: Sequence[str]) -> int:
        """Remove; how many were there."""
        check_collection(collection)

        def work(connection: Connection) -> int:
            count = 0
            for at in range(0, len(ids), _IDS_PER_STATEMENT):
                some = _documents.c.id.in_(ids[at : at + _IDS_PER_STATEMENT])
                count += connection.execute(sa.delete(_documents).where(_of(collection), some)).rowcount
            return count

        return await self._rows.write(work)

    async def forget_people(self, ids: Sequence[str]) -> None:
        """Remove every document of these people."""

        def work(connection: Connection) -> None:
            for at in range(0, len(ids), _IDS_PER_STATEMENT):
                theirs = _condition(OneOf(OWNER_FIELD, tuple(ids[at : at + _IDS_PER_STATEMENT])))
                connection.execute(sa.delete(_documents).where(theirs))

        await self._rows.write(work)

    async def find(
        self, collection: str, where: Filter = EVERYTHING, *, after_id: str | None = None, limit: int = 100
    ) -> tuple[Document, ...]:
        """The next documents that match, behind `after_id`."""
        check_collection(collection)
        check_filter(where)
        check_limit(limit)
        query = _read.where(_of(collection), _condition(where))
        if after_id is not None:
            query = query.where(_documents.c.id > after_id)
        query = query.order_by(_documents.c.id).limit(limit)
        return await self._rows.read(lambda c: tuple(_unpacked(row) for row in c.execute(query)))

    async def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        """How many match."""
        check_collection(collection)
        check_filter(where)
        query = sa.select(sa.func.count()).select_from(_documents).where(_of(collection), _condition(where))
        return await self._rows.read(lambda c: c.execute(query).scalar_one())

    async def collections(self) -> tuple[str, ...]:
        """The names of all collections that have documents."""
        query = sa.select(_documents.c.collection).distinct().order_by(_documents.c.collection)
        return await self._rows.read(lambda c: tuple(c.execute(query).scalars()))

    @asynccontextmanager
    async def one_moment(self) -> AsyncIterator[SqliteDocuments]:
        """The documents as they were at one moment."""
        async with one_moment(self._rows) as rows:
            yield SqliteDocuments(rows)


def _of(collection: str) -> ColumnElement[bool]:
    return _documents.c.collection == collection


def _condition(where: Filter) -> ColumnElement[bool]:
    match where:
        case All(filters):
            return sa.and_(sa.true(), *(_condition(each) for each in filters))
        case Equals(field, value):
            return _is(field, value)
        case OneOf(field, values):
            return sa.or_(sa.false(), *(_is(field, value) for value in values))
        case Between(field, low, high):
            at, kind = _value(field)
            bound = low if low is not None else high
            same_kind = kind == "text" if isinstance(bound, str) else kind.in_(_NUMBERS)
            lowest = sa.true() if low is None else at >= low
            highest = sa.true() if high is None else at < high
            return sa.and_(same_kind, lowest, highest)


def _is(field: str, value: Scalar) -> ColumnElement[bool]:
    at, kind = _value(field)
    if isinstance(value, bool):
        return kind == ("true" if value else "false")
    same_kind = kind == "text" if isinstance(value, str) else kind.in_(_NUMBERS)
    return sa.and_(same_kind, at == value)


def _value(field: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    path = f"$.{field}"
    return sa.func.json_extract(_documents.c.content, path), sa.func.json_type(_documents.c.content, path)


def _packed(document: Document) -> str:
    return orjson.dumps(dict(document.content)).decode()


def _unpacked(row: Any) -> Document:
    document_id, content, version = row
    return Document(document_id, orjson.loads(content), version)
