"""Request bodies that come compressed, and bombs among them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from router.codings import WRITTEN, packed
from router.config import HttpLimits, RouterConfig
from router.edge.inflate import inflated
from router.errors import ClientError
from tests.kit_edge.running import Running, running

HELLO = json.dumps({"query": "{ hello }"}).encode()
PACKING = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
}


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
        ("br", brotli.compress(HELLO)),
        ("zstd", zstandard.compress(HELLO)),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(HELLO)),
        ("identity", HELLO),
    ],
    ids=["gzip", "upper case", "x-gzip", "zlib", "bare", "br", "zstd", "zstd of unknown size", "identity"],
)
async def test_a_compressed_request_is_answered(router: Running, coding: str, packed: bytes) -> None:
    assert await sent(router, packed, coding) == (200, "OK")


async def test_a_long_compressed_request_is_answered(router: Running) -> None:
    long = json.dumps({"query": "{ hello }" + " " * 90_000 + "# é"}).encode()
    assert await sent(router, gzip.compress(long, mtime=0), "gzip") == (200, "OK")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_what_is_damaged_is_400(router: Running, coding: str) -> None:
    packed = PACKING[coding](HELLO)
    for damaged in (
        b"",
        HELLO,
        packed[:-3],
        packed + b"more",
        packed + packed,
        packed[:-6] + b"\0\0" + packed[-4:],
    ):
        assert await sent(router, damaged, coding) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("coding", ["gzip, gzip", "compress", "br, zstd", "dcb"])
async def test_other_codings_are_415_unread(router: Running, coding: str) -> None:
    assert await sent(router, HELLO, coding) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_a_bomb_is_413(router: Running, coding: str) -> None:
    # 50 MB of spaces in 50 kB, or in 50 bytes
    assert await sent(router, PACKING[coding](b" " * 50_000_000), coding) == (413, "REQUEST_TOO_LARGE")


PEAK = """
import resource, sys
import brotli, zstandard
from router.edge.inflate import inflated
from router.errors import ClientError
before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for coding, length in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    try:
        inflated(sys.stdin.buffer.read(length), coding, bytes_max=2_000_000)
    except ClientError as refusal:
        print(refusal.code)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib)
"""


def test_a_bomb_is_not_unpacked_further_than_the_limit() -> None:
    """In a process of its own: what these libraries hold, no Python tool sees."""
    bombs = {coding: packing(b" " * 60_000_000) for coding, packing in PACKING.items()}
    arguments = [one for coding, bomb in bombs.items() for one in (coding, str(len(bomb)))]
    command = [sys.executable, "-c", PEAK, *arguments]
    run = subprocess.run(command, input=b"".join(bombs.values()), capture_output=True, check=True)
    *codes, grown_kib = run.stdout.split()
    assert codes == [b"REQUEST_TOO_LARGE"] * len(PACKING)
    assert int(grown_kib) < 24_000


def test_a_window_over_eight_megabytes_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27, write_content_size=False)
    packing = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = packing.compress(b"x" * 100) + packing.flush()
    with pytest.raises(ClientError) as raised:
        inflated(body, "zstd", bytes_max=1_000)
    assert raised.value.code == "BAD_REQUEST"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_the_limit_is_the_last_size_that_passes(coding: str) -> None:
    packed = PACKING[coding](b"x" * 1_000)
    assert inflated(packed, coding, bytes_max=1_000) == b"x" * 1_000
    with pytest.raises(ClientError) as raised:
        inflated(packed, coding, bytes_max=999)
    assert raised.value.code == "REQUEST_TOO_LARGE"


@given(st.binary(max_size=5_000), st.sampled_from(sorted(PACKING)))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_is_packed_comes_out_as_it_was(plain: bytes, coding: str) -> None:
    assert inflated(PACKING[coding](plain), coding, bytes_max=5_000) == plain
    if coding in WRITTEN:
        assert inflated(packed(plain, coding), coding, bytes_max=5_000) == plain
