"""Signed links to files: who has one may read one key, or put one upload, until a time; nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

KEY_BYTES_MIN = 32
_SIGNATURE = "signature"
_NAMES = frozenset({"until", "size", "bytes", "sha256", "as", "grant", _SIGNATURE})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a link is bound to besides its method, name and end.

    `size_bytes_max` is an upload's limit, `size_bytes` and `sha256` (hex) what it has to be. `file_name` is
    what a reader's browser calls it. `grant` is whose right it stands for, in words of who made it.
    """

    size_bytes_max: int | None = None
    size_bytes: int | None = None
    sha256: str = ""
    file_name: str = ""
    grant: str = ""

    def query(self) -> dict[str, str]:
        """As a link tells them: what is not set is left out."""
        told = {
            "size": "" if self.size_bytes_max is None else str(self.size_bytes_max),
            "bytes": "" if self.size_bytes is None else str(self.size_bytes),
            "sha256": self.sha256,
            "as": self.file_name,
            "grant": self.grant,
        }
        return {name: value for name, value in told.items() if value}


class SignedLinks:
    """Makes and checks links under `base_url`, which is where `serving.BlobLinks` is mounted.

    `key` signs them, 32 bytes or more; a new one makes all links before it worthless.
    """

    def __init__(self, base_url: str, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the key of signed links has {KEY_BYTES_MIN} bytes or more")
        self._base_url = base_url.rstrip("/")
        self._key = key

    def url(self, method: str, name: str, *, until_s: float, terms: Terms) -> str:
        """A link to do `method` (GET or PUT) to `name` until `until_s`, in seconds since 1970."""
        query = {"until": str(int(until_s)), **terms.query()}
        query[_SIGNATURE] = self._signed(method, name, query)
        return f"{self._base_url}/{quote(name)}?{urlencode(query)}"

    def allowed(
        self, method: str, name: str, given: Sequence[tuple[str, str]], *, now_s: float
    ) -> Terms | None:
        """The terms of a link with these parameters, if it was made here, for just this, and is not over."""
        query = dict(given)
        if len(query) != len(given) or not query.keys() <= _NAMES:
            return None
        signature = query.pop(_SIGNATURE, "")
        expected = self._signed(method, name, query)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return None
        # Only what was signed here is read as numbers.
        return None if now_s > int(query["until"]) else _terms(query)

    def _signed(self, method: str, name: str, query: Mapping[str, str]) -> str:
        parts = ["stadion link 2", method, name]
        parts += [text for each in sorted(query.items()) for text in each]
        # Lengths first: no two links give the same message.
        message = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()


def _terms(query: Mapping[str, str]) -> Terms:
    def number(name: str) -> int | None:
        return int(query[name]) if name in query else None

    return Terms(
        size_bytes_max=number("size"),
        size_bytes=number("bytes"),
        sha256=query.get("sha256", ""),
        file_name=query.get("as", ""),
        grant=query.get("grant", ""),
    )
