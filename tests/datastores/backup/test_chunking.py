"""Chunks are cut where the content says so: what did not change is found again."""

from __future__ import annotations

import random

import pytest

from datastores.backup.chunking import CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Chunker
from datastores.backup.sealing import RepositoryKey

KEY = RepositoryKey(b"k" * 32)
CONTENT = random.Random(7).randbytes(3_000_000)


def chunks(content: bytes, *, piece: int = 100_000, key: RepositoryKey = KEY) -> list[bytes]:
    chunker = Chunker(key.gear)
    found = [
        chunk for at in range(0, len(content), piece) for chunk in chunker.feed(content[at : at + piece])
    ]
    return [*found, *chunker.end()]


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\0" * 2_000_000, CONTENT], ids=["none", "one", "zeros", "noise"]
)
def test_the_chunks_are_the_content_and_of_bounded_size(content: bytes) -> None:
    found = chunks(content)
    assert b"".join(found) == content
    assert all(len(chunk) <= CHUNK_BYTES_MAX for chunk in found)
    assert all(len(chunk) >= CHUNK_BYTES_MIN for chunk in found[:-1])


@pytest.mark.parametrize("piece", [999, 65_536, 3_000_000])
def test_cuts_do_not_depend_on_how_the_content_arrives(piece: int) -> None:
    assert chunks(CONTENT, piece=piece) == chunks(CONTENT)


@pytest.mark.parametrize("place", [0, 1_500_000, 2_999_999])
def test_one_more_byte_changes_the_chunks_near_it_alone(place: int) -> None:
    before = set(chunks(CONTENT))
    after = chunks(CONTENT[:place] + b"!" + CONTENT[place:])
    assert len([chunk for chunk in after if chunk not in before]) <= 4
    assert len(after) > 20


def test_another_key_cuts_elsewhere() -> None:
    assert not set(chunks(CONTENT)[:-1]) & set(chunks(CONTENT, key=RepositoryKey(b"o" * 32))[:-1])
