"""A library as a subgraph: books that belong to readers, and a decider that writes down what it was asked."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import strawberry
from aiodataloader import DataLoader
from strawberry.types.info import Info

from authz.classes import DataClass
from authz.identity.subject import Subject
from authz.question import Decision, Obligation, Question
from subgraphs.kit import (
    Connection,
    CursorSigner,
    PublicError,
    RequestContext,
    Subgraph,
    Upload,
    batch_loader,
    binding,
    classified,
    connection,
    not_found,
    page_request,
    ruled,
    shapes,
)

SIGNER = CursorSigner(b"k" * 32)
BY_READERS = strawberry.argument(metadata=ruled(by="readers"))
SHAPING = strawberry.argument(metadata=shapes())


@dataclass
class Decider:
    """Owners read their own rows, and friends of `friends` read TRAINING; every batch is written down."""

    subject: Subject
    batches: list[list[Question]]
    friends: frozenset[str]

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        self.batches.append(list(questions))
        await asyncio.sleep(0)
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Decision:
        own = question.owner_id is not None and question.owner_id == self.subject.id
        friend = question.owner_id in self.friends and question.data_class is DataClass.TRAINING
        if own or friend:
            return Decision(True, "self" if own else "friend")
        obligation = Obligation.CONSENT if question.data_class is DataClass.CLINICAL else None
        return Decision(False, "default-deny", obligation)


@dataclass
class DeciderOffice:
    """Stands where authz's Authorizer stands."""

    batches: list[list[Question]] = field(default_factory=list)
    friends: frozenset[str] = frozenset()

    def for_request(self, subject: Subject) -> Decider:
        return Decider(subject, self.batches, self.friends)


@dataclass(frozen=True)
class BookRow:
    id: str
    owner_id: str
    title: str
    diagnosis: str = "flat feet"


@dataclass(kw_only=True)
class LibraryContext(RequestContext):
    books: DataLoader[str, BookRow | None]
    rows: dict[str, BookRow]
    added: asyncio.Queue[BookRow]


@classified(DataClass.TRAINING)
@strawberry.type
class Chapter:
    """A value without an owner: the field that leads to it guards it."""

    heading: str | None


@classified(DataClass.TRAINING)
@strawberry.federation.type(keys=["id"])
class Book:
    id: strawberry.ID
    title: str | None
    diagnosis: str | None = strawberry.field(directives=[classified(DataClass.CLINICAL, action="clearance")])
    owner_id: strawberry.Private[str]
    shelf: str = strawberry.field(default="A", directives=[classified(DataClass.PUBLIC)])

    @strawberry.field
    def chapters(self) -> list[Chapter] | None:
        return [Chapter(heading=f"{self.title} 1")]

    @strawberry.field
    def reader(self) -> Reader | None:
        return Reader(id=strawberry.ID(self.owner_id))

    @classmethod
    def of(cls, row: BookRow) -> Book:
        return cls(id=strawberry.ID(row.id), title=row.title, diagnosis=row.diagnosis, owner_id=row.owner_id)

    @classmethod
    async def resolve_reference(cls, info: Info[LibraryContext, None], id: str) -> Book | None:
        if id == "bomb":
            raise RuntimeError("the password of the store is hunter2")
        row = await info.context.books.load(id)
        return None if row is None else cls.of(row)


@classified(DataClass.TRAINING)
@strawberry.federation.type(keys=["id"])
class Reader:
    id: strawberry.ID

    def owner_id(self) -> str:
        return str(self.id)

    @strawberry.field
    def favourite(self) -> str | None:
        return "running"

    @strawberry.field
    async def books(
        self, info: Info[LibraryContext, None], first: int | None = None, after: str | None = None
    ) -> Connection[Book] | None:
        bound_to = binding(info.context.subject.id, "Reader.books", {"reader": self.id})
        request = page_request(SIGNER, bound_to=bound_to, first=first, after=after)
        rows = sorted((r for r in info.context.rows.values() if r.owner_id == self.id), key=lambda r: r.id)
        past = [row for row in rows if request.after is None or row.id > request.after[0]]
        return connection(
            past[: request.limit],
            request,
            SIGNER,
            bound_to=bound_to,
            sort_key=lambda row: (row.id,),
            node=Book.of,
            total_count=len(rows),
        )

    @classmethod
    def resolve_reference(cls, info: Info[LibraryContext, None], id: str) -> Reader:
        return cls(id=strawberry.ID(id))


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @strawberry.field
    def books(self, info: Info[LibraryContext, None]) -> list[Book] | None:
        return [Book.of(row) for row in info.context.rows.values()]

    @strawberry.field
    def book(self, info: Info[LibraryContext, None], id: Annotated[strawberry.ID, BY_READERS]) -> Book | None:
        row = info.context.rows.get(id)
        if row is None:
            raise not_found()
        return Book.of(row)

    @strawberry.federation.field(authenticated=True)
    def mine(self, info: Info[LibraryContext, None]) -> list[Book] | None:
        return [Book.of(row) for row in info.context.rows.values() if row.owner_id == info.context.caller_id]

    @strawberry.field
    def broken(self) -> str | None:
        raise KeyError("secret column")

    @strawberry.field
    def sorry(self) -> str | None:
        raise PublicError("TEAPOT", "only tea here", extensions={"pot": 1})

    @strawberry.field
    def echo(
        self,
        moment: Annotated[dt.datetime | None, SHAPING] = None,
        day: Annotated[dt.date | None, SHAPING] = None,
    ) -> str | None:
        return f"{moment and moment.isoformat()} {day}"


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    @strawberry.federation.field(authenticated=True)
    async def take(self, info: Info[LibraryContext, None], file: Annotated[Upload, BY_READERS]) -> str | None:
        content = await file.read()  # type: ignore[attr-defined]
        return f"{file.filename} {file.content_type} {len(content)}"  # type: ignore[attr-defined]


@classified(DataClass.PUBLIC)
@strawberry.type
class Subscription:
    @strawberry.subscription
    async def book_added(self, info: Info[LibraryContext, None]) -> AsyncIterator[Book]:
        while True:
            yield Book.of(await info.context.added.get())

    @strawberry.subscription
    async def book_lost(self) -> AsyncIterator[Book | None]:
        yield None
        raise RuntimeError("the shelf of hunter2 fell over")


@dataclass
class Library:
    """The subgraph under test, its rows, the loads that reached them and the decisions asked."""

    subgraph: Subgraph[LibraryContext]
    office: DeciderOffice
    rows: dict[str, BookRow]
    loads: list[list[str]]
    added: asyncio.Queue[BookRow]
    clock: list[dt.datetime]

    async def ask(self, query: str, subject: Subject, **variables: Any) -> dict[str, Any]:
        return await self.subgraph.execute(query, variables, None, subject)


ANN = Subject(id="ann", acr=1)
BOB = Subject(id="bob", acr=1)


def open_library(*, friends: frozenset[str] = frozenset()) -> Library:
    rows = {f"b{n}": BookRow(f"b{n}", "ann" if n < 5 else "bob", f"Title {n}") for n in range(8)}
    loads: list[list[str]] = []
    office = DeciderOffice(friends=friends)
    added: asyncio.Queue[BookRow] = asyncio.Queue()
    clock = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]

    async def load(ids: list[str]) -> dict[str, BookRow]:
        loads.append(ids)
        return {id_: rows[id_] for id_ in ids if id_ in rows}

    subgraph = Subgraph(
        name="library",
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Book, Reader],
        authorizer=office,
        context=lambda subject, decisions: LibraryContext(
            subject=subject, decisions=decisions, books=batch_loader(load), rows=rows, added=added
        ),
        now=lambda: clock[0],
    )
    return Library(subgraph, office, rows, loads, added, clock)
