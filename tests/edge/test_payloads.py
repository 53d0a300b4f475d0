"""A corpus of hostile input: what is an attack is refused with its code, what is text stays text."""

from __future__ import annotations

import asyncio
import io
import json
import resource
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
import yaml

from authz.identity.subject import Subject
from router.codings import WRITTEN, packed
from router.config import HttpLimits, OperationLimits, RouterConfig
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(120)
FOLDER = Path(__file__).resolve().parents[1] / "data" / "payloads"
ATTACKS = json.loads((FOLDER / "graphql_attacks.json").read_text(encoding="utf-8"))
GRAPHQL_JSON = "application/graphql-response+json"
CODES = {
    "circular-fragment": "GRAPHQL_VALIDATION_FAILED",
    "directive-overloading": "GRAPHQL_VALIDATION_FAILED",
    "schema-probe": "INTROSPECTION_DISABLED",
    "undefined-field-probe": "GRAPHQL_VALIDATION_FAILED",
    "nosql-projection-injection": "GRAPHQL_VALIDATION_FAILED",
    "sql-quote-in-argument": "GRAPHQL_VALIDATION_FAILED",
}


def payloads(name: str) -> list[str]:
    """The payloads of one file; one that is no YAML (quotes that YAML has not) is read by its lines."""
    text = (FOLDER / "gotestwaf" / name).read_text(encoding="utf-8")
    try:
        return [str(one) for one in yaml.safe_load(text)["payload"]]
    except yaml.YAMLError:
        lines = text.partition("payload:")[2].partition("\nencoder:")[0].splitlines()
        return [line.strip().removeprefix("- ").strip("\"'") for line in lines if line.strip()]


FILES = sorted(path.name for path in (FOLDER / "gotestwaf").glob("*.yml"))
TEXTS = [one for name in FILES for one in payloads(name)]
NAUGHTY = [
    line
    for line in (FOLDER / "naughty_strings.txt").read_text(encoding="utf-8").split("\n")
    if line and not line.startswith("#")
]


@pytest.fixture
async def router() -> AsyncIterator[Running]:
    async with running(RouterConfig(introspection=False)) as it:
        yield it


def counting(router: Running) -> list[str]:
    """What the subgraph is asked from now on."""
    asked: list[str] = []
    plain = router.hall.execute

    async def execute(
        query: str, variables: dict[str, Any], name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        asked.append(query)
        return await plain(query, variables, name, subject)

    router.hall.execute = execute  # type: ignore[method-assign]
    return asked


def test_the_corpus_is_whole() -> None:
    assert {one["name"] for one in ATTACKS} == set(CODES)
    assert len(FILES) == 12
    assert len(TEXTS) == 90
    assert len(NAUGHTY) > 90


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one["name"])
async def test_a_known_graphql_attack_is_refused_before_any_work(router: Running, attack) -> None:
    asked = counting(router)
    status, body, _ = await router.post(attack["http_json"], accept=GRAPHQL_JSON)
    assert status == 400
    assert "data" not in body
    assert {it["extensions"]["code"] for it in body["errors"]} == {CODES[attack["name"]]}
    assert "Did you mean" not in json.dumps(body)
    assert asked == []


async def test_raw_bodies_of_the_corpus_are_refused_or_answered_and_never_fail(router: Running) -> None:
    asked = counting(router)
    for text in TEXTS:
        for content_type in ("application/json", "text/plain", "application/xml"):
            headers = {"content-type": content_type, "accept": GRAPHQL_JSON}
            async with router.http.post(router.url, data=text.encode(), headers=headers) as it:
                assert it.status in {400, 403, 415}, (text, it.status)
                assert (await it.json())["errors"][0]["extensions"]["code"]
    assert asked == []


@pytest.mark.parametrize("name", FILES)
async def test_texts_go_through_as_the_values_that_they_are(router: Running, name: str) -> None:
    """Filters do not belong here: a value is a value, and nothing on the way reads it as anything else."""
    for text in payloads(name):
        body = {"query": "query($n: String) { hello(name: $n) }", "variables": {"n": text}}
        assert (await router.post(body))[1] == {"data": {"hello": f"hello {text}"}}
        literal = {"query": f"{{ hello(name: {json.dumps(text)}) }}"}
        assert (await router.post(literal))[1] == {"data": {"hello": f"hello {text}"}}


async def test_naughty_strings_come_back_whole_everywhere(router: Running) -> None:
    for text in NAUGHTY:
        body = {"query": "query($n: String) { hello(name: $n) }", "variables": {"n": text}}
        assert (await router.post(body))[1] == {"data": {"hello": f"hello {text}"}}
        params = {"query": body["query"], "variables": json.dumps({"n": text})}
        async with router.http.get(router.url, params=params) as it:
            assert await it.json() == {"data": {"hello": f"hello {text}"}}


async def test_texts_in_names_ids_and_headers_inject_nothing(router: Running) -> None:
    asked = counting(router)
    for text in [*TEXTS, *NAUGHTY]:
        for body in (
            {"query": "query A { hello }", "operationName": text},
            {"documentId": text},
            {"query": text},
            {"query": "{ hello }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": text}}},
        ):
            status, answer, _ = await router.post(body, accept=GRAPHQL_JSON)
            assert status in {200, 400, 404}
            assert answer["errors"][0]["extensions"]["code"] != "INTERNAL_SERVER_ERROR"
        clean = quote(text, safe="")[:2_000]
        headers = {"traceparent": clean, "accept-language": clean, "authorization": f"Bearer {clean}"}
        _, _, response = await router.post({"query": "{ __typename }"}, **headers)
        assert "set-cookie" not in response.headers
        assert len(response.headers["stadion-trace-id"]) == 32
    assert asked == []


async def test_a_line_break_in_a_header_never_becomes_a_header(router: Running) -> None:
    host, _, port = router.url.removeprefix("http://").removesuffix("/graphql").partition(":")
    for text in payloads("owasp-crlf.yml"):
        reader, writer = await asyncio.open_connection(host, int(port))
        path = f"/graphql?query=%7Bhello%7D&x={text}"
        raw = f"GET {path} HTTP/1.1\r\nhost: x\r\ntraceparent: {unquote(text)}\r\nconnection: close\r\n\r\n"
        writer.write(raw.encode("utf-8", "surrogateescape"))
        answered = await reader.read()
        assert b"crlf=injection" not in answered.partition(b"\r\n\r\n")[0].lower()
        writer.close()
        await writer.wait_closed()


def bombs() -> list[tuple[dict[str, str], bytes, str]]:
    """Headers, body and the code of each of our own attacks."""
    plain = {"content-type": "application/json", "accept": GRAPHQL_JSON}

    def document(text: str) -> bytes:
        return json.dumps({"query": text}).encode()

    levels = " ".join(
        f"fragment F{n} on Nested {{ a: nested {{ ...F{n + 1} }} b: nested {{ ...F{n + 1} }} }}"
        for n in range(40)
    )
    nested = b'{"query":"{ hello }","variables":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}"
    skipped = " ".join(f"a{n}: hello @skip(if: false)" for n in range(501))
    texts = {
        "MAX_TOKENS_LIMIT": "{" + "a " * 15_001 + "}",
        "MAX_HEIGHT_LIMIT": "{ nested { ...F0 } } " + levels + " fragment F40 on Nested { hello }",
        "MAX_ROOT_FIELDS_LIMIT": "{ " + " ".join(f"a{n}: hello" for n in range(600)) + " }",
        "MAX_DIRECTIVES_LIMIT": f"{{ nested {{ {skipped} }} }}",
        "MAX_BYTES_LIMIT": '"""' + "x" * 600_000,
        "INTROSPECTION_DISABLED": "{ __schema { types { name } } }",
    }
    deep = ["{" + "nested{" * 5_000, "{ hello(name: " + "[" * 50_000]
    invalid = [
        "query(" + " ".join(f"$v{n}: Int" for n in range(3_000)) + ") { hello }",
        "{ " + "x " * 7_000 + "}",
    ]
    return [
        *(
            ({**plain, "content-encoding": coding}, packed(b" " * 40_000_000, coding), "REQUEST_TOO_LARGE")
            for coding in WRITTEN
        ),
        (plain, b" " * 1_100_000, "REQUEST_TOO_LARGE"),
        (plain, nested, "BAD_REQUEST"),
        (plain, json.dumps([{"query": "{ hello }"}] * 1_000).encode(), "BATCHING_NOT_SUPPORTED"),
        (plain, b'{"query":"{ hello }","query":"{ me }"}', "BAD_REQUEST"),
        ({"content-type": "text/plain"}, document("{ hello }"), "CSRF_PREVENTED"),
        *((plain, document(text), code) for code, text in texts.items()),
        *((plain, document(text), "MAX_RECURSION_LIMIT") for text in deep),
        *((plain, document(text), "GRAPHQL_VALIDATION_FAILED") for text in invalid),
    ]


STORM = RouterConfig(
    introspection=False,
    http=HttpLimits(body_bytes_max=1_000_000),
    operation=OperationLimits(document_bytes_max=512 * 1024),
)


async def test_each_bomb_is_refused_with_its_code_before_any_work() -> None:
    async with running(STORM) as router:
        asked = counting(router)
        for headers, body, expected in bombs():
            assert await refusal(router, headers, body) == expected
        assert asked == []


async def refusal(router: Running, headers: dict[str, str], body: bytes) -> str:
    try:
        async with router.http.post(router.url, data=io.BytesIO(body), headers=headers) as it:
            return (await it.json())["errors"][0]["extensions"]["code"]
    except aiohttp.ClientOSError:
        return "REQUEST_TOO_LARGE"  # refused while it was still being sent


async def test_while_bombs_fall_memory_is_bounded_and_others_are_answered() -> None:
    """Client and server are one process, so what is measured is theirs together; and waiting is counted in
    bombs that were answered meanwhile, which a slow machine does not change."""
    async with running(STORM) as router:
        prepared = bombs()
        await router.post({"query": "{ hello }"})
        for headers, body, _ in prepared:
            await refusal(router, headers, body)
        asked = counting(router)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        storm = [asyncio.create_task(refusal(router, headers, body)) for headers, body, _ in prepared * 6]
        waits: list[int] = []
        while (before := sum(one.done() for one in storm)) < len(storm):
            assert (await router.post({"query": "{ hello }"}))[1] == {"data": {"hello": "hello world"}}
            waits.append(sum(one.done() for one in storm) - before)
        assert [await one for one in storm] == [code for _, _, code in prepared] * 6
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert len(asked) == len(waits)  # of the bombs, none reached a subgraph
    assert len(waits) >= 3
    assert max(waits) < len(storm) * 2 / 3  # nobody waits for the whole storm
    assert grown_kib < 100_000
