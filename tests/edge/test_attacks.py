"""What an attacker sends is refused with its code before work is done."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging

import aiohttp
import pytest

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from router.config import ConfigError, CorsConfig, HttpLimits, OperationLimits, RouterConfig, read_config
from router.edge.credentials import Credentials
from router.edge.door import CLIENT_NAME_HEADERS
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)
GRAPHQL_JSON = "application/graphql-response+json"


@pytest.fixture
async def router():
    async with running() as it:
        yield it


def code(body: dict) -> str:
    return body["errors"][0]["extensions"]["code"]


async def refused(router: Running, text: str) -> str:
    status, body, _ = await router.post({"query": text}, accept=GRAPHQL_JSON)
    assert status == 400
    assert "data" not in body
    return code(body)


async def test_a_body_over_the_limit_is_413_whether_announced_or_not(router: Running) -> None:
    async def endless():
        for _ in range(40):
            yield b" " * 100_000

    for body in (io.BytesIO(b" " * 2_000_001), endless()):
        try:
            async with router.http.post(
                router.url, data=body, headers={"content-type": "application/json"}
            ) as it:
                assert it.status == 413
                assert code(await it.json()) == "REQUEST_TOO_LARGE"
        except aiohttp.ClientOSError:
            pass  # refused while the client was still sending


async def test_a_url_over_the_limit_is_413(router: Running) -> None:
    async with router.http.get(router.url, params={"query": "{ hello }" + " " * 33_000}) as it:
        assert it.status == 413


async def test_a_token_bomb_is_refused(router: Running) -> None:
    assert await refused(router, "{" + "a " * 15_001 + "}") == "MAX_TOKENS_LIMIT"


async def test_deep_nesting_is_refused(router: Running) -> None:
    deep = "{" + "nested{" * 5_000 + "hello" + "}" * 5_001
    assert await refused(router, deep) == "MAX_RECURSION_LIMIT"
    assert await refused(router, "{ hello(name: " + "[" * 50_000) == "MAX_RECURSION_LIMIT"


async def test_a_fragment_bomb_is_measured_without_being_expanded(router: Running) -> None:
    levels = " ".join(
        f"fragment F{n} on Nested {{ a: nested {{ ...F{n + 1} }} b: nested {{ ...F{n + 1} }} }}"
        for n in range(40)
    )
    text = "{ nested { ...F0 } } " + levels + " fragment F40 on Nested { hello }"
    assert await refused(router, text) == "MAX_HEIGHT_LIMIT"


@pytest.mark.parametrize(
    ("limits", "text", "expected"),
    [
        (OperationLimits(depth_max=3), "{ nested { nested { nested { hello } } } }", "MAX_DEPTH_LIMIT"),
        (OperationLimits(aliases_max=2), "{ a: hello b: hello c: hello }", "MAX_ALIASES_LIMIT"),
        (
            OperationLimits(root_fields_max=2),
            "{ ...F me } fragment F on Query { hello counted }",
            "MAX_ROOT_FIELDS_LIMIT",
        ),
        (
            OperationLimits(directives_max=1),
            "{ hello @include(if: true) me @skip(if: false) }",
            "MAX_DIRECTIVES_LIMIT",
        ),
        (OperationLimits(fields_max=2), "{ hello me counted }", "MAX_HEIGHT_LIMIT"),
    ],
)
async def test_an_operation_over_a_limit_is_told_the_number(limits, text, expected) -> None:
    async with running(RouterConfig(operation=limits)) as router:
        assert await refused(router, text) == expected
        assert (await router.post({"query": "{ hello }"}))[1]["data"]


async def test_circular_fragments_are_refused(router: Running) -> None:
    text = "{ nested { ...A } } fragment A on Nested { ...B } fragment B on Nested { ...A }"
    assert await refused(router, text) == "GRAPHQL_VALIDATION_FAILED"


async def test_directive_overloading_is_refused(router: Running) -> None:
    assert await refused(router, "{ __typename " + "@aa" * 500 + " }") == "GRAPHQL_VALIDATION_FAILED"


async def test_batches_are_off_and_have_a_cap_where_they_are_on(router: Running) -> None:
    status, body, _ = await router.post([{"query": "{ hello }"}])
    assert (status, code(body)) == (400, "BATCHING_NOT_SUPPORTED")
    async with running(RouterConfig(http=HttpLimits(batch_operations_max=2))) as batching:
        status, body, _ = await batching.post([{"query": "{ hello }"}, {"query": "{ no }"}])
        assert status == 200
        assert body[0] == {"data": {"hello": "hello world"}}
        assert code(body[1]) == "GRAPHQL_VALIDATION_FAILED"
        for text in (b'[["\\u0041"], null]', b'[null, {"query": "{ hello }", "query": "{ me }"}]', b"[1]"):
            async with batching.http.post(
                batching.url, data=text, headers={"content-type": "application/json"}
            ) as it:
                assert (it.status, code(await it.json())) == (400, "BAD_REQUEST")
        for wrong in ([], [{"query": "{ hello }"}] * 3):
            status, body, _ = await batching.post(wrong)
            assert (status, code(body)) == (400, "BATCH_PROCESSING_FAILED")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_what_a_form_of_another_site_can_send_is_refused(router: Running, content_type) -> None:
    headers = {"content-type": content_type} if content_type else {}
    async with router.http.post(
        router.url, data=b'{"query":"mutation { bump }"}', headers=headers, skip_auto_headers=["content-type"]
    ) as it:
        assert it.status == 403
        assert code(await it.json()) == "CSRF_PREVENTED"
    form = aiohttp.FormData(
        {"operations": '{"query":"mutation { bump }"}', "map": "{}"}, default_to_multipart=True
    )
    async with router.http.post(router.url, data=form) as it:
        assert it.status == 403
    assert router.hall.bumps == 0


async def test_a_browsers_cross_site_get_is_refused(router: Running) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        async with router.http.get(
            router.url, params={"query": "{ hello }"}, headers={"sec-fetch-site": site}
        ) as it:
            assert it.status == status


async def test_other_origins_may_call_only_where_they_are_named() -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with running(RouterConfig(cors=CorsConfig(origins=("https://app.example",)))) as router:
        async with router.http.options(router.url, headers=asked) as it:
            assert it.headers["access-control-allow-origin"] == "https://app.example"
        async with router.http.options(router.url, headers={**asked, "origin": "https://evil.example"}) as it:
            assert "access-control-allow-origin" not in it.headers
    async with running() as router, router.http.options(router.url, headers=asked) as it:
        assert "access-control-allow-origin" not in it.headers


ASKED_ACROSS = [
    {"json": {"query": "{ hello }"}},
    {"json": {"query": "{ nothing }"}, "headers": {"accept": "application/graphql-response+json"}},
    {"json": {"query": "{ hello }", "variables": {"a": "x" * 100_000}}},
    {"data": b"{", "headers": {"content-type": "application/json"}},
    {"json": {"query": "subscription { count(to: 1) }"}, "headers": {"accept": "text/event-stream"}},
]


@pytest.mark.parametrize("asked", ASKED_ACROSS, ids=["query", "refused", "long", "no request", "stream"])
async def test_the_page_of_a_named_origin_may_read_every_answer(asked) -> None:
    async with running(RouterConfig(cors=CorsConfig(origins=("https://app.example",)))) as router:
        for origin, told in (("https://app.example", "https://app.example"), ("https://evil.example", None)):
            for _ in range(3):  # the first is read anew, a later one may be known
                given = {**asked, "headers": {**asked.get("headers", {}), "origin": origin}}
                async with router.http.post(router.url, **given) as it:
                    assert it.headers.get("access-control-allow-origin") == told
                    assert "Origin" in it.headers["vary"]
                    assert "access-control-allow-credentials" not in it.headers
                    assert await it.read()


async def test_pages_may_send_every_header_that_the_router_reads() -> None:
    config = RouterConfig(cors=CorsConfig(origins=("https://app.example",)))
    read = [*config.trusted_preflight_headers, *CLIENT_NAME_HEADERS, "authorization", "dpop", "traceparent"]
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with running(config) as router:
        for name, status in (*((name, 200) for name in read), ("x-other", 400)):
            headers = {**asked, "access-control-request-headers": name}
            async with router.http.options(router.url, headers=headers) as it:
                assert (name, it.status) == (name, status)


async def test_cookies_of_other_origins_are_sent_only_where_that_is_set_and_each_is_named() -> None:
    page = "https://app.example"
    async with running(RouterConfig(cors=CorsConfig(origins=(page,), credentials=True))) as router:
        _, _, response = await router.post({"query": "{ hello }"}, origin=page)
        assert response.headers["access-control-allow-credentials"] == "true"
        assert response.headers["access-control-allow-origin"] == page
    with pytest.raises(ConfigError, match=r"`cors`: name the `origins` that may send credentials"):
        read_config({"cors": {"origins": ["*"], "credentials": True}})


async def test_a_bad_token_is_401_without_a_reason() -> None:
    async def nobody(_: str) -> Subject:
        raise InvalidToken

    async with running(credentials=Credentials(authenticate=nobody)) as router:
        for authorization in ("Bearer x.y.z", "Bearer", "Basic YTpi", "nonsense"):
            status, body, response = await router.post({"query": "{ hello }"}, authorization=authorization)
            assert status == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert body == {
                "errors": [{"message": "the token is not valid", "extensions": {"code": "AUTH_ERROR"}}]
            }
        assert (await router.post({"query": "{ hello }"}))[0] == 200


async def test_a_fault_is_masked_and_logged_under_its_trace_id(router: Running, monkeypatch, caplog) -> None:
    def fault(*_: object, **__: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("router.pipeline.execute", fault)
    with caplog.at_level(logging.ERROR):
        status, body, response = await router.post({"query": "{ hello }"})
    trace_id = response.headers["stadion-trace-id"]
    assert status == 500
    assert body["errors"] == [
        {"message": "internal error", "extensions": {"code": "INTERNAL_SERVER_ERROR", "traceId": trace_id}}
    ]
    assert trace_id in caplog.text
    assert "hunter2" in caplog.text


async def test_requests_over_the_limit_are_shed() -> None:
    async with running(RouterConfig(http=HttpLimits(in_flight_max=0))) as router:
        status, body, response = await router.post({"query": "{ hello }"})
        assert (status, code(body)) == (503, "SERVICE_OVERLOADED")
        assert response.headers["retry-after"] == "1"


async def test_a_router_as_it_comes_tells_nothing_of_its_subgraphs_faults(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(RouterConfig()) as router:
        _, body, response = await router.post({"query": "{ broken }"})
    (error,) = body["errors"]
    assert error["message"] == "subgraph errors are not shown"
    assert error["path"] == ["broken"]
    trace_id = response.headers["stadion-trace-id"]
    assert error["extensions"] == {"service": "only", "traceId": trace_id}
    assert [one for one in caplog.messages if "kaput" in one and trace_id in one]


async def test_a_refusal_is_in_the_log_by_its_code_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stadion.router.answers")
    async with running(RouterConfig()) as router:
        _, _, response = await router.post({"query": "{ hunter2 }"})
    trace_id = response.headers["stadion-trace-id"]
    assert f"request {trace_id} was refused: GRAPHQL_VALIDATION_FAILED" in caplog.messages
    assert "hunter2" not in caplog.text


async def test_introspection_that_is_off_answers_nothing_and_suggests_nothing() -> None:
    async with running(RouterConfig()) as router:
        for text in (
            "{ __schema { types { name } } }",
            '{ hello ... on Query { x: __type(name: "Query") { name } } }',
        ):
            assert await refused(router, text) == "INTROSPECTION_DISABLED"
        assert (await router.post({"query": "{ __typename }"}))[1] == {"data": {"__typename": "Query"}}
        _, body, _ = await router.post({"query": "{ helo }"})
        assert "Did you mean" not in json.dumps(body)


async def test_persisted_queries_remember_only_the_text_they_hash(router: Running) -> None:
    text = "{ hello }"
    named = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
    _, body, _ = await router.post({"extensions": named})
    assert code(body) == "PERSISTED_QUERY_NOT_FOUND"
    status, body, _ = await router.post({"query": "{ me }", "extensions": named}, accept=GRAPHQL_JSON)
    assert (status, code(body)) == (400, "PERSISTED_QUERY_HASH_MISMATCH")
    assert (await router.post({"query": text, "extensions": named}))[1]["data"]
    assert (await router.post({"extensions": named}))[1] == {"data": {"hello": "hello world"}}


async def test_a_client_that_leaves_stops_a_slow_query_but_not_a_mutation(
    router: Running, monkeypatch
) -> None:
    monkeypatch.setattr("router.edge.disconnect.QUICK_S", 0.01)
    for text in ("{ slow }", "mutation { slowBump }"):
        router.hall.started.clear()
        with pytest.raises(TimeoutError):
            await router.http.post(router.url, json={"query": text}, timeout=aiohttp.ClientTimeout(total=0.2))
        assert router.hall.started.is_set()
    await router.hall.cancelled.wait()
    router.hall.gate.set()
    _, body, _ = await router.post({"query": "{ counted }"})
    assert body == {"data": {"counted": 1}}


async def test_a_body_that_trickles_in_is_given_up() -> None:
    gate = asyncio.Event()

    async def trickle():
        yield b"{"
        await gate.wait()

    async with running(RouterConfig(http=HttpLimits(body_wait_ms_max=50))) as router:
        headers = {"content-type": "application/json"}
        async with router.http.post(router.url, data=trickle(), headers=headers) as it:
            assert code(await it.json()) == "REQUEST_TIMEOUT"
            assert router.app.state.drain.in_flight == 0
        gate.set()
