"""Request bodies that come compressed, and bombs among them."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest

from router.config import HttpLimits, RouterConfig
from router.edge.inflate import inflated
from router.errors import ClientError
from tests.kit_edge.running import Running, running

HELLO = json.dumps({"query": "{ hello }"}).encode()


def bare(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


@pytest.fixture
async def router():
    async with running(RouterConfig(http=HttpLimits(body_bytes_max=100_000))) as it:
        yield it


async def sent(router: Running, data: bytes, coding: str) -> tuple[int, str]:
    headers = {"content-type": "application/json", "content-encoding": coding}
    async with router.http.post(router.url, data=data, headers=headers) as response:
        body = await response.json()
        return response.status, body["errors"][0]["extensions"]["code"] if "errors" in body else "OK"


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(HELLO)),
        ("GZIP", gzip.compress(HELLO)),
        ("x-gzip", gzip.compress(HELLO)),
        ("deflate", zlib.compress(HELLO)),
        ("deflate", bare(HELLO)),
        ("identity", HELLO),
    ],
)
async def test_a_compressed_request_is_answered(router: Running, coding: str, packed: bytes) -> None:
    assert await sent(router, packed, coding) == (200, "OK")


async def test_a_long_compressed_request_is_answered(router: Running) -> None:
    long = json.dumps({"query": "{ hello }" + " " * 90_000 + "# é"}).encode()
    assert await sent(router, gzip.compress(long, mtime=0), "gzip") == (200, "OK")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_is_damaged_is_400(router: Running, coding: str) -> None:
    packed = gzip.compress(HELLO) if coding == "gzip" else zlib.compress(HELLO)
    for damaged in (
        b"",
        HELLO,
        packed[:-3],
        packed + b"more",
        packed + packed,
        packed[:-6] + b"\0\0" + packed[-4:],
    ):
        assert await sent(router, damaged, coding) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_other_codings_are_415_unread(router: Running, coding: str) -> None:
    assert await sent(router, HELLO, coding) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_bomb_is_413(router: Running) -> None:
    # 50 MB of spaces in 50 kB
    assert await sent(router, gzip.compress(b" " * 50_000_000), "gzip") == (413, "REQUEST_TOO_LARGE")


def test_a_bomb_is_not_unpacked_further_than_the_limit() -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    tracemalloc.start()
    with pytest.raises(ClientError) as raised:
        inflated(bomb, "gzip", bytes_max=2_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raised.value.code == "REQUEST_TOO_LARGE"
    assert peak < 8_000_000


def test_the_limit_is_the_last_size_that_passes() -> None:
    packed = gzip.compress(b"x" * 1_000)
    assert inflated(packed, "gzip", bytes_max=1_000) == b"x" * 1_000
    with pytest.raises(ClientError):
        inflated(packed, "gzip", bytes_max=999)
