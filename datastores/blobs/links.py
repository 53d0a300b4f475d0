"""Signed links to files: who has one may read one key, or put one upload, until a time; nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

KEY_BYTES_MIN = 32


class SignedLinks:
    """Makes and checks links under `base_url`, which is where `serving.BlobLinks` is mounted.

    `key` signs them, 32 bytes or more; a new one makes all links before it worthless.
    """

    def __init__(self, base_url: str, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the key of signed links has {KEY_BYTES_MIN} bytes or more")
        self._base_url = base_url.rstrip("/")
        self._key = key

    def url(self, method: str, name: str, *, until_s: float, size_bytes_max: int = 0) -> str:
        """A link to do `method` (GET or PUT) to `name` until `until_s`, in seconds since 1970."""
        until = str(int(until_s))
        signature = self._signature(method, name, until, str(size_bytes_max))
        query = f"until={until}&size={size_bytes_max}&signature={signature}"
        return f"{self._base_url}/{quote(name)}?{query}"

    def allows(self, method: str, name: str, query: Mapping[str, str], *, now_s: float) -> bool:
        """Whether the link with `query` was made here, for just this, and its time is not over."""
        until, size = query.get("until", ""), query.get("size", "")
        expected = self._signature(method, name, until, size)
        genuine = hmac.compare_digest(expected.encode(), query.get("signature", "").encode())
        return genuine and now_s <= int(until)

    def _signature(self, method: str, name: str, until: str, size: str) -> str:
        # Lengths first: no two links give the same message.
        message = "".join(f"{len(part)}:{part}" for part in ("stadion link 1", method, name, until, size))
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()
