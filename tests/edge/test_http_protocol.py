"""GraphQL over HTTP: media types, methods, statuses, refusals."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio

from router.config import HttpLimits, RouterConfig
from tests.kit_edge.running import Running, running

GRAPHQL_JSON = "application/graphql-response+json"
HELLO = {"query": "{ hello }"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router():
    async with running() as it:
        yield it


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"application/json;q=0.5, {GRAPHQL_JSON};q=0.9", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}; charset=utf-8", GRAPHQL_JSON),
        ("text/plain, application/json", "application/json"),
        ('multipart/mixed;subscriptionSpec="1.0", application/json', "application/json"),
        ("application/json;q=0, */*", GRAPHQL_JSON),
        ("application/*;q=0, application/json", "application/json"),
        ("*/*;q=0.1, text/*;q=0, application/json;q=0", GRAPHQL_JSON),
    ],
)
async def test_the_answer_has_the_most_wanted_media_type(router: Running, accept, media_type) -> None:
    headers = {"accept": accept} if accept else {}
    async with router.http.post(router.url, json=HELLO, headers=headers, skip_auto_headers=["accept"]) as it:
        assert it.status == 200
        assert it.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert await it.json(content_type=None) == {"data": {"hello": "hello world"}}
        assert len(it.headers["stadion-trace-id"]) == 32


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "image/png",
        f"{GRAPHQL_JSON};charset=latin1",
        "application/json;q=0",
        "*/*;q=0",
        "application/*;q=0, */*",
    ],
)
async def test_a_media_type_that_cannot_be_produced_is_406(router: Running, accept) -> None:
    status, body, _ = await router.post(HELLO, accept=accept)
    assert status == 406
    assert body["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


async def test_a_query_over_get_needs_no_body(router: Running) -> None:
    parameters = {
        "query": "query A($n: String) { hello(name: $n) } query B { me }",
        "operationName": "A",
        "variables": '{"n": "ü"}',
    }
    async with router.http.get(router.url, params=parameters) as it:
        assert await it.json() == {"data": {"hello": "hello ü"}}


async def test_a_mutation_over_get_is_405_and_has_no_effect(router: Running) -> None:
    async with router.http.get(router.url, params={"query": "mutation { bump }"}) as it:
        assert it.status == 405
        assert it.headers["allow"] == "POST"
    assert router.hall.bumps == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(router: Running, method) -> None:
    headers = {"graphql-require-preflight": "1"}
    async with router.http.request(method, router.url, json=HELLO, headers=headers) as it:
        assert it.status == 405
        assert it.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/json; charset=utf-16",
        "nonsense",
    ],
)
async def test_another_content_type_is_415(router: Running, content_type) -> None:
    headers = {"content-type": content_type, "graphql-require-preflight": "1"}
    async with router.http.post(router.url, data=b"{}", headers=headers) as it:
        assert it.status == 415
        assert (await it.json())["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_body_in_another_coding_is_415(router: Running) -> None:
    status, _, _ = await router.post(HELLO, **{"content-encoding": "compress"})
    assert status == 415


BROKEN = [
    b"",
    b"{",
    b"42",
    b"null",
    b'"{ hello }"',
    b"{}",
    b'{"query": ""}',
    b'{"query": 1}',
    b'{"query": "{ hello }", "variables": []}',
    b'{"query": "{ hello }", "variables": "{}"}',
    b'{"query": "{ hello }", "operationName": 7}',
    b'{"query": "{ hello }", "extensions": "x"}',
    b'{"query": "{ hello }", "extensions": {"persistedQuery": 1}}',
    b'{"query": "{ hello }", "query": "{ me }"}',
    b'{"query": "{ hello }", "\\u0071uery": "{ me }"}',
    b'{"query": "{ hello \xff }"}',
    b"[" * 100_000,
    b'{"query":' * 50_000,
    b'{"query": "{ hello }", "variables": {"a": NaN}}',
    b'"\\u0041"',
    b'{"\\u0041": 1}',
    b'{"query": "{ hello }", "variables": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
    b'{"query": "{ hello }", "variables": {"a": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}",
]


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_JSON])
@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
async def test_what_is_no_request_is_400(router: Running, body, accept) -> None:
    headers = {"content-type": "application/json", "accept": accept}
    async with router.http.post(router.url, data=body, headers=headers) as it:
        assert it.status == 400
        [error] = (await it.json(content_type=None))["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"query": "{"}, "PARSING_ERROR"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ hello }", "operationName": "Other"}, "GRAPHQL_UNKNOWN_OPERATION_NAME"),
        ({"query": "query A { me } query B { me }"}, "GRAPHQL_UNKNOWN_OPERATION_NAME"),
        ({"query": "query($n: String!) { hello(name: $n) }"}, "VALIDATION_INVALID_TYPE_VARIABLE"),
    ],
)
async def test_a_document_that_cannot_run_is_400_and_200_for_old_clients(
    router: Running, request_, code
) -> None:
    for accept, expected in ((GRAPHQL_JSON, 400), ("application/json", 200)):
        status, body, _ = await router.post(request_, accept=accept)
        assert status == expected
        assert body["errors"][0]["extensions"]["code"] == code
        assert "data" not in body


async def test_data_with_errors_is_200(router: Running) -> None:
    status, body, _ = await router.post({"query": "{ hello broken }"}, accept=GRAPHQL_JSON)
    assert status == 200
    assert body["data"] == {"hello": "hello world", "broken": None}
    [error] = body["errors"]
    assert error["path"] == ["broken"]


async def test_what_only_others_may_see_is_null_with_one_error(router: Running) -> None:
    status, body, _ = await router.post({"query": "{ hello s: secret }"})
    assert status == 200
    assert body["data"] == {"hello": "hello world", "s": None}
    [error] = body["errors"]
    assert error["path"] == ["s"]
    assert error["extensions"]["code"] == "UNAUTHORIZED_FIELD_OR_TYPE"


async def test_null_parameters_count_as_absent(router: Running) -> None:
    request = {**HELLO, "variables": None, "operationName": None, "extensions": None}
    assert (await router.post(request))[1] == {"data": {"hello": "hello world"}}


async def test_duplicate_names_inside_variables_are_the_clients_own_matter(router: Running) -> None:
    variables = b'{"n": "query", "query": "\\u0041", "query": 2}'
    body = b'{"query": "query($n: String) { hello(name: $n) }", "variables": %s}' % variables
    async with router.http.post(router.url, data=body, headers={"content-type": "application/json"}) as it:
        assert await it.json() == {"data": {"hello": "hello query"}}


async def test_duplicate_url_parameters_are_400(router: Running) -> None:
    async with router.http.get(f"{router.url}?query=%7Bhello%7D&query=%7Bme%7D") as it:
        assert it.status == 400
    async with router.http.get(f"{router.url}?query=%ff") as it:
        assert it.status == 400
    async with router.http.get(f"{router.url}?query=%7Bhello%7D&variables=%7B") as it:
        assert it.status == 400


async def test_health_says_up(router: Running) -> None:
    for path in ("live", "startup", "ready"):
        async with router.http.get(router.url.replace("graphql", f"health/{path}")) as it:
            assert (it.status, await it.json()) == (200, {"status": "UP"})


async def test_a_router_at_its_limit_takes_no_new_work_and_lives() -> None:
    async with running(RouterConfig(http=HttpLimits(in_flight_max=1))) as router:
        url = router.url.replace("graphql", "health/")
        slow = asyncio.create_task(router.post({"query": "{ slow }"}))
        async with asyncio.timeout(10):
            await router.hall.started.wait()
        for path, expected in (("live", 200), ("startup", 200), ("ready", 503)):
            async with router.http.get(url + path) as it:
                assert it.status == expected
        router.hall.gate.set()
        await slow
        async with router.http.get(url + "ready") as it:
            assert it.status == 200


async def test_the_same_question_twice_is_planned_once(router: Running) -> None:
    graph = router.router.snapshot
    documents, plans = len(graph.documents), len(graph.plans)
    for _ in range(3):
        await router.post({"query": "{ once: hello }"})
    assert (len(graph.documents), len(graph.plans)) == (documents + 1, plans + 1)


async def test_unicode_arrives_whole(router: Running) -> None:
    request = {"query": "query($n: String) { hello(name: $n) }", "variables": {"n": "\U0001f3c3 \u202e"}}
    text = json.dumps(request).encode()
    async with router.http.post(router.url, data=text, headers={"content-type": "application/json"}) as it:
        assert await it.json() == {"data": {"hello": "hello \U0001f3c3 \u202e"}}


async def test_the_callers_trace_id_comes_back(router: Running) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    _, _, response = await router.post(HELLO, traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    assert response.headers["stadion-trace-id"] == trace_id
    for wrong in ("nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01"):
        _, _, response = await router.post(HELLO, traceparent=wrong)
        assert response.headers["stadion-trace-id"].strip("0") not in ("", trace_id)


@pytest.mark.parametrize("levels", [1, 100, 240])
async def test_variables_may_nest_as_deeply_as_they_can_be_sent_on(router: Running, levels) -> None:
    nested = "[" * levels + "]" * levels
    body = f'{{"query": "{{ hello }}", "variables": {{"a": {nested}}}}}'
    for _ in range(3):  # the first is read anew, a later one may go the straight way
        status, answer, _ = await router.post(json.loads(body))
        assert (status, answer) == (200, {"data": {"hello": "hello world"}})
