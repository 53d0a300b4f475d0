"""Argument values are authorised: a filter needs the right to read what it looks at, an input to set it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import strawberry
from strawberry.types.info import Info

from authz.classes import DataClass, Relation, Role, Visibility
from authz.decide import Authorizer
from authz.facts import MemoryFacts
from authz.identity.subject import ANONYMOUS, Subject
from subgraphs.kit import (
    NotClassified,
    PurposeOfUse,
    RequestContext,
    RowAccess,
    Subgraph,
    classified,
    proves,
    reads,
    resolved,
    ruled,
    sets,
    shapes,
    shown_whole,
)
from tests.kit_authz.people import NOW, a_fact

ANNA, BEN = (Subject(each, frozenset({Role.ATHLETE}), acr=1) for each in ("anna", "ben"))
COACH = Subject("coach", frozenset({Role.TRAINER}), acr=1)
DOCTOR = Subject("doctor", frozenset({Role.MEDICAL_SPECIALIST}), acr=2, region="NL")
CHANGED: list[str] = []


@strawberry.input
class Bounds:
    near: str | None = strawberry.field(default=None, metadata=reads("Person.place"))
    pulse_min: int | None = strawberry.field(default=None, metadata=reads("Person.pulse"))
    sport: str | None = strawberry.field(default=None, metadata=reads("Person.sport"))


@strawberry.input
class NoteInput:
    of: strawberry.ID
    text: str
    purpose: PurposeOfUse | None = None
    place: str | None = strawberry.field(default=None, metadata=sets(DataClass.LOCATION, owner="of"))


def whole(data_class: DataClass, **masks: Any) -> Any:
    return strawberry.field(directives=[classified(data_class, masks=masks)])


@classified(DataClass.TRAINING)
@strawberry.federation.type(keys=["id"])
class Person:
    id: strawberry.ID
    row_access: strawberry.Private[RowAccess]
    sport: str | None = whole(DataClass.TRAINING, summary=shown_whole)
    place: str | None = whole(DataClass.LOCATION, trimmed=lambda value: value[:1])
    pulse: int | None = whole(DataClass.WELLNESS)

    @resolved(classified(DataClass.TRAINING, masks={"summary": shown_whole}))
    def days(
        self,
        bounds: Bounds | None = None,
        sport: Annotated[str | None, strawberry.argument(metadata=reads("Person.sport"))] = None,
        size: Annotated[int, strawberry.argument(metadata=shapes())] = 2,
    ) -> list[str] | None:
        """Days, as many as asked for."""
        return ["a day"] * size

    @classmethod
    def resolve_reference(cls, info: Info[RequestContext, None], id: str) -> Person:
        access = RowAccess(owner_id=str(id), visibility=Visibility.FRIENDS, metric="heart_rate")
        return cls(id=strawberry.ID(id), row_access=access, sport="run", place="here", pulse=60)


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    ok: bool = True


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    @resolved(authenticated=True)
    def note(
        self,
        input: Annotated[
            NoteInput,
            strawberry.argument(metadata=sets(DataClass.CLINICAL, owner="of", purpose="purpose")),
        ],
    ) -> str | None:
        """A note in somebody's record."""
        CHANGED.append(input.text)
        return "noted"

    @resolved(authenticated=True)
    def rename(
        self, name: Annotated[str, strawberry.argument(metadata=sets(DataClass.PERSONAL))]
    ) -> str | None:
        """The caller's own name."""
        return name


def build() -> Subgraph[RequestContext]:
    facts = MemoryFacts()
    facts.put(
        a_fact("coach", Relation.COACH, "anna", "training"),
        a_fact("ben", Relation.FRIEND, "anna"),
        a_fact("doctor", Relation.TREATING, "anna"),
    )
    return Subgraph(
        name="people",
        query=Query,
        mutation=Mutation,
        types=[Person],
        authorizer=Authorizer(facts, clock=lambda: NOW),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
        now=lambda: NOW,
    )


PEOPLE = build()


async def days(subject: Subject, arguments: str) -> str:
    """`shown`, or the code of the refusal with its message."""
    person = '_entities(representations: [{__typename: "Person", id: "anna"}])'
    query = f"{{ {person} {{ ... on Person {{ days{arguments} }} }} }}"
    answer = await PEOPLE.execute(query, {}, None, subject)
    if "errors" not in answer:
        assert answer["data"]["_entities"][0]["days"]
        return "shown"
    [error] = answer["errors"]
    assert error["path"] == ["_entities", 0, "days"]
    return f"{error['extensions']['code']} {error['message']}"


def refused(name: str) -> str:
    return f"FORBIDDEN_ARGUMENT not allowed to use `Person.days(bounds.{name})`"


@pytest.mark.parametrize(
    ("subject", "arguments", "expected"),
    [
        (ANNA, '(bounds: {near: "x", pulseMin: 1, sport: "x"}, sport: "x", size: 3)', "shown"),
        (COACH, '(bounds: {sport: "x"}, sport: "x")', "shown"),
        (COACH, "(bounds: {pulseMin: 50})", refused("pulseMin")),
        (COACH, '(bounds: {near: "x"})', refused("near")),
        (BEN, '(bounds: {sport: "x"}, size: 1)', "shown"),
        (BEN, '(bounds: {near: "x"})', refused("near")),
        (BEN, "(bounds: {near: null, pulseMin: null})", "shown"),
        (DOCTOR, "(bounds: {pulseMin: 50})", "shown"),
    ],
    ids=["own", "coach", "coach pulse", "coach trimmed place", "friend", "friend place", "nulls", "doctor"],
)  # fmt: skip
async def test_a_filter_needs_the_right_to_read_what_it_looks_at(
    subject: Subject, arguments: str, expected: str
) -> None:
    """A view that is not the whole value is no right to search by it: a trimmed track would be found."""
    assert await days(subject, arguments) == expected


async def test_a_refused_filter_is_the_same_whatever_it_asks_for() -> None:
    answers = {await days(BEN, f'(bounds: {{near: "{place}"}})') for place in ("here", "elsewhere", "")}
    assert len(answers) == 1


async def test_variables_aliases_and_fragments_go_the_same_way() -> None:
    query = """query($b: Bounds, $r: [_Any!]!) { _entities(representations: $r) { ...P } }
    fragment P on Person { a: days(bounds: $b) b: days(bounds: {pulseMin: 1}) c: days }"""
    given = {"b": {"near": "x"}, "r": [{"__typename": "Person", "id": "anna"}]}
    answer = await PEOPLE.execute(query, given, None, COACH)
    assert answer["data"]["_entities"][0] == {"a": None, "b": None, "c": ["a day"] * 2}
    assert sorted(error["path"][-1] for error in answer["errors"]) == ["a", "b"]


NOTE = "mutation($i: NoteInput!) { note(input: $i) }"


@pytest.mark.parametrize(
    ("subject", "given", "code", "obligation"),
    [
        (DOCTOR, {"purpose": "TREAT"}, None, None),
        (DOCTOR, {}, "FORBIDDEN", "PURPOSE"),
        (DOCTOR, {"purpose": "TREAT", "place": "here"}, "FORBIDDEN", None),
        (COACH, {"purpose": "TREAT"}, "FORBIDDEN", None),
        (ANNA, {"purpose": "TREAT"}, "FORBIDDEN", None),
        (ANONYMOUS, {"purpose": "TREAT"}, "UNAUTHENTICATED", None),
    ],
    ids=["doctor", "no purpose", "a place too", "coach", "herself", "nobody"],
)
async def test_an_input_is_taken_only_from_who_may_set_it(
    subject: Subject, given: dict[str, Any], code: str | None, obligation: str | None
) -> None:
    CHANGED.clear()
    answer = await PEOPLE.execute(NOTE, {"i": {"of": "anna", "text": "well", **given}}, None, subject)
    if code is None:
        assert answer["data"] == {"note": "noted"} and CHANGED == ["well"]
        return
    [error] = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"].get("obligation")) == (code, obligation)
    assert CHANGED == [] and "well" not in json.dumps(answer)


async def test_an_argument_of_its_own_is_the_callers_unless_it_says_whose() -> None:
    answer = await PEOPLE.execute('mutation { rename(name: "Ann") }', {}, None, ANNA)
    assert answer["data"] == {"rename": "Ann"}
    partner = Subject("anna", frozenset({Role.PARTNER}), client_id="app", scopes=frozenset({"profile:read"}))
    answer = await PEOPLE.execute('mutation { rename(name: "Ann") }', {}, None, partner)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


def test_a_subgraph_with_an_undeclared_argument_does_not_start() -> None:
    @classified(DataClass.TRAINING)
    @strawberry.federation.type(keys=["id"])
    class Thing:
        id: strawberry.ID
        owner_id: strawberry.Private[str]

        @resolved()
        def found(self, text: str | None = None, first: int | None = None) -> str | None:
            """Searches."""
            return text

        @resolved()
        def sorted(
            self, by: Annotated[str | None, strawberry.argument(metadata=reads("Thing.nope"))] = None
        ) -> str | None:
            """Sorts."""
            return by

        @classmethod
        def resolve_reference(cls, info: Info[RequestContext, None], id: str) -> Thing:
            return cls(id=strawberry.ID(id), owner_id=id)

    with pytest.raises(NotClassified) as refused:
        Subgraph(
            name="things",
            query=Query,
            types=[Thing],
            authorizer=Authorizer(MemoryFacts()),
            context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
        )
    assert "`Thing.found(text)` does not say what it looks at" in str(refused.value)
    assert "reads `Thing.nope`, which is no classed field" in str(refused.value)


@strawberry.input
class Deep:
    of: strawberry.ID
    note: str | None = strawberry.field(default=None, metadata=sets(DataClass.CLINICAL, owner="of"))


@strawberry.input
class Whole:
    name: str
    deep: Deep | None = None


def started(mutation: type, subscription: type | None = None) -> Subgraph[RequestContext]:
    return Subgraph(
        name="things",
        query=Query,
        mutation=mutation,
        subscription=subscription,
        authorizer=Authorizer(MemoryFacts(), clock=lambda: NOW),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
    )


def test_a_subgraph_whose_mutation_takes_what_nobody_thought_about_does_not_start() -> None:
    @classified(DataClass.PUBLIC)
    @strawberry.type(name="Mutation")
    class Changes:
        @resolved(authenticated=True)
        def rename(self, name: str, first: int | None = None) -> str | None:
            """A name."""
            return name

        @resolved(authenticated=True)
        def shape(self, input: Bounds, purpose: PurposeOfUse | None = None) -> str | None:
            """Every field of this input says for itself."""
            return None

        @resolved(authenticated=True)
        def write(self, input: NoteInput) -> str | None:
            """One field of this input says for itself, the others nothing."""
            return None

    with pytest.raises(NotClassified) as refused:
        started(Changes)
    told = str(refused.value).removeprefix("subgraph `things` does not start: ").split("; ")
    mend = "declare it, or its input, with `sets(…)`, `reads(…)`, `ruled(by=…)`, `proves()` or `shapes()`"
    assert told == [
        f"`Mutation.{place}` does not say what giving it demands: {mend}"
        for place in ("rename(name)", "write(input.of)", "write(input.purpose)", "write(input.text)")
    ]


def test_what_a_stream_takes_is_decided_where_it_opens() -> None:
    @classified(DataClass.PUBLIC)
    @strawberry.type(name="Subscription")
    class Streams:
        @strawberry.subscription
        async def days(
            self,
            of: Annotated[str, strawberry.argument(metadata=sets(DataClass.TRAINING))],
            upto: int,
        ) -> AsyncIterator[int]:
            yield upto

    with pytest.raises(NotClassified) as refused:
        started(Mutation, Streams)
    assert "`Subscription.days(of)` sets TRAINING write, the caller's own, which nobody" in str(refused.value)
    assert "`Subscription.days(upto)` does not say" in str(refused.value)


async def test_a_declaration_reaches_every_field_of_its_input_and_gives_way_to_their_own() -> None:
    @classified(DataClass.PUBLIC)
    @strawberry.type(name="Mutation")
    class Changes:
        @resolved()
        def log_in(
            self, password: Annotated[str, strawberry.argument(metadata=proves())], after: str | None = None
        ) -> str | None:
            """Proves."""
            return "in"

        @resolved()
        def found(
            self, input: Annotated[Whole, strawberry.argument(metadata=ruled(by="anybody"))]
        ) -> str | None:
            """By a rule of the domain, but for what is inside."""
            return "done"

    subgraph = started(Changes)
    assert {place: str(says) for place, says in subgraph.inputs().items()} == {
        "Mutation.logIn(password)": "proves",
        "Mutation.found(input.name)": "ruled by anybody",
        "Mutation.found(input.deep.of)": "ruled by anybody",
        "Mutation.found(input.deep.note)": "sets CLINICAL write, that of `of`",
    }
    asked = "mutation($w: Whole!) { found(input: $w) }"
    given = {"w": {"name": "x", "deep": {"of": "anna"}}}
    assert (await subgraph.execute(asked, given, None, ANNA))["data"] == {"found": "done"}
    given["w"]["deep"]["note"] = "well"  # type: ignore[index]
    [error] = (await subgraph.execute(asked, given, None, ANNA))["errors"]
    assert (error["extensions"]["code"], error["message"]) == (
        "FORBIDDEN", "not allowed to set `input.deep.note`",
    )  # fmt: skip
