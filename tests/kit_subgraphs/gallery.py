"""A gallery as a subgraph: every kind of field that a selection may read, with values right and wrong.

`Plain` is the subgraph as domains have it; `Ordinary` is the same without compiled selections: the measure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry.types.info import Info

from authz.classes import DataClass
from authz.identity.subject import Subject
from authz.question import Decision, Obligation, Question
from authz.trail import Access
from subgraphs.kit import RequestContext, RowAccess, Subgraph, classified, resolved, shapes
from subgraphs.kit.subgraph import _Prepared


@strawberry.enum
class Kind(Enum):
    OIL = "oil"
    INK = "ink"


def _shorter(value: str) -> str:
    return value[:1] + "…"


@dataclass(kw_only=True)
class GalleryContext(RequestContext):
    pieces: dict[str, Any]

    async def noted(self, id_: str) -> str:
        if id_ == "p1":
            raise ValueError("no note")
        return f"note of {id_}"


@classified(DataClass.PUBLIC)
@strawberry.interface
class Named:
    name: str | None


@classified(DataClass.PUBLIC)
@strawberry.type
class Frame(Named):
    width: float
    wood: str | None = None


@classified(DataClass.PUBLIC)
@strawberry.type
class Wall:
    number: int
    frames: list[Frame]


@classified(DataClass.TRAINING)
@strawberry.federation.type(keys=["id"])
class Piece:
    id: strawberry.ID
    owner_id: strawberry.Private[str]
    row_access: strawberry.Private[RowAccess | None]
    title: str | None
    kind: Kind | None
    weight: float | None
    price: int | None = strawberry.federation.field(directives=[classified(DataClass.FINANCIAL)])
    diagnosis: str | None = strawberry.federation.field(directives=[classified(DataClass.CLINICAL)])
    place: str | None = strawberry.federation.field(
        directives=[classified(DataClass.LOCATION, masks={"trimmed": _shorter})]
    )
    sold: bool = strawberry.federation.field(directives=[classified(DataClass.PUBLIC)])
    grid: list[list[int | None]] | None
    made: dt.datetime | None
    tags: list[str] = strawberry.federation.field(directives=[classified(DataClass.PUBLIC)])
    frame: Frame | None = strawberry.federation.field(directives=[classified(DataClass.PUBLIC)])
    backing: Frame | None
    twin: Annotated[Piece, strawberry.lazy("tests.kit_subgraphs.gallery")] | None = (
        strawberry.federation.field(directives=[classified(DataClass.PUBLIC)])
    )
    around: (
        list[
            Annotated[
                Annotated[Piece, strawberry.lazy("tests.kit_subgraphs.gallery")] | Frame | Wall,
                strawberry.union("Thing"),
            ]
            | None
        ]
        | None
    ) = strawberry.federation.field(directives=[classified(DataClass.PUBLIC)])

    @resolved(classified(DataClass.PUBLIC))
    def label(self) -> str | None:
        """A resolver."""
        return f"label of {self.id}"

    @resolved(classified(DataClass.TRAINING))
    async def note(
        self,
        info: Info[GalleryContext],
        length: Annotated[int, strawberry.argument(metadata=shapes())] = 3,
    ) -> str | None:
        """A resolver that waits, with an argument."""
        return (await info.context.noted(str(self.id)))[:length]

    @classmethod
    async def resolve_reference(cls, info: Info[GalleryContext], id: str) -> Piece | None:
        return info.context.pieces.get(id)


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    def pieces(self, info: Info[GalleryContext]) -> list[Piece | None] | None:
        """All pieces."""
        return list(info.context.pieces.values())

    @resolved()
    async def first(self, info: Info[GalleryContext]) -> Piece | None:
        """One piece."""
        return next(iter(info.context.pieces.values()), None)

    @resolved()
    def frames(self, info: Info[GalleryContext]) -> list[Named]:
        """Objects behind an interface."""
        return [each.frame for each in info.context.pieces.values() if each.frame is not None]


@dataclass
class Decider:
    """By the owner's name: `open…` is shown, `masked…` shortened where it is a place, others are denied."""

    subject: Subject

    async def decide(self, questions: Sequence[Question]) -> list[Decision]:
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> Decision:
        owner = question.owner_id or ""
        if owner.startswith("masked") and question.data_class is DataClass.LOCATION:
            return Decision(True, "masked", mask="trimmed")
        if owner.startswith(("open", "masked")):
            return Decision(True, "open")
        return Decision(False, "default-deny", Obligation.CONSENT)


@dataclass
class Office:
    """Stands where authz's Authorizer stands."""

    def for_request(self, subject: Subject) -> Decider:
        return Decider(subject)


Plain = Subgraph[GalleryContext]


class Ordinary(Subgraph[GalleryContext]):
    """The same subgraph, executed by Strawberry alone."""

    def _parsed(self, query: str) -> _Prepared:
        return replace(super()._parsed(query), selections=None)


@dataclass
class Kept:
    """A ledger in memory."""

    accesses: list[Access] = field(default_factory=list)

    async def keep(self, accesses: Sequence[Access]) -> None:
        self.accesses.extend(accesses)


def gallery(
    kind: type[Subgraph[GalleryContext]], pieces: dict[str, Piece]
) -> tuple[Subgraph[GalleryContext], Kept]:
    """A subgraph of these pieces, and its ledger."""
    subgraph = kind(
        name="gallery",
        query=Query,
        types=[Piece, Frame, Wall],
        authorizer=Office(),
        context=lambda subject, decisions: GalleryContext(
            subject=subject, decisions=decisions, pieces=pieces
        ),
    )
    kept = Kept()
    subgraph.record_in(kept)
    return subgraph, kept
