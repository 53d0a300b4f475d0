"""Files by the GraphQL multipart request specification."""

from __future__ import annotations

import json

import aiohttp
import pytest

from router.config import HttpLimits, RouterConfig
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)
PREFLIGHT = {"graphql-require-preflight": "1"}
ONE = "mutation($file: Upload!, $others: [Upload!]) { upload(file: $file, others: $others) }"


@pytest.fixture
async def router():
    async with running() as it:
        yield it


def form(operations: object, places: object, **files: bytes) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    made.add_field("operations", operations if isinstance(operations, str) else json.dumps(operations))
    made.add_field("map", places if isinstance(places, str) else json.dumps(places))
    for name, content in files.items():
        made.add_field(name, content, filename=f"{name}.txt", content_type="text/plain")
    return made


async def send(router: Running, made: aiohttp.FormData) -> tuple[int, dict]:
    async with router.http.post(router.url, data=made, headers=PREFLIGHT) as response:
        return response.status, await response.json()


async def test_files_reach_the_subgraph_with_name_type_and_size(router: Running) -> None:
    operations = {"query": ONE, "variables": {"file": None, "others": [None, None]}}
    places = {"a": ["variables.file"], "b": ["variables.others.0"], "c": ["variables.others.1"]}
    status, body = await send(router, form(operations, places, a=b"one", b=b"two", c="drei ü".encode()))
    assert status == 200
    assert body == {
        "data": {"upload": "a.txt text/plain 3 one; b.txt text/plain 3 two; c.txt text/plain 7 drei ü"}
    }


async def test_a_batch_may_bring_files() -> None:
    async with running(RouterConfig(http=HttpLimits(batch_operations_max=2))) as router:
        operations = [{"query": ONE, "variables": {"file": None}}, {"query": "{ hello }"}]
        status, body = await send(router, form(operations, {"0": ["0.variables.file"]}, **{"0": b"x"}))
        assert status == 200
        assert body[0]["data"]["upload"] == "0.txt text/plain 1 x"


QUERY = {"query": ONE, "variables": {"file": None}}


@pytest.mark.parametrize(
    ("operations", "places", "said"),
    [
        ("{", {"a": ["variables.file"]}, "JSON"),
        (QUERY, "[]", "`map`"),
        (QUERY, {"a": "variables.file"}, "`map`"),
        (QUERY, {"a": []}, "`map`"),
        (QUERY, {"z": ["variables.file"]}, "no file `z`"),
        (QUERY, {"a": ["variables.other.deep"]}, "no place"),
        (QUERY, {"a": ["query"]}, "must be null"),
        (QUERY, {"a": ["variables.file.__class__"]}, "no place"),
        ({**QUERY, "variables": {"file": 1}}, {"a": ["variables.file"]}, "must be null"),
    ],
)
async def test_a_form_that_breaks_the_specification_is_400(router: Running, operations, places, said) -> None:
    status, body = await send(router, form(operations, places, a=b"x"))
    assert status == 400
    [error] = body["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert said in error["message"]


async def test_files_over_the_limits_are_refused() -> None:
    limits = HttpLimits(upload_bytes_max=10_000, uploads_max=1)
    async with running(RouterConfig(http=limits)) as router:
        status, body = await send(router, form(QUERY, {"a": ["variables.file"]}, a=b"x" * 20_000))
        assert status == 413
        places = {"a": ["variables.file"]}
        status, body = await send(router, form(QUERY, places, a=b"x", b=b"y"))
        assert status == 400
        assert "too many files" in body["errors"][0]["message"]


async def test_a_form_without_a_boundary_is_400(router: Running) -> None:
    headers = {**PREFLIGHT, "content-type": "multipart/form-data"}
    async with router.http.post(router.url, data=b"x", headers=headers) as response:
        assert response.status == 400


async def test_a_file_that_the_map_does_not_name_is_400(router: Running) -> None:
    status, body = await send(router, form(QUERY, {"a": ["variables.file"]}, a=b"x", b=b"y"))
    assert status == 400
    assert "does not name" in body["errors"][0]["message"]


async def test_one_file_may_stand_in_several_places(router: Running) -> None:
    operations = {"query": ONE, "variables": {"file": None, "others": [None, None]}}
    places = {"a": ["variables.file", "variables.others.0", "variables.others.1"]}
    status, body = await send(router, form(operations, places, a=b"one"))
    assert (status, body) == (200, {"data": {"upload": "; ".join(["a.txt text/plain 3 one"] * 3)}})


async def test_a_query_may_bring_files_which_no_two_queries_share(router: Running) -> None:
    for variables, place in (({"unused": None}, "unused"), ({"n": "you", "unused": [None]}, "unused.0")):
        operations = {"query": "query($n: String) { hello(name: $n) }", "variables": variables}
        status, body = await send(router, form(operations, {"a": [f"variables.{place}"]}, a=b"x"))
        assert (status, body["data"]["hello"].split()[0]) == (200, "hello")
    operations = {"query": "query($n: String) { hello(name: $n) }", "variables": {"n": None}}
    status, body = await send(router, form(operations, {"a": ["variables.n"]}, a=b"x"))
    assert status == 200
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_INVALID_TYPE_VARIABLE"
