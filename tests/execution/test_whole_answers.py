"""A single fetch's long answer passes as bytes, only where there is nothing for the router to do."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from authz.identity.subject import ANONYMOUS
from router.execution import CompiledPlan, compile_plan, execute
from router.execution.projection import HOT_AFTER_RUNS
from router.execution.transports.http_client import HttpAnswer
from router.execution.transports.raw import WHOLE_BYTES_MIN, whole_data
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
def test_anything_but_long_good_data_alone_is_decoded(answered: bytes) -> None:
    assert whole_data(HttpAnswer(200, "application/json", answered)) is None


def test_long_data_alone_passes_as_it_came() -> None:
    answered = body(data={"a": LONG + "é"})
    assert whole_data(HttpAnswer(200, "application/json", answered)) == answered[8:-1]
    assert whole_data(HttpAnswer(500, "application/json", answered)) is None
    assert whole_data(HttpAnswer(200, "text/html", answered)) is None


class WholeTransport(ScriptedTransport):
    """Gives data as bytes where the request allows it."""

    async def fetch(self, request: Any) -> Any:
        response = await super().fetch(request)
        if request.whole:
            return type(response)(data=None, json=orjson.dumps(response.data))
        return response


async def test_a_hot_plan_answers_the_same_as_a_cold_one() -> None:
    runs = HOT_AFTER_RUNS + 2
    transport = WholeTransport(catalog=[{"data": {"items": [{"sku": "1", "name": "n"}]}}] * runs)
    plan = compiled("{items{sku name}}")
    answers = {orjson.dumps((await execute(plan, {}, ANONYMOUS, transport)).body()) for _ in range(runs)}
    assert answers == {b'{"data":{"items":[{"sku":"1","name":"n"}]}}'}
    assert [it.whole for it in transport.requests] == [False] * (HOT_AFTER_RUNS - 1) + [True] * 3
