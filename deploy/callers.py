"""How a router of its own process knows its callers: by the keys that the issuer publishes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from authz.decide import Authorizer
from authz.errors import InvalidToken
from authz.facts.store import MemoryFacts
from authz.identity.keys import PublicKeys, VerificationKey
from authz.identity.subject import Subject
from authz.identity.tokens import TokenTerms, TokenVerifier
from router.edge.credentials import Credentials
from router.operation.authorize import Rights

log = logging.getLogger("stadion.router.callers")
Read: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
"""Reads the JWKS document. Raises OSError, ValueError or aiohttp's ClientError where it cannot be had."""

URLS = ("http://", "https://")
JWKS_BYTES_MAX = 256_000
FETCH_TIMEOUT_S = 5.0
UNKNOWN_KEY_S = 60.0
"""An unknown key has the document read anew at most this often: junk tokens cost the issuer nothing."""
AGAIN_S = 300.0
"""The document is read anew this often, so that a withdrawn key stops to count."""
FAILED_S = 5.0
"""After a reading that failed, the next one may come this soon."""


class KeysUnusable(ValueError):
    """The document is no JWKS with a usable key; the text says what it lacks."""


class PublishedKeys:
    """The keys of an issuer as its JWKS document names them now. One a process, used in one loop."""

    def __init__(self, read: Read, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._now_s = now_s
        self._keys = PublicKeys({"keys": []})
        self._next_s = now_s()
        self._missed = self._failed = False
        self._reading: asyncio.Task[None] | None = None

    def find(self, kid: str) -> VerificationKey | None:
        """The public key of that id, or None."""
        key = self._keys.find(kid)
        self._missed |= key is None
        return key

    async def renewed_for_missed(self) -> bool:
        """Whether the document was read anew because `find` had found nothing: worth a second look then."""
        if not self._missed or (self._reading is None and self._now_s() < self._next_s):
            return False
        await self.renew()
        return True

    async def renew(self) -> None:
        """Read the document now, once for all who ask meanwhile. A failure keeps the keys known before."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._take())
        await asyncio.shield(self._reading)

    async def follow(self) -> None:
        """Keep the keys fresh, for as long as the router runs."""
        while True:
            await self.renew()
            await asyncio.sleep(FAILED_S if self._failed else AGAIN_S)

    async def _take(self) -> None:
        self._failed, wait_s = True, FAILED_S
        try:
            self._keys = PublicKeys(await self._read())
            self._failed, self._missed, wait_s = False, False, UNKNOWN_KEY_S
        except (OSError, ValueError, TypeError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("the issuer's keys could not be read: %s", str(error) or type(error).__name__)
        finally:
            self._next_s, self._reading = self._now_s() + wait_s, None


@dataclass(frozen=True, slots=True)
class Callers:
    """How this router knows callers, what their roles can see, and the keys to keep fresh meanwhile."""

    credentials: Credentials
    rights: Rights
    keys: PublishedKeys


def callers_by(source: str, *, issuer: str, audience: str) -> Callers:
    """Callers by the tokens of `issuer` for `audience`, whose keys `source`, a file or URL, names.

    A URL is read when the router runs: its issuer may start later.
    Errors: KeysUnusable, OSError for a file that cannot be used.
    """
    if not source.startswith(URLS):
        document = read_keys_file(Path(source))
        if PublicKeys(document).is_empty:
            raise KeysUnusable("no key of it can be used: each needs `kid` and `alg`, Ed25519 or ES256")
    keys = PublishedKeys(reader_of(source))
    return Callers(credentials_by(keys, TokenTerms(issuer, audience)), rights_by_policy(), keys)


def reader_of(source: str) -> Read:
    """Reads a JWKS document from a URL, or from a file."""
    if source.startswith(URLS):
        return lambda: _fetched(source)
    return lambda: asyncio.to_thread(read_keys_file, Path(source))


def read_keys_file(path: Path) -> Mapping[str, Any]:
    """The document in a file. Errors: OSError, ValueError."""
    if path.stat().st_size > JWKS_BYTES_MAX:
        raise KeysUnusable(f"it is over {JWKS_BYTES_MAX} bytes")
    return _document(path.read_bytes())


async def _fetched(url: str) -> Mapping[str, Any]:
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise KeysUnusable(f"the issuer answered {answer.status}")
        text = await answer.content.read(JWKS_BYTES_MAX + 1)
        while len(text) <= JWKS_BYTES_MAX and (more := await answer.content.read(JWKS_BYTES_MAX)):
            text += more
    if len(text) > JWKS_BYTES_MAX:
        raise KeysUnusable(f"the document is over {JWKS_BYTES_MAX} bytes")
    return _document(text)


def _document(text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise KeysUnusable("the document is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise KeysUnusable("the document has no list `keys`")
    return document


def credentials_by(keys: PublishedKeys, terms: TokenTerms) -> Credentials:
    """Callers are known by access tokens under these terms, signed with one of these keys."""
    verifier = TokenVerifier(terms, keys)

    async def authenticate(token: str) -> Subject:
        try:
            return verifier.verify(token)
        except InvalidToken:
            if not await keys.renewed_for_missed():
                raise
        return verifier.verify(token)

    return Credentials(authenticate=authenticate, is_active=verifier.still_valid)


def rights_by_policy() -> Rights:
    """What the platform's policy never lets a role see is not asked for; no facts are needed to say so."""
    return Rights(can_ever=Authorizer(MemoryFacts()).can_ever)
