"""What documents promise, in SQLite and over MongoDB's protocol (FerretDB)."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datastores.config import StoreUrlProblem
from datastores.documents.mongodb import MongodbDocuments, MongodbLimits
from datastores.documents.opening import open_documents
from datastores.documents.port import All, Between, Document, Documents, Equals, Filter, OneOf
from datastores.errors import Conflict, StoreError, Unavailable

pytestmark = pytest.mark.port("documents")

MEALS = [
    Document("m1", {"name": "oats", "kcal": 380, "tags": ["fast"], "by": {"id": "ann"}, "vegan": True}),
    Document("m2", {"name": "soup", "kcal": 120.5, "by": {"id": "bob"}, "vegan": False, "note": "ø\u0000"}),
    Document("m3", {"name": "rice", "kcal": "130", "by": {"id": "ann"}, "vegan": None}),
    Document("m4", {"name": "Rice", "kcal": 130, "by": {}, "vegan": 1}),
]


@pytest.fixture(params=["sqlite", "mongodb", "mongo-java"])
async def documents(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Documents]:
    if request.param == "sqlite":
        made = open_documents(f"sqlite:///{tmp_path}/documents.db")
    else:
        server = request.getfixturevalue(f"{request.param.replace('-', '_')}_url")
        made = open_documents(f"{server}/t{secrets.token_hex(6)}")
    await made.open()
    yield made
    await made.close()


async def ids_of(documents: Documents, where: Filter) -> list[str]:
    found = [document.id for document in await documents.find("meals", where)]
    assert await documents.count("meals", where) == len(found)
    return found


async def test_a_document_comes_back_as_it_was(documents: Documents) -> None:
    deep = {"a": [1, {"b": [None, True, 2.5, "x"]}], "empty": {}, "nothing": None, "n": -7}
    await documents.insert("meals", [Document("d", deep)])
    assert await documents.get("meals", ["d", "missing"]) == {"d": Document("d", deep, 1)}
    assert await documents.get("other", ["d"]) == {}


async def test_an_id_that_is_taken_is_a_conflict_and_changes_nothing_of_it(documents: Documents) -> None:
    await documents.insert("meals", [Document("d", {"n": 1})])
    with pytest.raises(Conflict):
        await documents.insert("meals", [Document("d", {"n": 2})])
    assert (await documents.get("meals", ["d"]))["d"].content == {"n": 1}


async def test_a_replacement_moves_the_version_and_an_old_version_is_a_conflict(documents: Documents) -> None:
    await documents.insert("meals", [Document("d", {"n": 1, "gone": True})])
    read = (await documents.get("meals", ["d"]))["d"]
    await documents.replace("meals", [Document("d", {"n": 2}, read.version)])
    assert (await documents.get("meals", ["d"]))["d"] == Document("d", {"n": 2}, 2)
    for stale in (Document("d", {"n": 3}, 1), Document("missing", {}, 1)):
        with pytest.raises(Conflict):
            await documents.replace("meals", [stale])
    assert (await documents.get("meals", ["d"]))["d"].content == {"n": 2}


def _needs_changes_in_one_step(request: pytest.FixtureRequest) -> None:
    if (
        request.node.callspec.params["documents"] == "mongodb"
        and "STADION_TEST_MONGODB_URL" not in os.environ
    ):
        pytest.skip(
            "FerretDB 1.24 looks a document up and writes it without looking again, so two writers may both"
            " win: mongo-java-server proves this one, as does a MongoDB that STADION_TEST_MONGODB_URL names"
        )


async def test_of_many_who_replace_one_version_one_wins(
    documents: Documents, request: pytest.FixtureRequest
) -> None:
    _needs_changes_in_one_step(request)
    await documents.insert("meals", [Document("d", {"n": -1})])
    tries = [documents.replace("meals", [Document("d", {"n": n}, 1)]) for n in range(10)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    [winner] = [number for number, answer in enumerate(answers) if answer is None]
    assert sum(isinstance(answer, Conflict) for answer in answers) == 9
    assert (await documents.get("meals", ["d"]))["d"] == Document("d", {"n": winner}, 2)


async def test_a_hundred_writers_of_one_id_have_one_winner(documents: Documents) -> None:
    tries = [documents.insert("meals", [Document("d", {"n": n})]) for n in range(100)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    [winner] = [number for number, answer in enumerate(answers) if answer is None]
    assert {type(answer) for answer in answers} == {type(None), Conflict}
    assert (await documents.get("meals", ["d"]))["d"] == Document("d", {"n": winner})


async def test_a_hundred_writers_of_one_counter_count_exactly(
    documents: Documents, request: pytest.FixtureRequest
) -> None:
    _needs_changes_in_one_step(request)
    await documents.insert("meals", [Document("d", {"n": 0})])

    async def count() -> None:
        while True:
            there = (await documents.get("meals", ["d"]))["d"]
            try:
                await documents.replace(
                    "meals", [Document("d", {"n": there.content["n"] + 1}, there.version)]
                )
            except Conflict:
                continue
            return

    await asyncio.gather(*(count() for _ in range(100)))
    assert (await documents.get("meals", ["d"]))["d"] == Document("d", {"n": 100}, 101)


async def test_what_is_put_back_has_the_version_that_it_had_and_is_listed(documents: Documents) -> None:
    assert await documents.collections() == ()
    await documents.put_back("meals", [Document("a", {"n": 1}, 7), Document("b", {"n": 2})])
    await documents.insert("plans", [Document("p", {}, 5)])
    assert await documents.collections() == ("meals", "plans")
    assert (await documents.get("meals", ["a"]))["a"] == Document("a", {"n": 1}, 7)
    assert (await documents.get("plans", ["p"]))["p"].version == 1
    with pytest.raises(Conflict):
        await documents.put_back("meals", [Document("a", {"n": 3}, 9)])
    with pytest.raises(Conflict):
        await documents.replace("meals", [Document("a", {"n": 3}, 6)])
    await documents.replace("meals", [Document("a", {"n": 3}, 7)])
    await documents.delete("plans", ["p"])
    assert await documents.collections() == ("meals",)


async def test_deleting_tells_how_many_were_there(documents: Documents) -> None:
    await documents.insert("meals", MEALS)
    assert await documents.delete("meals", ["m1", "m3", "missing"]) == 2
    assert sorted(await documents.get("meals", ["m1", "m2", "m3", "m4"])) == ["m2", "m4"]


FILTERS: list[tuple[Filter, list[str]]] = [
    (All(()), ["m1", "m2", "m3", "m4"]),
    (Equals("name", "rice"), ["m3"]),
    (Equals("by.id", "ann"), ["m1", "m3"]),
    (Equals("kcal", 130), ["m4"]),
    (Equals("kcal", 130.0), ["m4"]),
    (Equals("kcal", "130"), ["m3"]),
    (Equals("vegan", True), ["m1"]),
    (Equals("vegan", False), ["m2"]),
    (Equals("vegan", 1), ["m4"]),
    (Equals("missing", "x"), []),
    (Equals("name", "x' OR '1'='1"), []),
    (OneOf("name", ("oats", "Rice", "nothing")), ["m1", "m4"]),
    (OneOf("name", ()), []),
    (Between("kcal", low=120.5, high=380), ["m2", "m4"]),
    (Between("kcal", low=130), ["m1", "m4"]),
    (Between("kcal", high="2"), ["m3"]),
    (Between("name", low="oats", high="rice"), ["m1"]),
    (All((Equals("by.id", "ann"), Between("kcal", low=0))), ["m1"]),
    (All((Equals("by.id", "ann"), All((Equals("vegan", True),)))), ["m1"]),
]


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[str(number) for number in range(len(FILTERS))])
async def test_a_filter_finds_what_it_says(documents: Documents, where: Filter, expected: list[str]) -> None:
    await documents.insert("meals", MEALS)
    assert await ids_of(documents, where) == expected


async def test_pages_follow_one_another_by_id(documents: Documents) -> None:
    made = [Document(f"d{number:03}", {"even": number % 2 == 0}) for number in range(25)]
    await documents.insert("meals", list(reversed(made)))
    seen: list[str] = []
    while page := await documents.find(
        "meals", Equals("even", True), after_id=seen[-1] if seen else None, limit=5
    ):
        seen += [document.id for document in page]
    assert seen == [document.id for document in made[::2]]


async def test_a_thousand_in_one_call(documents: Documents) -> None:
    made = [Document(f"d{number:04}", {"number": number}) for number in range(1_200)]
    await documents.insert("meals", made)
    assert len(await documents.get("meals", [document.id for document in made])) == 1_200
    assert await documents.delete("meals", [document.id for document in made]) == 1_200


@pytest.mark.parametrize("field", ["", "$where", "a b", "a..b", "a'", 'a"]', "a." * 6 + "a"])
async def test_a_field_in_a_dialect_is_refused(documents: Documents, field: str) -> None:
    with pytest.raises(ValueError, match="dotted path"):
        await documents.find("meals", All((Equals(field, 1),)))


async def test_bounds_are_checked(documents: Documents) -> None:
    with pytest.raises(ValueError, match="limit"):
        await documents.find("meals", limit=1_001)
    with pytest.raises(ValueError, match="bounds"):
        await documents.find("meals", Between("a", low="x", high=3))
    with pytest.raises(ValueError, match="collection"):
        await documents.get("Meals; drop", ["a"])


async def test_nothing_asked_is_nothing_done(documents: Documents) -> None:
    await documents.insert("meals", [])
    await documents.replace("meals", [])
    assert (await documents.get("meals", []), await documents.delete("meals", [])) == ({}, 0)


async def test_closed_documents_are_unavailable(documents: Documents) -> None:
    await documents.ready()
    await documents.close()
    with pytest.raises(Unavailable):
        await documents.get("meals", ["a"])
    await documents.open()
    assert await documents.get("meals", ["a"]) == {}


async def test_a_mongodb_that_is_not_there_is_unavailable_and_tells_no_password() -> None:
    limits = MongodbLimits(connect_timeout_s=0.2, call_timeout_s=1.0)
    documents = MongodbDocuments("mongodb://me:SECRET@127.0.0.1:1/d", limits=limits)
    with pytest.raises(Unavailable) as told:
        await documents.open()
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize("url", ["mongodb://h", "mongodb:///d", "mysql://h/d", "sqlite://"])
def test_a_documents_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlProblem):
        open_documents(url)


async def test_a_person_who_is_forgotten_leaves_no_document_in_any_collection(documents: Documents) -> None:
    whose = {
        "d1": {"owner_id": "ann"},
        "d2": {"owner_id": "anna"},
        "d3": {"by": {"owner_id": "ann"}},
        "d4": {},
    }
    for collection in ("meals", "plans"):
        await documents.insert(collection, [Document(name, content) for name, content in whose.items()])
    await documents.forget_people(["ann", "nobody"])
    await documents.forget_people([])
    for collection in ("meals", "plans"):
        assert (await documents.get(collection, list(whose))).keys() == {"d2", "d3", "d4"}


async def test_one_moment_of_the_documents_stays_as_it_was_and_takes_no_writes(documents: Documents) -> None:
    await documents.insert("meals", MEALS[:2])
    async with documents.one_moment() as then:
        if then is None:
            assert "Mongodb" in type(documents).__name__
            return
        assert await then.collections() == ("meals",)
        await documents.delete("meals", ["m1"])
        await documents.insert("plans", [Document("p", {})])
        assert (await then.collections(), len(await then.find("meals"))) == (("meals",), 2)
        with pytest.raises(StoreError, match="cannot be written"):
            await then.delete("meals", ["m2"])
    assert await documents.collections() == ("meals", "plans")
    with pytest.raises(Unavailable, match="passed"):
        await then.collections()
