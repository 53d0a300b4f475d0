"""The MongoDB adapter, the one file that knows motor: its import is all that a change of driver touches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import BulkWriteError, ConfigurationError, DuplicateKeyError, InvalidURI, PyMongoError

from datastores.config import StoreUrlProblem
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
    is_collection,
)
from datastores.errors import Conflict, Unavailable

_DUPLICATE_KEY = 11000
_NUMBERS = ["int", "long", "double"]


@dataclass(frozen=True, slots=True)
class MongodbLimits:
    """Bounds of one client."""

    connections_max: int = 20
    connect_timeout_s: float = 3.0
    call_timeout_s: float = 10.0


class MongodbDocuments:
    """`Documents` on a MongoDB server; the URL names the database: `mongodb://user:password@host/database`."""

    def __init__(self, url: str, *, limits: MongodbLimits | None = None) -> None:
        parts = urlsplit(url)
        self._database = parts.path.strip("/")
        if parts.scheme not in ("mongodb", "mongodb+srv") or not parts.hostname or not self._database:
            raise StoreUrlProblem("a MongoDB URL looks like `mongodb://user:password@host:27017/database`")
        self._url = url
        self._place = f"`{parts.netloc.rpartition('@')[2]}/{self._database}`"
        self._limits = limits or MongodbLimits()
        self._client: Any = None

    async def open(self) -> None:
        """Connect and ask for an answer."""
        if self._client is not None:
            return
        milliseconds = int(self._limits.connect_timeout_s * 1000)
        try:
            self._client = AsyncIOMotorClient(
                self._url,
                maxPoolSize=self._limits.connections_max,
                connectTimeoutMS=milliseconds,
                serverSelectionTimeoutMS=milliseconds,
                socketTimeoutMS=int(self._limits.call_timeout_s * 1000),
            )
        except (InvalidURI, ConfigurationError, ValueError):
            raise StoreUrlProblem("the MongoDB URL has a part that is not understood") from None
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Raise Unavailable where the server does not answer a ping."""
        async with self._call():
            await self._connected()[self._database].command("ping")

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def insert(self, collection: str, documents: Sequence[Document]) -> None:
        """Add new documents at version 1; Conflict where an id is taken."""
        await self.put_back(collection, [Document(d.id, d.content) for d in documents])

    async def put_back(self, collection: str, documents: Sequence[Document]) -> None:
        """Add documents at the versions that they have; Conflict where an id is taken."""
        rows = [{"_id": d.id, "version": d.version, "content": dict(d.content)} for d in documents]
        async with self._call():
            if rows:
                await self._of(collection).insert_many(rows, ordered=True)

    async def replace(self, collection: str, documents: Sequence[Document]) -> None:
        """Put new content where the version is still the one that was read."""
        async with self._call():
            for document in documents:
                row = {"version": document.version + 1, "content": dict(document.content)}
                same = {"_id": document.id, "version": document.version}
                answer = await self._of(collection).replace_one(same, row)
                if answer.matched_count == 0:
                    raise Conflict(
                        f"a document of `{collection}` has changed since it was read: read it again"
                    )

    async def get(self, collection: str, ids: Sequence[str]) -> Mapping[str, Document]:
        """The documents that are there, by id."""
        async with self._call():
            rows = [row async for row in self._of(collection).find({"_id": {"$in": list(ids)}})]
        return {row["_id"]: _document(row) for row in rows}

    async def delete(self, collection: str, ids: Sequence[str]) -> int:
        """Remove; how many were there."""
        async with self._call():
            answer = await self._of(collection).delete_many({"_id": {"$in": list(ids)}})
        return int(answer.deleted_count)

    async def forget_people(self, ids: Sequence[str]) -> None:
        """Remove every document of these people, a collection after the other."""
        theirs = {f"content.{OWNER_FIELD}": {"$in": list(ids)}}
        for collection in await self.collections():
            async with self._call():
                await self._of(collection).delete_many(theirs)

    async def find(
        self, collection: str, where: Filter = EVERYTHING, *, after_id: str | None = None, limit: int = 100
    ) -> tuple[Document, ...]:
        """The next documents that match, behind `after_id`."""
        check_filter(where)
        check_limit(limit)
        query = _query(where)
        if after_id is not None:
            query = {"$and": [query, {"_id": {"$gt": after_id}}]}
        async with self._call():
            rows = self._of(collection).find(query).sort("_id", 1).limit(limit)
            return tuple([_document(row) async for row in rows])

    async def count(self, collection: str, where: Filter = EVERYTHING) -> int:
        """How many match."""
        check_filter(where)
        async with self._call():
            return int(await self._of(collection).count_documents(_query(where)))

    async def collections(self) -> tuple[str, ...]:
        """The names of all collections that have documents. Those that others put there are passed over."""
        async with self._call():
            database = self._connected()[self._database]
            names = sorted(filter(is_collection, await database.list_collection_names()))
            return tuple([name for name in names if await database[name].find_one({}) is not None])

    def one_moment(self) -> AbstractAsyncContextManager[None]:
        """None: MongoDB has snapshots on replica sets alone, other servers of its protocol nowhere."""
        return nullcontext()

    def _of(self, collection: str) -> Any:
        check_collection(collection)
        return self._connected()[self._database][collection]

    def _connected(self) -> Any:
        if self._client is None:
            raise Unavailable(f"the documents at {self._place} are not open")
        return self._client

    def _call(self) -> _Call:
        return _Call(self._place, self._limits.call_timeout_s)


class _Call:
    """One exchange with the server: in time, with typed errors."""

    def __init__(self, place: str, timeout_s: float) -> None:
        self._errors = _typed_errors(place)
        self._timeout = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> None:
        self._errors.__enter__()
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            return self._errors.__exit__(TimeoutError, late, late.__traceback__)
        return self._errors.__exit__(kind, error, trace)


@contextmanager
def _typed_errors(place: str) -> Iterator[None]:
    try:
        yield
    except DuplicateKeyError:
        raise Conflict("a document was refused: its id is taken") from None
    except BulkWriteError as error:
        codes = {each.get("code") for each in (error.details or {}).get("writeErrors", ())}
        if codes == {_DUPLICATE_KEY}:
            raise Conflict("a document was refused: its id is taken") from None
        raise Unavailable(f"the documents at {place} refused a write") from None
    except (PyMongoError, OSError, TimeoutError) as error:
        raise Unavailable(f"the documents at {place} are unavailable: {type(error).__name__}") from None


def _query(where: Filter) -> dict[str, Any]:
    match where:
        case All(filters):
            return {"$and": [_query(each) for each in filters]} if filters else {}
        case Equals(field, value):
            return _is(field, value)
        case OneOf(field, values):
            return {"$or": [_is(field, value) for value in values]} if values else {"_id": {"$in": []}}
        case Between(field, low, high):
            bounds = {"$gte": low, "$lt": high}
            return {f"content.{field}": {name: bound for name, bound in bounds.items() if bound is not None}}


def _is(field: str, value: Scalar) -> dict[str, Any]:
    return {f"content.{field}": {"$eq": value}}


def _document(row: Mapping[str, Any]) -> Document:
    return Document(row["_id"], row["content"], row["version"])
