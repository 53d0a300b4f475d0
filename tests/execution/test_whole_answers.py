"""A single fetch's long answer passes as bytes, only where there is nothing for the router to do."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from authz.identity.subject import ANONYMOUS
from router.execution import CompiledPlan, compile_plan, execute
from router.execution.projection import HOT_AFTER_RUNS
from router.execution.transport import SentData
from router.execution.transports import known_texts
from router.execution.transports.http_client import HttpAnswer
from router.execution.transports.known_texts import KnownTexts
from router.execution.transports.raw import WHOLE_BYTES_MIN, sent_data
from router.execution.whole import whole_fetch
from router.operation.model import AllowedOperation
from router.planner import plan_operation
from tests.kit_federation.shop import SHOP, ScriptedTransport, normal_of

LONG = "x" * WHOLE_BYTES_MIN


def compiled(query: str) -> CompiledPlan:
    normal = normal_of(query)
    return compile_plan(plan_operation(normal, SHOP), AllowedOperation(normal=normal, original=normal), SHOP)


@pytest.mark.parametrize(
    ("query", "whole"),
    [
        ("{items{sku name maker{name city} makers{name}}}", True),
        ("{a:items{n:name sku} must{sku}}", True),
        ("query($s:ID){item(sku:$s){name}}", True),
        ("{items{sku left}}", False),
        ("{items{__typename sku}}", False),
        ("{things{id label}}", False),
        ("query($y:Boolean!){items{sku name @include(if:$y)}}", False),
        ("{__typename items{sku}}", False),
    ],
)
def test_only_a_fetch_of_exactly_what_was_asked_passes_whole(query: str, whole: bool) -> None:
    plan = compiled(query)
    assert (whole_fetch(plan.plan.node, plan.allowed, SHOP) is not None) is whole


def test_an_enum_with_values_that_clients_may_not_see_is_decoded() -> None:
    sdl_field = normal_of("{items{state}}")
    plan = plan_operation(sdl_field, SHOP)
    allowed = AllowedOperation(normal=sdl_field, original=sdl_field)
    assert whole_fetch(plan.node, allowed, SHOP) is None


def body(**members: Any) -> bytes:
    return orjson.dumps(members)


@pytest.mark.parametrize(
    "answered",
    [
        b'{"data":{"a":1}}',
        body(data={"a": LONG}, errors=[]),
        body(data={"a": LONG}, extensions={}),
        body(errors=[{"message": LONG}]),
        body(data=[LONG]),
        b'{"data":null,"x":"' + LONG.encode() + b'"}',
        body(data={"a": LONG})[:-1],
        body(data={"a": LONG}) + b"x",
        body(data={"a": LONG}).replace(b"xxx", b"x\xff", 1),
        b'{"data":{"a":' + LONG.encode() + b"}}",
        b'{"data":' + b'{"a":' * WHOLE_BYTES_MIN + b"1" + b"}" * (WHOLE_BYTES_MIN + 1),
    ],
)
async def test_anything_but_long_good_data_alone_is_decoded(answered: bytes) -> None:
    known = KnownTexts()
    for _ in range(2):
        assert sent_data(HttpAnswer(200, "application/json", answered), known) is None


async def test_long_data_alone_passes_as_it_came() -> None:
    answered = body(data={"a": LONG + "é"})
    sent = sent_data(HttpAnswer(200, "application/json", answered), KnownTexts())
    assert sent is not None
    assert sent.text is answered
    assert sent.json == answered[8:-1]
    assert sent.decoded() == {"a": LONG + "é"}


@pytest.mark.parametrize(("status", "media_type"), [(500, "application/json"), (200, "text/html")])
async def test_an_equal_text_passes_only_under_the_same_head(status: int, media_type: str) -> None:
    answered, known = body(data={"a": LONG}), KnownTexts()
    for _ in range(2):
        assert sent_data(HttpAnswer(200, "application/json", answered), known) is not None
    assert known.found(answered) is not None
    assert sent_data(HttpAnswer(status, media_type, answered), known) is None


@pytest.mark.parametrize(
    "answered",
    [
        b'{ "data" : {"a": "' + LONG.encode() + b'"} }\n',
        b'{"data":{"b":1},"data":{"a": "' + LONG.encode() + b'"}}',
    ],
)
async def test_data_in_another_form_passes_in_its_plainest(answered: bytes) -> None:
    known = KnownTexts()
    for _ in range(3):
        sent = sent_data(HttpAnswer(200, "application/json", answered), known)
        assert sent is not None
        assert sent.text == b'{"data":{"a": "' + LONG.encode() + b'"}}'


async def test_a_text_is_checked_once_and_known_by_all_of_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, known = body(data={"a": LONG}), KnownTexts()
    sent_data(HttpAnswer(200, "application/json", answered), known)
    assert known.found(answered) is None  # most answers come once
    first = sent_data(HttpAnswer(200, "application/json", answered), known)
    again = sent_data(HttpAnswer(200, "application/json", bytes(bytearray(answered))), known)
    assert first is again
    assert known.standing_at(bytearray(b"head" + answered + b"old"), 4, len(answered)) is answered
    other = answered[:-2] + b"x}"
    assert known.found(other) is None
    assert known.standing_at(bytearray(b"head" + other), 4, len(other)) is None
    assert sent_data(HttpAnswer(200, "application/json", other), known) is None
    known.forget()
    assert known.found(answered) is None
    monkeypatch.setattr(known_texts, "TEXT_BYTES_MAX", len(answered) - 1)
    for _ in range(2):
        sent_data(HttpAnswer(200, "application/json", answered), known)
    assert known.found(answered) is None


async def test_no_more_texts_are_known_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [body(data={"a": LONG + "x" * number}) for number in range(3)]
    monkeypatch.setattr(known_texts, "TEXTS_BYTES_MAX", sum(map(len, texts)) - 1)
    known = KnownTexts()
    for text in texts:
        for _ in range(2):
            sent_data(HttpAnswer(200, "application/json", text), known)
    assert [known.found(text) is not None for text in texts] == [False, False, True]


async def test_texts_are_forgotten_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_texts, "KEPT_S", 0)
    answered, known = body(data={"a": LONG}), KnownTexts()
    for _ in range(2):
        sent_data(HttpAnswer(200, "application/json", answered), known)
    assert known.found(answered) is not None
    while known.found(answered) is not None:  # the loop's timer is due
        await asyncio.sleep(0)


TRUSTED = [
    (b'{"data":{"a":' + LONG.encode() + b"}}", True),
    (body(data={"a": LONG}), True),
    (body(data={"a": LONG}, errors=[]), False),
    (body(data={"a": LONG}, errors=[], extensions={"b": {}}), False),
    (body(data={"a": LONG}, extensions={"b": {}}), False),
    (body(errors=[{"message": LONG}], data={"a": {}}), False),
    (b'{"data":{"a":' + LONG.encode() + b"}", False),
    (b'{"data":null,"x":{"y":"' + LONG.encode() + b'"}}', False),
    (b'{ "data":{"a":' + LONG.encode() + b"}}", False),
]


@pytest.mark.parametrize(("answered", "passes"), TRUSTED)
async def test_of_a_trusted_subgraph_only_what_is_inside_the_data_is_not_looked_at(
    answered: bytes, passes: bool
) -> None:
    sent = sent_data(HttpAnswer(200, "application/json", answered), KnownTexts(), trusted=True)
    assert (sent is not None) is passes
    assert sent is None or sent.text is answered
    assert sent_data(HttpAnswer(500, "application/json", answered), KnownTexts(), trusted=True) is None
    assert sent_data(HttpAnswer(200, "text/html", answered), KnownTexts(), trusted=True) is None


class WholeTransport(ScriptedTransport):
    """Gives data as bytes where the request allows it."""

    async def fetch(self, request: Any) -> Any:
        response = await super().fetch(request)
        if request.whole:
            return type(response)(data=None, sent=SentData.of(orjson.dumps(response.data)))
        return response


async def test_a_hot_plan_answers_the_same_as_a_cold_one() -> None:
    runs = HOT_AFTER_RUNS + 2
    transport = WholeTransport(catalog=[{"data": {"items": [{"sku": "1", "name": "n"}]}}] * runs)
    plan = compiled("{items{sku name}}")
    answers = {orjson.dumps((await execute(plan, {}, ANONYMOUS, transport)).body()) for _ in range(runs)}
    assert answers == {b'{"data":{"items":[{"sku":"1","name":"n"}]}}'}
    assert [it.whole for it in transport.requests] == [False] * (HOT_AFTER_RUNS - 1) + [True] * 3
