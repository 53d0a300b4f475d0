"""Compression: the coding in which one answer leaves, by what its client takes.

Never compressed is what would let a stranger measure a secret by the length of an answer (BREACH): what a
page of another site had a browser ask for, and answers to mutations, which hand out tokens beside what the
request said.  Source: RFC 9110 §12.5.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from router.codings import packed
from router.config import RouterConfig
from router.edge.packed_streams import GZIP, THREAD_BYTES_MIN, packed_frames
from router.errors import ClientError

IDENTITY: Final = "identity"
ANY: Final = "*"
_STRANGERS: Final = frozenset({"cross-site", "same-site"})


@dataclass(frozen=True, slots=True)
class Choice:
    """The coding for an answer, empty for none; `plain` where the client takes it without one, too."""

    coding: str = ""
    plain: bool = True


@lru_cache(maxsize=256)
def chosen(accept_encoding: str | None, offered: tuple[str, ...]) -> Choice:
    """The most wanted coding, of equal ones the first that is offered. Without a header: none.

    What is not named is taken as `*` says; `identity` is taken unless it is refused.
    """
    if accept_encoding is None:
        return Choice()
    weights = _weights(accept_encoding)
    others = weights.get(ANY, 0.0)
    best, weight = "", 0.0
    for coding in offered:
        own = weights.get(coding, others)
        if own > weight:
            best, weight = coding, own
    plain = weights.get(IDENTITY, weights.get(ANY))
    if plain is not None and plain > weight and IDENTITY in weights:
        return Choice()
    return Choice(best, plain=plain != 0)


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for one in header.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if not name:
            continue
        given = [it[2:].strip() for it in parameters if it.startswith("q=")]
        weights["gzip" if name == "x-gzip" else name] = _weight(given[0]) if given else 1.0
    return weights


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


class Compression:
    """What the settings say of compressing answers. One an app."""

    def __init__(self, config: RouterConfig) -> None:
        self.is_on = config.compression
        self._offered = config.compression_codings
        self._bytes_min = config.http.compressed_bytes_min
        self._trusted = frozenset(config.cors.origins) - {ANY}

    def check(self, headers: Mapping[str, str]) -> None:
        """Refuse, before any work, who takes an answer in no coding of ours and not plain either.

        Errors: NOT_ACCEPTABLE.
        """
        choice = chosen(headers.get("accept-encoding"), self._offered)
        if not choice.coding and not choice.plain:
            raise ClientError(
                f"no accepted content coding can be produced; accept {' or '.join(self._offered)}",
                code="NOT_ACCEPTABLE",
            )

    def coding(self, headers: Mapping[str, str], length: int) -> str:
        """The coding for an answer of this length to a request with these headers; empty for none."""
        choice = chosen(headers.get("accept-encoding"), self._offered)
        if not choice.coding or (length < self._bytes_min and choice.plain) or self._is_strangers(headers):
            return ""
        return choice.coding

    def of_stream(
        self, headers: Mapping[str, str], frames: AsyncIterator[bytes]
    ) -> tuple[bytes, AsyncIterator[bytes]]:
        """The header line of a stream's coding, and its frames in it; empty and as they are without one."""
        choice = chosen(headers.get("accept-encoding"), (GZIP,) if GZIP in self._offered else ())
        if not choice.coding or self._is_strangers(headers):
            return b"", frames
        return b"content-encoding: gzip\r\n", packed_frames(frames, bytes_min=self._bytes_min)

    def _is_strangers(self, headers: Mapping[str, str]) -> bool:
        """Whether another site's page had a browser ask."""
        return headers.get("sec-fetch-site") in _STRANGERS and headers.get("origin") not in self._trusted

    async def packed(self, text: bytes, coding: str) -> bytes:
        """The answer in this coding; a long one takes no time of the loop's."""
        if len(text) < THREAD_BYTES_MIN:
            return packed(text, coding)
        return await asyncio.to_thread(packed, text, coding)
