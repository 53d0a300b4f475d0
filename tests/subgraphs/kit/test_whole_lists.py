"""A list settled by its owners shows what each object alone would show: the same data, errors and records."""

import asyncio
import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import pytest
import strawberry
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.info import Info

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer
from authz.facts import ConsentFact, MemoryFacts, RelationshipFact
from authz.identity.subject import Subject
from subgraphs.kit import RequestContext, RowAccess, Subgraph, classified, resolved
from subgraphs.kit.settled import GUESSED_MIN
from tests.kit_subgraphs.gallery import Kept

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
OWNERS = ("me", "ann", "bob", "cy", "dee")
SUBJECTS = (
    Subject("me", frozenset({Role.ATHLETE}), acr=1),
    Subject("me", frozenset({Role.TRAINER}), acr=1),
    Subject("me", frozenset({Role.MEDICAL_SPECIALIST}), acr=2, region="NL"),
    Subject("me", frozenset({Role.PARTNER}), client_id="client", scopes=frozenset({"activity:read"})),
    Subject(None),
)
LEAVES = ("seen", "distance", "track", "pulse", "diagnosis", "card", "word")


def _short(value: str) -> str:
    return value[:1]


def of(data_class: DataClass) -> Any:
    masks = dict.fromkeys(("trimmed", "rounded", "summary", "last_four", "masked"), _short)
    return strawberry.federation.field(directives=[classified(data_class, masks=masks)])


@classified(DataClass.TRAINING)
@strawberry.type
class Owned:
    owner_id: strawberry.Private[str | None]
    seen: str | None = of(DataClass.PUBLIC)
    distance: str | None = of(DataClass.TRAINING)
    track: str | None = of(DataClass.LOCATION)
    pulse: str | None = of(DataClass.WELLNESS)
    diagnosis: str | None = of(DataClass.CLINICAL)
    card: str | None = of(DataClass.FINANCIAL)
    word: str | None = of(DataClass.SOCIAL)


@classified(DataClass.TRAINING)
@strawberry.type
class Row:
    owner_id: strawberry.Private[str | None]
    row_access: strawberry.Private[RowAccess | None]
    seen: str | None = of(DataClass.PUBLIC)
    distance: str | None = of(DataClass.TRAINING)
    track: str | None = of(DataClass.LOCATION)
    pulse: str | None = of(DataClass.WELLNESS)
    diagnosis: str | None = of(DataClass.CLINICAL)
    card: str | None = of(DataClass.FINANCIAL)
    word: str | None = of(DataClass.SOCIAL)


@classified(DataClass.PUBLIC)
@strawberry.type
class Pair:
    rows: list[Row | None]
    one: Owned | None


@dataclass(kw_only=True)
class Context(RequestContext):
    owned: list[Any]
    rows: list[Any]


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    def owned(self, info: Info[Context, None]) -> list[Owned | None]:
        """At once."""
        return info.context.owned

    @resolved()
    async def rows(self, info: Info[Context, None]) -> list[Row | None]:
        """Later."""
        return info.context.rows

    @resolved()
    def pairs(self, info: Info[Context, None]) -> list[Pair]:
        """Below objects without an owner."""
        owned = info.context.owned
        return [Pair(rows=info.context.rows[:3], one=owned[0] if owned else None)]


class Singly:
    """authz's decisions, one by one: nothing is loaded or opened for many at once."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def for_request(self, subject: Subject) -> Any:
        request = self._authorizer.for_request(subject)

        class Alone:
            async def decide(self, questions: Any) -> Any:
                return [(await request.decide([each]))[0] for each in questions]

        return Alone()


facts = st.lists(
    st.builds(
        RelationshipFact,
        subject_id=st.just("me"),
        relation=st.sampled_from([each for each in Relation if each not in ("self", "none")]),
        object_id=st.sampled_from(OWNERS[1:]),
        scopes=st.frozensets(st.sampled_from(["training", "location", "wellness", "social"]), max_size=3),
        valid_from_utc=st.sampled_from([NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=1)]),
        valid_until_utc=st.sampled_from([None, NOW, NOW + dt.timedelta(minutes=30)]),
        version=st.just(1),
    ),
    max_size=6,
)
consents = st.lists(
    st.builds(
        ConsentFact,
        consent_id=st.sampled_from(["c1", "c2"]),
        patient_id=st.sampled_from(OWNERS),
        actor_id=st.sampled_from([None, "me", "client"]),
        purpose=st.none(),
        data_class=st.sampled_from([None, DataClass.CLINICAL]),
        decision=st.sampled_from(["permit", "deny"]),
        valid_from_utc=st.just(NOW - dt.timedelta(days=1)),
        valid_until_utc=st.none(),
        version=st.just(1),
    ),
    max_size=2,
)
accesses = st.builds(
    RowAccess,
    owner_id=st.sampled_from((*OWNERS, None)),
    purpose=st.sampled_from([None, Purpose.TREATMENT]),
    labels=st.sampled_from([frozenset(), frozenset({"mental"})]),
    visibility=st.sampled_from([None, *Visibility]),
    metric=st.sampled_from([None, "heart_rate"]),
    created_by=st.sampled_from([None, "me"]),
)
values = st.sampled_from(["long text", "a", None])
odd = st.one_of(values, values, values, st.sampled_from([ValueError("broken"), {}]))


def object_of(draw: st.DrawFn, row: bool, owners: tuple[Any, ...], kinds: list[RowAccess]) -> Any:
    if draw(st.integers(0, 30)) == 0:
        return None
    leaf = draw(odd)
    told: dict[str, Any] = {**dict.fromkeys(LEAVES, "x"), draw(st.sampled_from(LEAVES)): leaf}
    told["owner_id"] = draw(st.sampled_from(owners))
    if row:
        return Row(**told, row_access=draw(st.sampled_from([*kinds, *kinds, None])))
    return Owned(**told)


@st.composite
def lists(draw: st.DrawFn, row: bool) -> list[Any]:
    """Short and long ones, of one owner or of many, with a stranger late in the list."""
    owners = tuple(draw(st.lists(st.sampled_from((*OWNERS, None)), min_size=1, max_size=3)))
    kinds = draw(st.lists(accesses, min_size=1, max_size=3))
    few = [object_of(draw, row, owners, kinds) for _ in range(draw(st.integers(0, 5)))]
    whole = [each for each in few if each is not None]
    long = draw(st.booleans())
    return [*(whole[:1] * GUESSED_MIN), *few] if long else few


names = st.lists(st.sampled_from([*LEAVES, "__typename"]), min_size=1, max_size=4, unique=True)
SHAPES = ("{ owned { % } }", "{ rows { % } }", "{ pairs { rows { % } one { % } } }")
documents = st.builds(
    lambda shape, names: shape.replace("%", " ".join(names)), st.sampled_from(SHAPES), names
)


def told(answer: dict[str, Any]) -> tuple[str, list[str]]:
    errors = [
        json.dumps({**each, "extensions": {**each["extensions"], "traceId": ""}})
        for each in answer.get("errors", [])
    ]
    return json.dumps(answer["data"]), sorted(errors)


class Desk:
    """Stands where authz's Authorizer stands; each run puts another one there."""

    def __init__(self) -> None:
        self.authorizer: Any = None
        self.owned: list[Any] = []
        self.rows: list[Any] = []

    def for_request(self, subject: Subject) -> Any:
        return self.authorizer.for_request(subject)


DESK, KEPT = Desk(), Kept()
SUBGRAPH: Subgraph[Context] = Subgraph(
    name="lists",
    query=Query,
    authorizer=DESK,
    context=lambda subject, decisions: Context(
        subject=subject, decisions=decisions, owned=DESK.owned, rows=DESK.rows
    ),
    now=lambda: NOW,
)
SUBGRAPH.record_in(KEPT)


def compare(document: str, subject: Subject, known: list[Any], *, owned: list[Any], rows: list[Any]) -> None:
    """Whole lists from an empty and from a remembered circle, against each object on its own, thrice."""
    store = MemoryFacts()
    store.put(*known)

    async def run(authorizer: Any) -> list[Any]:
        DESK.authorizer, DESK.owned, DESK.rows = authorizer, owned, rows
        SUBGRAPH._documents.clear()
        found = []
        for _ in range(3):
            answer = await SUBGRAPH.execute(document, {}, None, subject)
            touched = sorted(repr(each) for access in KEPT.accesses for each in access.touched)
            KEPT.accesses.clear()
            found.append((*told(answer), touched))
        return found

    measure = asyncio.run(run(Singly(Authorizer(store, clock=lambda: NOW))))
    assert asyncio.run(run(Authorizer(store, clock=lambda: NOW))) == measure
    remembering = Authorizer(store, clock=lambda: NOW, remember_s=60.0, elapsed_s=lambda: 0.0)
    assert asyncio.run(run(remembering)) == measure


cases = given(documents, st.sampled_from(SUBJECTS), facts, consents, lists(row=False), lists(row=True))


@settings(deadline=None, max_examples=40)
@cases
def test_a_list_shows_what_each_of_its_objects_alone_would_show(
    document: str, subject: Subject, related: list[Any], consented: list[Any], owned: list[Any],
    rows: list[Any],
) -> None:  # fmt: skip
    compare(document, subject, [*related, *consented], owned=owned, rows=rows)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@settings(deadline=None, max_examples=1_000)
@cases
def test_a_list_shows_what_each_of_its_objects_alone_would_show_for_long(
    document: str, subject: Subject, related: list[Any], consented: list[Any], owned: list[Any],
    rows: list[Any],
) -> None:  # fmt: skip
    compare(document, subject, [*related, *consented], owned=owned, rows=rows)
