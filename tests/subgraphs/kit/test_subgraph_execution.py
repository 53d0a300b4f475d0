"""Execution without a transport: documents, errors, scalars, pages, subscriptions, SDL."""

import asyncio
import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from authz.identity.subject import ANONYMOUS
from subgraphs.kit import CursorSigner, PublicError, binding, clean_text, page_request
from subgraphs.kit import subgraph as subgraph_module
from tests.kit_subgraphs.library import ANN, BOB, SIGNER, BookRow, Library

SNAPSHOT = Path(__file__).parent / "library.graphql"


def test_the_sdl_is_what_composition_was_promised(library: Library) -> None:
    assert library.subgraph.sdl() == SNAPSHOT.read_text(encoding="utf-8")


async def test_documents_that_are_no_graphql_or_not_valid_are_refused_with_their_code(
    library: Library,
) -> None:
    syntax = await library.ask("{books", ANN)
    assert [error["extensions"]["code"] for error in syntax["errors"]] == ["PARSING_ERROR"]
    unknown = await library.ask("{boks {id}}", ANN)
    assert [error["extensions"]["code"] for error in unknown["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]
    assert "Did you mean" not in unknown["errors"][0]["message"]
    variable = await library.subgraph.execute("query($id: ID!) {book(id: $id) {id}}", {}, None, ANN)
    assert variable["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_document_is_parsed_and_validated_once(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    real = subgraph_module.parse

    def counting(text: str, **options: int) -> object:
        parsed.append(text)
        return real(text, **options)

    monkeypatch.setattr(subgraph_module, "parse", counting)
    for _ in range(3):
        await library.ask("{books {id}}", ANN)
    assert parsed == ["{books {id}}"]


async def test_the_document_cache_is_bounded(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subgraph_module, "DOCUMENTS_CACHED_MAX", 2)
    for n in range(5):
        await library.ask(f"{{a{n}: books {{id}}}}", ANN)
    assert list(library.subgraph._documents) == ["{a3: books {id}}", "{a4: books {id}}"]


async def test_public_errors_are_shown_and_faults_are_masked(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await library.ask("{sorry broken}", ANN)
    assert answer["data"] == {"sorry": None, "broken": None}
    sorry, broken = answer["errors"]
    assert (sorry["message"], sorry["extensions"]) == ("only tea here", {"pot": 1, "code": "TEAPOT"})
    assert broken["message"] == "internal error"
    assert broken["extensions"]["traceId"] in caplog.text
    assert "secret column" in caplog.text
    assert "secret column" not in str(answer)


async def test_missing_and_malformed_objects_answer_the_same(library: Library) -> None:
    answers = [await library.ask(f'{{book(id: "{id_}") {{id}}}}', ANN) for id_ in ("missing", "%00", "")]
    assert len({str(answer) for answer in answers}) == 1
    assert answers[0]["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


@pytest.mark.parametrize(
    "argument",
    [
        'moment: "2026-03-01T07:30:00"',
        'moment: "yesterday"',
        "moment: 5",
        'day: "2026-02-30"',
        'day: "20260301"',
    ],
)
async def test_moments_need_an_offset_and_days_must_exist(library: Library, argument: str) -> None:
    answer = await library.ask(f"{{echo({argument})}}", ANN)
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]


async def test_good_moments_and_days_arrive(library: Library) -> None:
    answer = await library.ask('{echo(moment: "2026-03-01T07:30:00+01:00", day: "2026-03-01")}', ANN)
    assert answer["data"] == {"echo": "2026-03-01T07:30:00+01:00 2026-03-01"}


def test_text_is_normalised_and_unseen_characters_are_refused() -> None:
    assert clean_text("  Cafe\u0301 ", "name") == "Café"
    for bad in ("a\u0000b", "a\u202eb", "a\u200bb", "x" * 201):
        with pytest.raises(PublicError, match="`name`"):
            clean_text(bad, "name", characters_max=200)


READER_BOOKS = """query($r: [_Any!]!, $first: Int, $after: String) {_entities(representations: $r) {
    ... on Reader {books(first: $first, after: $after) {
        nodes {id} pageInfo {hasNextPage hasPreviousPage endCursor}}}}}"""


async def test_pages_follow_one_another_without_gap(library: Library) -> None:
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        answer = await library.ask(
            READER_BOOKS, ANN, r=[{"__typename": "Reader", "id": "ann"}], first=2, after=after
        )
        page = answer["data"]["_entities"][0]["books"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        assert page["pageInfo"]["hasPreviousPage"] is (len(seen) > 2)
    assert seen == ["b0", "b1", "b2", "b3", "b4"]
    assert page["pageInfo"]["hasNextPage"] is False


@pytest.mark.parametrize("first", [-1, 101])
async def test_a_page_has_at_most_100(library: Library, first: int) -> None:
    answer = await library.ask(READER_BOOKS, ANN, r=[{"__typename": "Reader", "id": "ann"}], first=first)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_PAGE"]


def test_a_cursor_opens_only_for_its_viewer_list_filter_and_key() -> None:
    bound_to = binding("ann", "User.activities", {"sport": "run"})
    cursor = SIGNER.cursor(("2026", "b1"), bound_to=bound_to)
    assert SIGNER.sort_key(cursor, bound_to=bound_to) == ("2026", "b1")
    foreign = [
        (SIGNER, binding("bob", "User.activities", {"sport": "run"})),
        (SIGNER, binding("ann", "User.gear", {"sport": "run"})),
        (SIGNER, binding("ann", "User.activities", {"sport": "ride"})),
        (CursorSigner(b"x" * 32), bound_to),
    ]
    for signer, binding_ in foreign:
        with pytest.raises(PublicError) as refused:
            signer.sort_key(cursor, bound_to=binding_)
        assert refused.value.code == "BAD_CURSOR"
    for text in ("", "!!!", cursor[:-2], "A" * 5000):
        with pytest.raises(PublicError):
            page_request(SIGNER, bound_to=bound_to, first=1, after=text)


SUBSCRIPTION = "subscription {bookAdded {id title}}"


async def test_every_event_is_decided_anew(library: Library) -> None:
    stream = library.subgraph.subscribe(SUBSCRIPTION, {}, None, BOB)
    await library.added.put(BookRow("n1", "bob", "Mine"))
    first = await anext(stream)
    await library.added.put(BookRow("n2", "ann", "Hers"))
    second = await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert first == {"data": {"bookAdded": {"id": "n1", "title": "Mine"}}}
    assert second["data"] == {"bookAdded": {"id": "n2", "title": None}}
    assert [error["path"] for error in second["errors"]] == [["bookAdded", "title"]]


async def test_a_stream_ends_when_its_token_does(library: Library) -> None:
    expires = library.clock[0] + dt.timedelta(minutes=10)
    stream = library.subgraph.subscribe(
        SUBSCRIPTION, {}, None, dataclasses.replace(BOB, expires_at_utc=expires)
    )
    await library.added.put(BookRow("n1", "bob", "Mine"))
    assert (await anext(stream))["data"]["bookAdded"]["id"] == "n1"
    library.clock[0] = expires
    await library.added.put(BookRow("n2", "bob", "Late"))
    last = [response async for response in stream]
    assert [error["extensions"]["code"] for response in last for error in response["errors"]] == [
        "SUBSCRIPTION_EXPIRED"
    ]


async def test_a_stream_that_waits_ends_with_its_token_too(library: Library) -> None:
    expires = library.clock[0] + dt.timedelta(milliseconds=20)
    stream = library.subgraph.subscribe(
        SUBSCRIPTION, {}, None, dataclasses.replace(BOB, expires_at_utc=expires)
    )
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    library.clock[0] = expires
    response = await asyncio.wait_for(waiting, 5)
    assert response["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_EXPIRED"


async def test_a_source_that_breaks_ends_the_stream_with_a_masked_error(library: Library) -> None:
    stream = library.subgraph.subscribe("subscription {bookLost {id}}", {}, None, ANN)
    responses = [response async for response in stream]
    assert responses[0] == {"data": {"bookLost": None}}
    assert [error["message"] for error in responses[1]["errors"]] == ["internal error"]
    assert "hunter2" not in str(responses)


async def test_closing_a_stream_closes_its_source(library: Library) -> None:
    stream = library.subgraph.subscribe(SUBSCRIPTION, {}, None, BOB)
    await library.added.put(BookRow("n1", "bob", "Mine"))
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await library.added.put(BookRow("n2", "bob", "Unread"))
    await asyncio.sleep(0)
    assert library.added.qsize() == 1


async def test_a_subscription_is_no_query_and_a_query_is_one_event(library: Library) -> None:
    refused = await library.ask(SUBSCRIPTION, ANN)
    assert refused["data"] is None
    stream = library.subgraph.subscribe("{books {id}}", {}, None, ANONYMOUS)
    assert len([response async for response in stream]) == 1
