"""Key-encryption keys at a key-management service: they never leave it, this program sends data keys there.

The service speaks JSON over HTTPS, below the address of one key ring, with a bearer token:

    GET  /                     {"current": id}, or 404 where the ring has no key yet
    POST /keys                 a new key, current from now on: {"id": id}
    POST /keys/{id}:encrypt    {"plaintext", "context"} -> {"ciphertext"}
    POST /keys/{id}:decrypt    {"ciphertext", "context"} -> {"plaintext"}; 422 where either was tampered with
    POST /keys/{id}:destroy    for good; from then on 410

All bytes are base64. 409 tells of a key that is disabled for now, 410 of a destroyed one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import orjson

from datastores.config import StoreUrlProblem
from datastores.errors import NotFound, StoreError, Unavailable
from datastores.vault.keys import WrappedKey

_KEY_BYTES = 32
_ANSWER_BYTES_MAX = 64 * 1024
_RETRIED = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class KmsLimits:
    """Bounds of one client. What is asked again is answered alike, all but a new key."""

    connections_max: int = 16
    connect_timeout_s: float = 2.0
    answer_timeout_s: float = 5.0
    attempts_max: int = 4
    backoff_first_s: float = 0.05
    backoff_max_s: float = 1.0


class KmsKeyProvider:
    """`KeyProvider` at `kms+https://:token@host/ring`; `kms+http` to this machine alone.

    Errors: Unavailable where the service is away, too slow, refuses us, or has the key disabled; NotFound
    where the key was destroyed; StoreError where a wrapped key was tampered with.
    """

    def __init__(
        self, url: str, *, limits: KmsLimits | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limits = limits or KmsLimits()
        self._address, self._token, self._place = _parts(url)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._current = ""

    @property
    def current_kek_id(self) -> str:
        """Which key new wraps use."""
        return self._current

    async def open(self, *, create: bool) -> None:
        """Ask which key is current; make the first where there is none and `create`."""
        if self._session is None:
            self._session = self._new_session()
        try:
            self._current = _text(await self._ask("GET", "/"), "current")
        except NotFound:
            if not create:
                raise NotFound(
                    f"the key ring at {self._place} is empty, and the vault is unreadable without its keys"
                ) from None
            await self.add_key()

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """`key` under the current key-encryption key; where that was destroyed by a rotation, the next."""
        try:
            return await self._wrap(key, context)
        except NotFound:
            self._current = _text(await self._ask("GET", "/"), "current")
            return await self._wrap(key, context)

    async def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """The key that was wrapped."""
        body = {"ciphertext": _encoded(wrapped.wrapped), "context": _encoded(context)}
        answer = await self._ask("POST", _path(wrapped.kek_id, "decrypt"), body)
        key = _decoded(_text(answer, "plaintext"))
        if len(key) != _KEY_BYTES:
            raise StoreError(f"the key service at {self._place} gave back something that is no data key")
        return key

    async def add_key(self) -> str:
        """A new key-encryption key, current from now on."""
        # Not asked again after a lost answer: that would leave a key behind that nobody knows of.
        self._current = _text(await self._ask("POST", "/keys", {}, again=False), "id")
        return self._current

    async def retire_key(self, kek_id: str) -> None:
        """Destroy an older key-encryption key."""
        if kek_id == self._current:
            raise ValueError("the current key-encryption key cannot be retired: add a new one first")
        try:
            await self._ask("POST", _path(kek_id, "destroy"), {})
        except NotFound:
            return  # it was destroyed already

    async def _wrap(self, key: bytes, context: bytes) -> WrappedKey:
        kek_id = self._current
        body = {"plaintext": _encoded(key), "context": _encoded(context)}
        answer = await self._ask("POST", _path(kek_id, "encrypt"), body)
        return WrappedKey(kek_id, _decoded(_text(answer, "ciphertext")))

    def _new_session(self) -> aiohttp.ClientSession:
        limits = self._limits
        connector = aiohttp.TCPConnector(limit=limits.connections_max, ssl=self._tls or True)
        timeout = aiohttp.ClientTimeout(
            total=limits.answer_timeout_s, connect=None, sock_connect=limits.connect_timeout_s
        )
        # No redirects and no proxies of the environment: the token goes to this address and no other.
        headers = {"authorization": f"Bearer {self._token}"}
        return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers, trust_env=False)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, str] | None = None, *, again: bool = True
    ) -> Mapping[str, Any]:
        """One question, asked again after a pause with jitter where that is of use."""
        wait_s = self._limits.backoff_first_s
        attempts = self._limits.attempts_max if again else 1
        for attempt in range(1, attempts + 1):
            try:
                return await self._ask_once(method, path, body)
            except _TryAgain as why:
                if attempt == attempts:
                    raise Unavailable(f"the key service at {self._place} is unavailable: {why}") from None
            await asyncio.sleep(random.uniform(0, wait_s))  # noqa: S311  # jitter, not a secret
            wait_s = min(wait_s * 2, self._limits.backoff_max_s)
        raise AssertionError("the last attempt returns or raises")

    async def _ask_once(self, method: str, path: str, body: Mapping[str, str] | None) -> Mapping[str, Any]:
        if self._session is None:
            raise Unavailable(f"the key service at {self._place} is not open")
        try:
            asking = self._session.request(method, f"{self._address}{path}", json=body, allow_redirects=False)
            async with asking as answer:
                self._check(answer.status)
                content = await answer.content.read(_ANSWER_BYTES_MAX)
                return _json(content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _TryAgain(type(error).__name__) from None

    def _check(self, status: int) -> None:
        if status in (200, 201):
            return
        if status in _RETRIED:
            raise _TryAgain(f"it answered {status}")
        if status in (404, 410):
            raise NotFound(f"the key service at {self._place} has that key-encryption key no longer")
        if status == 409:
            raise Unavailable(f"the key service at {self._place} has that key-encryption key disabled")
        if status == 422:
            raise StoreError("a wrapped data key was tampered with or belongs to another patient")
        raise Unavailable(f"the key service at {self._place} refuses: it answered {status}")


class _TryAgain(Exception):
    """Nothing came, or nothing of use; the same question may be answered a little later."""


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        told = orjson.loads(content)
    except ValueError:
        raise _TryAgain("its answer is no JSON") from None
    return told if isinstance(told, Mapping) else {}


def _text(answer: Mapping[str, Any], name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str) or not found:
        raise StoreError(f"the key service answered without `{name}`")
    return found


def _path(kek_id: str, verb: str) -> str:
    return f"/keys/{quote(kek_id, safe='')}:{verb}"


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise StoreError("the key service answered with something that is no base64") from None


def _parts(url: str) -> tuple[str, str, str]:
    """Address of the ring, token, and the place for messages."""
    parts = urlsplit(url)
    ring = parts.path.strip("/")
    known = parts.scheme == "kms+https" or (parts.scheme == "kms+http" and _is_here(parts.hostname))
    if not known or not parts.hostname or not parts.password or not ring or parts.query:
        raise StoreUrlProblem("a key service's URL looks like `kms+https://:token@host/ring`")
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme[4:]}://{place}/{ring}", unquote(parts.password), f"`{place}`"


def _is_here(host: str | None) -> bool:
    """Whether bytes to `host` stay on this machine, so that they may go unencrypted."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
