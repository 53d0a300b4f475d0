"""Answers in the coding that their client takes: which one, when none, and when none is safe."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import brotli
import pytest
import zstandard

from router.codings import WRITTEN
from router.config import ConfigError, CorsConfig, HttpLimits, RouterConfig, read_config
from router.edge.compression import Choice, chosen
from tests.kit_edge.running import Running, running

LONG = {"query": "query($n: String) { hello(name: $n) }", "variables": {"n": "long " * 1_000}}
FRIEND = "https://app.example"
UNPACKING = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Choice()),
        ("", Choice("", plain=True)),
        ("gzip", Choice("gzip")),
        ("gzip, deflate, br, zstd", Choice("zstd")),
        ("gzip, deflate, br", Choice("br")),
        ("GZIP;Q=1.0 , br;q=0.9", Choice("gzip")),
        ("br;q=0.2, gzip;q=0.8, zstd;q=0", Choice("gzip")),
        ("x-gzip", Choice("gzip")),
        ("*", Choice("zstd")),
        ("*;q=0.5, zstd;q=0", Choice("br")),
        ("gzip;q=0", Choice()),
        ("gzip;q=0.000", Choice()),
        ("deflate, compress", Choice()),
        ("identity", Choice()),
        ("identity, gzip;q=0.5", Choice()),
        ("identity;q=0.5, gzip;q=0.5", Choice("gzip")),
        ("gzip, identity;q=0", Choice("gzip", plain=False)),
        ("gzip, *;q=0", Choice("gzip", plain=False)),
        ("*;q=0", Choice("", plain=False)),
        ("identity;q=0", Choice("", plain=False)),
        ("identity, *;q=0", Choice()),
        ("gzip;q=nonsense", Choice()),
        ("gzip;q=7", Choice("gzip")),
        (",,;q=1, gzip", Choice("gzip")),
    ],
)
def test_the_most_wanted_coding_is_chosen(header: str | None, expected: Choice) -> None:
    assert chosen(header, WRITTEN) == expected


def test_an_operator_says_which_codings_are_offered_in_which_order() -> None:
    assert chosen("gzip, br, zstd", ("gzip", "br")).coding == "gzip"
    assert chosen("zstd", ("gzip", "br")) == Choice()
    assert read_config({"compression_codings": ["gzip"]}).compression_codings == ("gzip",)
    for wrong in ([], ["gzip", "lzma"]):
        with pytest.raises(ConfigError, match="`compression_codings` are of zstd, br, gzip"):
            read_config({"compression_codings": wrong})


@pytest.fixture
async def router() -> AsyncIterator[Running]:
    config = RouterConfig(compression=True, cors=CorsConfig(origins=(FRIEND,)))
    async with running(config) as it:
        yield it


async def sent(
    router: Running, request: dict[str, Any], accept_encoding: str, **headers: str
) -> tuple[int, str, bytes]:
    """Status, coding and body as it came."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.post(router.url, json=request, headers={"accept-encoding": accept_encoding, **headers}) as it,
    ):
        assert "accept-encoding" in it.headers["vary"]
        body = await it.read()
        assert int(it.headers["content-length"]) == len(body)
        return it.status, it.headers.get("content-encoding", ""), body


@pytest.mark.parametrize("coding", WRITTEN)
async def test_a_long_answer_leaves_in_the_clients_coding(router: Running, coding: str) -> None:
    status, said, body = await sent(router, LONG, coding)
    assert (status, said) == (200, coding)
    assert len(body) < 1_000
    assert b"long long" in UNPACKING[coding](body)


async def test_a_very_long_answer_is_packed_in_a_thread(
    router: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.edge.compression.THREAD_BYTES_MIN", 2_000)
    _, said, body = await sent(router, LONG, "zstd")
    assert b"long long" in UNPACKING[said](body)


async def test_short_answers_stay_plain_unless_plain_ones_are_refused(router: Running) -> None:
    short = {"query": "{ hello }"}
    assert (await sent(router, short, "gzip, br"))[1] == ""
    _, said, body = await sent(router, short, "br, identity;q=0")
    assert (said, brotli.decompress(body)) == ("br", b'{"data":{"hello":"hello world"}}')
    async with running(RouterConfig(compression=True, http=HttpLimits(compressed_bytes_min=10))) as eager:
        assert (await sent(eager, short, "gzip"))[1] == "gzip"


async def test_who_takes_no_coding_of_ours_and_nothing_plain_is_refused_before_any_work(
    router: Running,
) -> None:
    status, said, body = await sent(router, {"query": "mutation { bump }"}, "compress, identity;q=0")
    assert (status, said) == (406, "")
    assert b'"NOT_ACCEPTABLE"' in body
    assert router.hall.bumps == 0


async def test_refusals_and_batches_are_compressed_as_well(router: Running) -> None:
    _, said, body = await sent(router, {"query": "{ " + "no " * 400 + "}"}, "gzip")
    assert said == "gzip"
    assert b"GRAPHQL_VALIDATION_FAILED" in gzip.decompress(body)
    batching = RouterConfig(compression=True, http=HttpLimits(batch_operations_max=2))
    async with running(batching) as it:
        assert (await sent(it, [LONG, LONG], "gzip"))[1] == "gzip"  # type: ignore[arg-type]


async def test_answers_to_mutations_are_never_compressed(router: Running) -> None:
    mutation = {"query": "mutation { " + " ".join(f"b{n}: bump" for n in range(400)) + " }"}
    status, said, body = await sent(router, mutation, "gzip, identity;q=0")
    assert (status, said) == (200, "")
    assert len(body) > 1_024
    async with running(RouterConfig(compression=True, http=HttpLimits(batch_operations_max=2))) as batching:
        assert (await sent(batching, [LONG, mutation], "gzip"))[1] == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("site", "origin", "expected"),
    [
        ("cross-site", "https://evil.example", ""),
        ("same-site", "https://evil.app.example", ""),
        ("cross-site", "", ""),
        ("cross-site", FRIEND, "gzip"),
        ("same-origin", "", "gzip"),
        ("none", "", "gzip"),
    ],
)
async def test_what_a_strangers_page_asked_for_is_not_compressed(
    router: Running, site: str, origin: str, expected: str
) -> None:
    headers = {"sec-fetch-site": site} | ({"origin": origin} if origin else {})
    status, said, _ = await sent(router, LONG, "gzip", **headers)
    assert (status, said) == (200, expected)


async def test_nothing_is_compressed_unless_it_is_asked_for() -> None:
    async with running() as plain:
        assert (await sent(plain, LONG, "gzip, br, zstd"))[1] == ""
