"""Each call of each request broken in each way: the rest of the answer stands, the errors say where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from router.execution import ExecutionOptions
from router.execution.transports.http import HttpTransport
from tests.kit_federation.audit_suites import audit_subgraphs, audit_suites, audit_tests
from tests.kit_federation.case_files import case_names, case_subgraphs, read_case
from tests.kit_federation.faults import FAULTS, WRONG_VALUES, FaultyTransport, bad_paths
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.serving import serving

CALLS_MAX = 12
STATEFUL = ("mutations_in_order", "query_inside_mutation")
"""Cases whose second run answers something else."""


def is_part(answer: Any, whole: Any) -> bool:
    """Whether `answer` is `whole` with some values null: nothing invented, nothing moved.

    Keys may be absent: where the fetch that tells an object's type is lost, so are its fragments.
    """
    if answer is None:
        return True
    if isinstance(answer, dict):
        return (
            isinstance(whole, dict)
            and answer.keys() <= whole.keys()
            and all(is_part(answer[key], whole[key]) for key in answer)
        )
    if isinstance(answer, list):
        return isinstance(whole, list) and len(answer) == len(whole) and all(map(is_part, answer, whole))
    return bool(answer == whole)


def leads_somewhere(path: list[str | int], answer: Any) -> bool:
    """Whether the path is one of the answer, or of what became null in it; list marks may be left out."""
    for element in path:
        while isinstance(answer, list) and isinstance(element, str):
            answer = next((it for it in answer if it is not None), None)
        if answer is None:
            return True
        if isinstance(element, int):
            if not isinstance(answer, list) or element >= len(answer):
                return False
            answer = answer[element]
        elif not isinstance(answer, dict) or element not in answer:
            return False
        else:
            answer = answer[element]
    return True


def audited(suite: str) -> Iterator[tuple[Federation, str, dict[str, Any]]]:
    for test in audit_tests(suite):
        if not test.get("errors"):
            yield federation_of(audit_subgraphs(suite)), test["query"], test.get("variables", {})


def own(name: str) -> Iterator[tuple[Federation, str, dict[str, Any]]]:
    case = read_case(name)
    for test in case.tests:
        # what a mutation changed is there the next time: its answers cannot be compared
        if not test.errors and not test.query.startswith("mutation"):
            yield federation_of(case_subgraphs(case)), test.query, test.variables


async def break_each_call(federation: Federation, query: str, variables: dict[str, Any]) -> None:
    compiled = federation.compiled(query)
    whole = await federation.run(compiled, variables)
    for number in range(CALLS_MAX):
        for fault in FAULTS:
            transport = FaultyTransport(federation.in_process(), number, fault)
            answer = await federation.run(compiled, variables, transport=transport)
            if transport.broken is None:
                return
            at = f"{fault.__name__} at call {number} to {transport.broken.service}\n{query}"
            assert is_part(answer.data, whole.data), f"{at}\n{answer.data}\n{whole.data}"
            assert answer.errors, at
            assert {it["extensions"]["service"] for it in answer.errors} == {transport.broken.service}, at
            assert all(leads_somewhere(it.get("path", []), answer.data) for it in answer.errors), (
                f"{at}\n{answer}"
            )
            assert "secret" not in str(answer.errors)


async def spoil_each_call(federation: Federation, query: str, variables: dict[str, Any]) -> None:
    compiled = federation.compiled(query)
    whole = await federation.run(compiled, variables)
    # what is computed from something required differs with it: such values cannot be compared
    computes = any("@requires" in it.sdl or "scalar" in it.sdl for it in federation.subgraphs)
    for number in range(CALLS_MAX):
        for fault in WRONG_VALUES:
            transport = FaultyTransport(federation.in_process(), number, fault)
            answer = await federation.run(compiled, variables, transport=transport)
            if transport.broken is None:
                return
            at = f"{fault.__name__} at call {number} to {transport.broken.service}\n{query}"
            orjson.dumps(answer.body())
            assert computes or is_part(answer.data, whole.data), f"{at}\n{answer.data}\n{whole.data}"
            if fault is bad_paths:
                assert computes or answer.data == whole.data, at
                assert len(answer.errors) >= 10, at
            assert all(leads_somewhere(it.get("path", []), answer.data) for it in answer.errors), (
                f"{at}\n{answer}"
            )


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_an_audited_answer_survives_each_broken_call(suite: str) -> None:
    for federation, query, variables in audited(suite):
        await break_each_call(federation, query, variables)


@pytest.mark.parametrize("name", [it for it in case_names() if it not in STATEFUL])
async def test_an_answer_of_ours_survives_each_broken_call(name: str) -> None:
    for federation, query, variables in own(name):
        await break_each_call(federation, query, variables)


@pytest.mark.parametrize("suite", [it for it in audit_suites() if it != "mutations"])
async def test_no_wrong_value_reaches_an_audited_answer(suite: str) -> None:
    for federation, query, variables in audited(suite):
        await spoil_each_call(federation, query, variables)


@pytest.mark.parametrize("name", [it for it in case_names() if it not in STATEFUL])
async def test_no_wrong_value_reaches_an_answer_of_ours(name: str) -> None:
    for federation, query, variables in own(name):
        await spoil_each_call(federation, query, variables)


def answering(status: int, text: bytes, kind: str) -> Any:
    """A server's answer to every request."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=text, content_type=kind)

    return handle


async def dropping(request: web.Request) -> web.StreamResponse:
    """A server that closes the connection instead of answering."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def hanging(request: web.Request) -> web.StreamResponse:
    """A server that never answers."""
    await asyncio.Event().wait()
    raise AssertionError


GRAPHQL = "application/graphql-response+json"
SERVER_FAULTS = {
    "500 in html": (answering(500, b"<h1>oops</h1>", "text/html"), "SUBREQUEST_HTTP_ERROR"),
    "503 in json": (answering(503, b'{"oops": 1}', "application/json"), "SUBREQUEST_HTTP_ERROR"),
    "html": (answering(200, b"<h1>hello</h1>", "text/html"), "SUBREQUEST_HTTP_ERROR"),
    "half json": (answering(200, b'{"data": {"_ent', GRAPHQL), None),
    "no json": (answering(200, b"\xff\xfe", GRAPHQL), None),
    "empty": (answering(200, b"", GRAPHQL), None),
    "a list": (answering(200, b"[]", GRAPHQL), "SUBREQUEST_MALFORMED_RESPONSE"),
    "a text": (answering(200, b'"data"', GRAPHQL), "SUBREQUEST_MALFORMED_RESPONSE"),
    "neither": (answering(200, b"{}", GRAPHQL), "SUBREQUEST_MALFORMED_RESPONSE"),
    "data is a list": (answering(200, b'{"data": []}', GRAPHQL), "SUBREQUEST_MALFORMED_RESPONSE"),
    "errors are a text": (answering(200, b'{"errors": "x"}', GRAPHQL), "SUBREQUEST_MALFORMED_RESPONSE"),
    "null": (answering(200, b'{"data": null}', GRAPHQL), "SUBREQUEST_MALFORMED_RESPONSE"),
    "dropped": (dropping, "SUBREQUEST_HTTP_ERROR"),
    "hanging": (hanging, "SUBREQUEST_HTTP_ERROR"),
}


@pytest.mark.parametrize("name", SERVER_FAULTS)
async def test_a_server_that_fails_costs_its_own_fields_alone(name: str) -> None:
    handler, code = SERVER_FAULTS[name]
    federation = federation_of(case_subgraphs(read_case("everyday_mix")))
    query = "{ products { name inStock reviews { id author { name } } } me { name } }"
    whole = await federation.ask(query)
    broken = {"inventory": {"inStock"}, "accounts": {"me", "name"}, "reviews": {"reviews"}}
    for service in broken:
        bad = [it for it in federation.subgraphs if it.name == service]
        async with serving(federation.subgraphs) as urls, serving(bad, instead=handler) as bad_urls:
            transport = HttpTransport({**urls, **bad_urls})
            options = ExecutionOptions(subgraph_timeout_s=0.3 if name == "hanging" else 20.0)
            answer = await federation.ask(query, transport=transport, options=options)
            await transport.close()
        assert is_part(answer.data, whole.data)
        assert answer.data != whole.data
        assert answer.data["products"][0]["name"] == "one"
        assert {it["extensions"]["service"] for it in answer.errors} == {service}
        codes = {it["extensions"]["code"] for it in answer.errors}
        assert codes <= ({code} if code else {"SUBREQUEST_HTTP_ERROR", "SUBREQUEST_MALFORMED_RESPONSE"})
        assert all(leads_somewhere(it.get("path", []), answer.data) for it in answer.errors)
