"""How a router of its own process knows its callers: by the keys that the issuer publishes."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias, cast

from authz.classes import Role
from authz.decide import Authorizer
from authz.errors import InvalidToken
from authz.facts.store import MemoryFacts
from authz.identity.keys import OWN_ALGORITHMS, ForeignAlgorithm, PublicKeys, VerificationKey
from authz.identity.subject import Subject
from authz.identity.tokens import FOREIGN_TOKEN_BYTES_MAX, ForeignTerms, TokenTerms, TokenVerifier
from deploy.revocations import FollowedRevocations
from router.admission import ForeignIssuer
from router.edge.credentials import Credentials
from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_wire import (
    AnswerTooLong,
    CallFailed,
    Endpoint,
    TlsContext,
    system_tls,
)
from router.operation.authorize import Rights

log = logging.getLogger("stadion.router.callers")
Read: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
"""Reads the JWKS document. Raises OSError, ValueError or CallFailed where it cannot be had."""

URLS = ("http://", "https://")
NO_HEADERS: Mapping[str, str] = {}
JWKS_BYTES_MAX = 256_000
FETCH_TIMEOUT_S = 5.0
UNKNOWN_KEY_S = 60.0
"""An unknown key has the document read anew at most this often: junk tokens cost the issuer nothing."""
AGAIN_S = 300.0
"""The document is read anew this often, so that a withdrawn key stops to count."""
FAILED_S = 1.0
"""After a reading that failed, the next one may come this soon."""


class KeysUnusable(ValueError):
    """The document is no JWKS with a usable key; the text says what it lacks."""


class PublishedKeys:
    """The keys of an issuer as its JWKS document names them now. One a process, used in one loop."""

    def __init__(
        self,
        read: Read,
        *,
        now_s: Callable[[], float] = time.monotonic,
        algorithms: Sequence[ForeignAlgorithm] = OWN_ALGORITHMS,
    ) -> None:
        self._read = read
        self._algorithms = algorithms
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
            self._keys = PublicKeys(await self._read(), algorithms=self._algorithms)
            self._failed, self._missed, wait_s = False, False, UNKNOWN_KEY_S
        except (OSError, ValueError, TypeError, CallFailed, TimeoutError) as error:
            log.warning("the issuer's keys could not be read: %s", str(error) or type(error).__name__)
        finally:
            self._next_s, self._reading = self._now_s() + wait_s, None


@dataclass(frozen=True, slots=True)
class Callers:
    """How this router knows callers, what their roles can see, and what is kept fresh meanwhile."""

    credentials: Credentials
    rights: Rights
    following: tuple[Callable[[], Awaitable[None]], ...]


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose tokens are taken: under these terms, by the keys of `source`, a file or URL."""

    terms: TokenTerms
    source: str


def callers_by(issuers: Sequence[Issuer], revocations: FollowedRevocations | None = None) -> Callers:
    """Callers by the tokens of these issuers; with `revocations`, none of a session that has ended.

    A URL is read when the router runs: its issuer may start later.
    Errors: KeysUnusable, OSError for a file that cannot be used.
    """
    known: dict[str, Credentials] = {}
    following: list[Callable[[], Awaitable[None]]] = []
    for one in issuers:
        algorithms = one.terms.foreign.algorithms if one.terms.foreign else OWN_ALGORITHMS
        if (
            not one.source.startswith(URLS)
            and PublicKeys(read_keys_file(Path(one.source)), algorithms=algorithms).is_empty
        ):
            raise KeysUnusable(
                f"no key of it can be used: each needs `kid` and `alg`, {' or '.join(algorithms)}"
            )
        if one.terms.issuer in known:
            raise KeysUnusable(f"the issuer `{one.terms.issuer}` is named twice")
        keys = PublishedKeys(reader_of(one.source), algorithms=algorithms)
        known[one.terms.issuer] = credentials_by(keys, one.terms, revocations)
        following.append(keys.follow)
    if revocations is not None:
        following.append(revocations.follow)
    return Callers(of_several(known), rights_by_policy(), tuple(following))


def issuer_of(text: str, *, issuer: str, audience: str) -> Issuer:
    """An issuer as the command line names it: its keys' source, or `ISSUER=SOURCE`; all for one audience."""
    named, equals, source = text.partition("=")
    if equals and "?" not in named and (source.startswith(URLS) or Path(source).is_file()):
        return Issuer(TokenTerms(named, audience), source)
    return Issuer(TokenTerms(issuer, audience), text)


def foreign_issuer(settings: ForeignIssuer) -> Issuer:
    """An issuer as the settings file has it.  Errors: KeysUnusable for a role that there is not."""
    known = {one.value: one for one in Role}
    if unknown := sorted(set(settings.roles) - set(known)):
        raise KeysUnusable(f"there is no role `{unknown[0]}`; roles are {', '.join(sorted(known))}")
    terms = TokenTerms(
        settings.issuer,
        settings.audience,
        lifetime=timedelta(seconds=settings.lifetime_s_max),
        foreign=ForeignTerms(
            algorithms=cast(tuple[ForeignAlgorithm, ...], settings.algorithms),
            types=frozenset(one.lower() for one in settings.token_types),
            roles=frozenset(known[one] for one in settings.roles),
            subject_prefix=settings.subject_prefix,
        ),
    )
    return Issuer(terms, settings.jwks)


def of_several(known: Mapping[str, Credentials]) -> Credentials:
    """Callers by the tokens of several issuers. Which one a token is of, it says itself; that issuer's keys
    and terms alone then decide, so that no issuer's key proves another one's tokens."""
    if len(known) == 1:
        return next(iter(known.values()))

    async def authenticate(token: str) -> Subject:
        credentials = known.get(claimed_issuer(token))
        if credentials is None or credentials.authenticate is None:
            raise InvalidToken
        return await credentials.authenticate(token)

    def is_active(subject: Subject) -> bool:
        # a subject does not say whose it is: each issuer that minds may end its stream
        return all(one.is_active is None or one.is_active(subject) for one in known.values())

    def authenticate_now(token: str) -> Subject | None:
        credentials = known.get(claimed_issuer(token))
        if credentials is None or credentials.authenticate_now is None:
            return None
        return credentials.authenticate_now(token)

    return Credentials(authenticate=authenticate, authenticate_now=authenticate_now, is_active=is_active)


def claimed_issuer(token: str) -> str:
    """The `iss` of a token that nothing is proven of yet; empty where it says none."""
    if len(token) > FOREIGN_TOKEN_BYTES_MAX:
        return ""
    segment = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return ""
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


def reader_of(source: str, *, tls_context: TlsContext = system_tls) -> Read:
    """Reads a JWKS document from a URL, or from a file."""
    if source.startswith(URLS):
        return lambda: _fetched(source, tls_context)
    return lambda: asyncio.to_thread(read_keys_file, Path(source))


def read_keys_file(path: Path) -> Mapping[str, Any]:
    """The document in a file. Errors: OSError, ValueError."""
    if path.stat().st_size > JWKS_BYTES_MAX:
        raise KeysUnusable(f"it is over {JWKS_BYTES_MAX} bytes")
    return _document(path.read_bytes())


async def _fetched(url: str, tls_context: TlsContext) -> Mapping[str, Any]:
    return _document(await fetched(url, bytes_max=JWKS_BYTES_MAX, tls_context=tls_context))


async def fetched(
    url: str,
    *,
    bytes_max: int,
    headers: Mapping[str, str] = NO_HEADERS,
    tls_context: TlsContext = system_tls,
) -> bytes:
    """What a GET of the URL brings, on a connection of its own; no redirect is followed.

    Errors: KeysUnusable for another status or too much, CallFailed, TimeoutError.
    """
    client = HttpClient(
        connections_per_host_max=1,
        connect_timeout_s=FETCH_TIMEOUT_S,
        keep_alive_s=0,
        answer_bytes_max=bytes_max,
        tls_context=tls_context,
    )
    try:
        answer = await client.post(Endpoint.of(url, method="GET"), headers, b"", timeout_s=FETCH_TIMEOUT_S)
    except AnswerTooLong:
        raise KeysUnusable(f"the document is over {bytes_max} bytes") from None
    finally:
        client.close()
    if answer.status != 200:
        raise KeysUnusable(f"the issuer answered {answer.status}")
    return answer.body


def _document(text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise KeysUnusable("the document is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise KeysUnusable("the document has no list `keys`")
    return document


def credentials_by(
    keys: PublishedKeys, terms: TokenTerms, revocations: FollowedRevocations | None = None
) -> Credentials:
    """Callers are known by access tokens under these terms, signed with one of these keys."""
    verifier = TokenVerifier(terms, keys, revocations=revocations.known if revocations else None)

    async def authenticate(token: str) -> Subject:
        if revocations is not None and not await revocations.are_known():
            raise InvalidToken
        try:
            return verifier.verify(token)
        except InvalidToken:
            if not await keys.renewed_for_missed():
                raise
        return verifier.verify(token)

    def authenticate_now(token: str) -> Subject | None:
        if revocations is not None and not revocations.is_heard:
            return None
        try:
            return verifier.verify(token)
        except InvalidToken:
            return None  # the keys may have to be fetched anew

    return Credentials(
        authenticate=authenticate, authenticate_now=authenticate_now, is_active=verifier.still_valid
    )


def rights_by_policy() -> Rights:
    """What the platform's policy never lets a role see is not asked for; no facts are needed to say so."""
    return Rights(can_ever=Authorizer(MemoryFacts()).can_ever)
