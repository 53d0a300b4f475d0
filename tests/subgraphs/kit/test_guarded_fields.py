"""Fields of loaded objects: what is denied, with which error at which path, by how few questions."""

import datetime as dt
from typing import Any

import pytest
import strawberry

from authz.classes import DataClass, Visibility
from authz.identity.subject import ANONYMOUS, Subject
from authz.question import Decision, Question
from subgraphs.kit import (
    NotClassified,
    RequestContext,
    RowAccess,
    Subgraph,
    classified,
    resolved,
    shown_whole,
)
from tests.kit_subgraphs.library import ANN, BOB, Library, open_library


def errors_of(answer: dict[str, Any]) -> list[tuple[list[Any], str]]:
    return [(error["path"], error["extensions"]["code"]) for error in answer.get("errors", [])]


async def test_a_denied_field_is_null_with_one_error_at_its_path(library: Library) -> None:
    answer = await library.ask('{book(id: "b1") {id title shelf}}', BOB)
    assert answer["data"] == {"book": {"id": "b1", "title": None, "shelf": "A"}}
    assert errors_of(answer) == [(["book", "title"], "FORBIDDEN_FIELD")]
    assert answer["errors"][0]["message"] == "not allowed to read `Book.title`"


async def test_an_alias_changes_the_path_and_not_the_decision(library: Library) -> None:
    answer = await library.ask('{book(id: "b1") {id: title}}', BOB)
    assert answer["data"] == {"book": {"id": None}}
    assert errors_of(answer) == [(["book", "id"], "FORBIDDEN_FIELD")]


async def test_the_obligation_is_told_and_the_rule_is_not(library: Library) -> None:
    answer = await library.ask('{book(id: "b1") {diagnosis}}', BOB)
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN_FIELD", "obligation": "CONSENT"}
    assert "default-deny" not in str(answer)


async def test_a_list_is_decided_in_one_batch_with_one_question_an_owner_and_class(library: Library) -> None:
    answer = await library.ask("{books {title diagnosis}}", BOB)
    assert [len(batch) for batch in library.office.batches] == [4]
    assert {(q.owner_id, q.data_class, q.action) for q in library.office.batches[0]} == {
        (owner, data_class, action)
        for owner in ("ann", "bob")
        for data_class, action in ((DataClass.TRAINING, "read"), (DataClass.CLINICAL, "clearance"))
    }
    assert [book["title"] for book in answer["data"]["books"]] == [None] * 5 + [
        "Title 5",
        "Title 6",
        "Title 7",
    ]
    assert len(answer["errors"]) == 10


async def test_only_selected_classes_are_asked_about(library: Library) -> None:
    await library.ask("{books {id title}}", BOB)
    assert {question.data_class for question in library.office.batches[0]} == {DataClass.TRAINING}


async def test_public_fields_ask_nothing(library: Library) -> None:
    answer = await library.ask("{books {id shelf __typename}}", ANONYMOUS)
    assert "errors" not in answer
    assert library.office.batches == []


async def test_fragments_are_looked_into(library: Library) -> None:
    query = "query {books {...Parts}} fragment Parts on Book {... on Book {title}}"
    answer = await library.ask(query, BOB)
    assert len(library.office.batches) == 1
    assert len(answer["errors"]) == 5


async def test_nested_objects_are_decided_by_their_own_owner() -> None:
    library = open_library(friends=frozenset({"ann"}))
    answer = await library.ask('{book(id: "b1") {title diagnosis reader {favourite}}}', BOB)
    assert answer["data"]["book"] == {
        "title": "Title 1",
        "diagnosis": None,
        "reader": {"favourite": "running"},
    }
    assert errors_of(answer) == [(["book", "diagnosis"], "FORBIDDEN_FIELD")]


async def test_a_value_without_an_owner_is_guarded_by_the_field_that_leads_to_it(library: Library) -> None:
    answer = await library.ask('{book(id: "b1") {chapters {heading}}}', BOB)
    assert answer["data"] == {"book": {"chapters": None}}
    assert errors_of(answer) == [(["book", "chapters"], "FORBIDDEN_FIELD")]
    shown = await library.ask('{book(id: "b1") {chapters {heading}}}', ANN)
    assert shown["data"] == {"book": {"chapters": [{"heading": "Title 1 1"}]}}


async def test_connections_guard_every_node(library: Library) -> None:
    query = """query($r: [_Any!]!) {_entities(representations: $r) {... on Reader {
        books(first: 2) {totalCount nodes {title} edges {node {title}}}}}}"""
    answer = await library.ask(query, ANN, r=[{"__typename": "Reader", "id": "ann"}])
    books = answer["data"]["_entities"][0]["books"]
    assert books["nodes"] == [{"title": "Title 0"}, {"title": "Title 1"}]
    assert books["totalCount"] == 5
    denied = await library.ask(query, BOB, r=[{"__typename": "Reader", "id": "ann"}])
    assert errors_of(denied) == [(["_entities", 0, "books"], "FORBIDDEN_FIELD")]


async def test_a_root_field_for_callers_with_a_token_refuses_others(library: Library) -> None:
    answer = await library.ask("{mine {id}}", ANONYMOUS)
    assert answer["data"] == {"mine": None}
    assert errors_of(answer) == [(["mine"], "UNAUTHENTICATED")]


def build(query: type, *types: type, decide: Any = None) -> Subgraph[RequestContext]:
    class Office:
        def for_request(self, subject: Subject) -> Any:
            return decide

    return Subgraph(
        name="trial",
        query=query,
        types=types,
        authorizer=Office(),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
    )


def test_a_subgraph_with_unclassified_fields_does_not_start_and_names_them_all() -> None:
    @strawberry.type
    class Thing:
        size: int
        name: str | None = strawberry.field(directives=[classified(DataClass.PUBLIC)])
        weight: int

    @strawberry.type
    class Query:
        thing: Thing | None

    with pytest.raises(NotClassified) as refused:
        build(Query)
    for coordinate in ("Query.thing", "Thing.size", "Thing.weight"):
        assert f"`{coordinate}` has no data class" in str(refused.value)
    assert "Thing.name" not in str(refused.value)


def test_protected_fields_must_be_nullable_owned_and_outside_keys() -> None:
    @classified(DataClass.TRAINING)
    @strawberry.federation.type(keys=["id", "code"])
    class Thing:
        id: strawberry.ID
        code: str = strawberry.field(directives=[classified(DataClass.CLINICAL)])
        size: int

    @classified(DataClass.PUBLIC)
    @strawberry.type
    class Query:
        thing: Thing | None

    with pytest.raises(NotClassified) as refused:
        build(Query, Thing)
    told = str(refused.value)
    assert "`Thing.size` is protected and must be nullable" in told
    assert "`Thing.code` is part of a key and must be PUBLIC" in told
    assert "`Thing` is an entity and must have `resolve_reference`" in told
    assert "`Thing` is an entity with protected fields and must have `owner_id`" in told
    assert "`Query.thing` leads to it with another class" in told


@pytest.mark.parametrize("view", ["initials", "last_four", "masked"])
async def test_a_view_of_text_refuses_an_enum_whose_members_are_text(view: str) -> None:
    class Decides:
        async def decide(self, questions: list[Question]) -> list[Decision]:
            return [Decision(True, "view", mask=view) for _ in questions]

    @classified(DataClass.PERSONAL)
    @strawberry.type
    class Person:
        owner_id: strawberry.Private[str]
        level: strawberry.enum(Visibility) | None  # type: ignore[valid-type]

    @classified(DataClass.PUBLIC)
    @strawberry.type
    class Query:
        @resolved()
        def person(self) -> Person | None:
            return Person(owner_id="mira", level=Visibility.EVERYONE)

    answer = await build(Query, decide=Decides()).execute("{person {level}}", {}, None, ANN)
    assert answer["data"]["person"] == {"level": None}
    assert errors_of(answer) == [(["person", "level"], "FORBIDDEN_FIELD")]


async def test_parts_of_a_row_have_their_own_circles_and_views_are_masked() -> None:
    asked: list[Question] = []

    class Decides:
        async def decide(self, questions: list[Question]) -> list[Decision]:
            asked.extend(questions)
            masks = {"name": "initials", "identity": "year_of_birth", "read": "summary", "contact": "trimmed"}
            return [Decision(True, "view", mask=masks[question.action]) for question in questions]

    @classified(DataClass.PERSONAL)
    @strawberry.type
    class Person:
        name: str | None = strawberry.field(directives=[classified(DataClass.PERSONAL, action="name")])
        born: dt.date | None = strawberry.field(
            directives=[classified(DataClass.PERSONAL, action="identity")]
        )
        phone: str | None = strawberry.field(directives=[classified(DataClass.PERSONAL, action="contact")])
        height: int | None = strawberry.field(
            directives=[classified(DataClass.PERSONAL, masks={"summary": shown_whole})]
        )

        def row_access(self, data_class: DataClass, action: str) -> RowAccess:
            level = Visibility.EVERYONE if action == "name" else Visibility.PRIVATE
            return RowAccess(owner_id="mira", visibility=level)

    @classified(DataClass.PUBLIC)
    @strawberry.type
    class Query:
        @resolved()
        def person(self) -> Person | None:
            return Person(name="Mira Sandvik", born=dt.date(1991, 7, 4), phone="123456", height=172)

    subgraph = build(Query, decide=Decides())
    answer = await subgraph.execute("{person {name born phone height}}", {}, None, ANN)
    assert answer["data"]["person"] == {"name": "M. S.", "born": "1991-01-01", "phone": None, "height": 172}
    assert errors_of(answer) == [(["person", "phone"], "FORBIDDEN_FIELD")]
    assert {(q.action, q.visibility) for q in asked} == {
        ("name", Visibility.EVERYONE),
        ("identity", Visibility.PRIVATE),
        ("contact", Visibility.PRIVATE),
        ("read", Visibility.PRIVATE),
    }
