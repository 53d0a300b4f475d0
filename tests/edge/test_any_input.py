"""Whatever bytes arrive, the router answers in GraphQL and never with a fault."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.config import HttpLimits, RouterConfig
from router.edge.app import build_app
from tests.kit_edge.running import router_of
from tests.kit_edge.subgraph import Hall

TEXTS = st.one_of(
    st.text(max_size=60),
    st.text("{}()[]$@!:|&.\"'\\#ab1 \n", max_size=60),
    st.sampled_from(
        ["{ hello }", "mutation { bump }", "{ broken }", "query A($n: String) { hello(name: $n) }"]
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
REQUESTS = st.fixed_dictionaries(
    {}, optional={"query": TEXTS | JSON, "variables": JSON, "operationName": JSON, "extensions": JSON}
)
BODIES = st.one_of(
    st.binary(max_size=80),
    JSON.map(lambda value: json.dumps(value).encode()),
    REQUESTS.map(lambda value: json.dumps(value).encode()),
    st.lists(REQUESTS, max_size=3).map(lambda value: json.dumps(value).encode()),
)
HEADER = st.binary(max_size=40) | st.sampled_from(
    [b"application/json", b"multipart/form-data; boundary=x", b"text/event-stream", b"*/*", b"gzip", b"1"]
)
NAMES = st.sampled_from([b"accept", b"content-type", b"authorization", b"traceparent", b"content-length"])
HEADERS = st.lists(st.tuples(NAMES, HEADER), max_size=4)
APP = build_app(router_of(Hall(), RouterConfig(http=HttpLimits(batch_operations_max=3))))
PLAIN = [(b"content-type", b"application/json"), (b"graphql-require-preflight", b"1")]


async def answered(
    method: str, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": "/graphql", "raw_path": b"/graphql", "query_string": path, "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    received = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return received.pop() if received else await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await APP(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


SLOWLY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def check(status: int, body: bytes) -> None:
    assert status in {200, 400, 401, 403, 405, 406, 413, 415}, body
    assert b"INTERNAL_SERVER_ERROR" not in body


@given(body=BODIES)
@SLOWLY
def test_any_body_is_answered(body: bytes) -> None:
    check(*asyncio.run(answered("POST", b"", PLAIN, body)))


@given(headers=HEADERS, body=BODIES)
@SLOWLY
def test_any_headers_are_answered(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    check(*asyncio.run(answered("POST", b"", [*PLAIN[1:], *headers], body)))


@given(query=st.binary(max_size=60) | st.binary(max_size=40).map(lambda text: b"query=" + text))
@SLOWLY
def test_any_url_is_answered(query: bytes) -> None:
    check(*asyncio.run(answered("GET", query, PLAIN[1:], b"")))


@given(operations=BODIES, places=BODIES, content=st.binary(max_size=40), junk=st.binary(max_size=20))
@SLOWLY
def test_any_form_is_answered(operations: bytes, places: bytes, content: bytes, junk: bytes) -> None:
    part = b'--x\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = part % (b"operations", operations) + part % (b"map", places)
    body += b'--x\r\ncontent-disposition: form-data; name="0"; filename="%s"\r\n\r\n%s\r\n--x--' % (
        junk,
        content,
    )
    headers = [(b"content-type", b"multipart/form-data; boundary=x"), PLAIN[1]]
    check(*asyncio.run(answered("POST", b"", headers, body)))


@pytest.mark.parametrize(
    "name", ["accept", "content-type", "authorization", "accept-encoding", "traceparent"]
)
def test_a_header_that_is_not_text_is_answered(name: str) -> None:
    check(
        *asyncio.run(
            answered("POST", b"", [*PLAIN, (name.encode(), b"\xff\xfe\x00")], b'{"query":"{hello}"}')
        )
    )
