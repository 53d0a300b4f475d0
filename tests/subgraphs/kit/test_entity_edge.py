"""`_entities`: forged, unknown, malformed and too many representations; one load for all of them."""

from subgraphs.kit.entities import REPRESENTATIONS_MAX
from tests.kit_subgraphs.library import ANN, BOB, Library

ENTITIES = """query($r: [_Any!]!) {_entities(representations: $r) {
    __typename ... on Book {id title shelf} ... on Reader {id favourite}}}"""


async def test_all_representations_reach_the_store_as_one_load(library: Library) -> None:
    representations = [{"__typename": "Book", "id": f"b{n}"} for n in (3, 1, 3, 2)]
    answer = await library.ask(ENTITIES, ANN, r=representations)
    assert [each["id"] for each in answer["data"]["_entities"]] == ["b3", "b1", "b3", "b2"]
    assert library.loads == [["b3", "b1", "b2"]]
    assert len(library.office.batches) == 1


async def test_forged_fields_change_nothing(library: Library) -> None:
    forged = {
        "__typename": "Book",
        "id": "b1",
        "title": "forged",
        "ownerId": "bob",
        "owner_id": "bob",
        "shelf": "Z",
        "info": "x",
    }
    answer = await library.ask(ENTITIES, BOB, r=[forged])
    assert answer["data"]["_entities"] == [{"__typename": "Book", "id": "b1", "title": None, "shelf": "A"}]
    assert [error["path"] for error in answer["errors"]] == [["_entities", 0, "title"]]


async def test_each_bad_representation_fails_alone(library: Library) -> None:
    answer = await library.ask(
        ENTITIES,
        ANN,
        r=[
            {"__typename": "Book", "id": "b1"},
            {"__typename": "Nope", "id": "1"},
            {"id": "b1"},
            {"__typename": "Book"},
            {"__typename": "Book", "id": None},
            {"__typename": "Book", "id": {"$gt": ""}},
            {"__typename": "Book", "id": "x" * 300},
            {"__typename": "Book", "id": "bomb"},
            {"__typename": "Book", "id": "missing"},
            {"__typename": "Query"},
            "b1",
            {"__typename": "Reader", "id": "ann"},
        ],
    )
    found = answer["data"]["_entities"]
    assert [each is not None for each in found] == [True] + [False] * 10 + [True]
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["_entities", 1], "UNKNOWN_ENTITY"),
        (["_entities", 2], "UNKNOWN_ENTITY"),
        (["_entities", 3], "BAD_REPRESENTATION"),
        (["_entities", 4], "BAD_REPRESENTATION"),
        (["_entities", 5], "BAD_REPRESENTATION"),
        (["_entities", 6], "BAD_REPRESENTATION"),
        (["_entities", 7], "INTERNAL_SERVER_ERROR"),
        (["_entities", 9], "UNKNOWN_ENTITY"),
        (["_entities", 10], "BAD_REPRESENTATION"),
    ]
    assert library.loads == [["b1", "missing"]]


async def test_the_text_of_an_exception_never_leaves(library: Library) -> None:
    answer = await library.ask(ENTITIES, ANN, r=[{"__typename": "Book", "id": "bomb"}])
    assert "hunter2" not in str(answer)
    assert answer["errors"][0]["message"] == "internal error"
    assert len(answer["errors"][0]["extensions"]["traceId"]) == 32


async def test_too_many_representations_are_refused_with_the_limit_before_any_load(library: Library) -> None:
    representations = [{"__typename": "Book", "id": "b1"}] * (REPRESENTATIONS_MAX + 1)
    answer = await library.ask(ENTITIES, ANN, r=representations)
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_MANY_REPRESENTATIONS"]
    assert str(REPRESENTATIONS_MAX) in answer["errors"][0]["message"]
    assert library.loads == []


async def test_the_callers_variables_are_not_changed(library: Library) -> None:
    representations = [{"__typename": "Book", "id": "b1"}]
    for _ in range(2):
        answer = await library.ask(ENTITIES, ANN, r=representations)
        assert "errors" not in answer
    assert representations == [{"__typename": "Book", "id": "b1"}]


async def test_the_service_field_tells_the_sdl(library: Library) -> None:
    answer = await library.ask("{_service {sdl}}", ANN)
    assert answer["data"]["_service"]["sdl"] == library.subgraph.sdl()
