"""A region on machines of its own, as this process meets it: by HTTP, each call signed by the regions' key.

call of a subgraph -> POST or stream, as from a router -> its gate (`gate.py`) -> its subgraph, its policy
fact, erasure, refusal, question -> a word -> its gate
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from graphql import GraphQLError, OperationType

from authz.facts.model import RelationshipFact
from authz.identity.internal import HEADER_NAME, CallKey, sign_call
from authz.identity.subject import ANONYMOUS, Subject
from authz.identity.tokens import TokenTerms
from authz.trail import Access
from datastores.errors import Unavailable
from datastores.events.port import Event
from deploy.callers import KeysUnusable, PublishedKeys, credentials_by, fetched, reader_of
from deploy.regional.calls import Served
from deploy.regional.documents import Documents
from deploy.regional.words import (
    BYTES_MAX,
    WORDS,
    AgeAsked,
    EventTold,
    FactTold,
    PersonAsked,
    RefusalsTold,
    Reply,
    Word,
    asked_of,
    path_of,
    service_name,
)
from deploy.revocations import FollowedRevocations, reader_by
from deploy.stores import SUBGRAPHS
from router.edge.credentials import Credentials
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.client_tls import ClientTls
from router.execution.transports.http import HttpTransport
from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_wire import CallFailed, Endpoint
from router.operation.model import OperationKind
from router.traffic import RetryPolicy, SubgraphTraffic, TlsFiles, Traffic
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall

JWKS = "/.well-known/jwks.json"
CONNECTIONS_MAX = 8
WORD_TIMEOUT_S = 5.0
UNREACHABLE_WAIT_MS_MAX = 500
"""A region that nobody answers for is not waited for: the rest of an answer is due."""


class FarRegion:
    """`Peer` over HTTP. Made anywhere, used in one loop; `close` it.

    Errors: ValueError, OSError, ssl.SSLError for an address or certificates that cannot be used.
    """

    def __init__(
        self, name: str, url: str, key: CallKey, terms: TokenTerms, *, tls: TlsFiles | None = None
    ) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._key = key
        self._documents = Documents()
        files = tls or TlsFiles()
        self._tls = ClientTls(files)
        traffic = SubgraphTraffic(
            tls=files, retry=RetryPolicy(unreachable_wait_ms_max=UNREACHABLE_WAIT_MS_MAX)
        )
        self._transport = HttpTransport(
            {each: f"{self._url}{path_of(name, each)}/graphql" for each in SUBGRAPHS},
            sign=self._proof,
            traffic=Traffic(all=traffic),
        )
        self._client = HttpClient(
            connections_per_host_max=CONNECTIONS_MAX,
            connect_timeout_s=WORD_TIMEOUT_S,
            keep_alive_s=30.0,
            answer_bytes_max=BYTES_MAX,
            tls_context=self._tls.context,
        )
        self._words = Endpoint.of(f"{self._url}{path_of(name, WORDS)}")
        keys = PublishedKeys(reader_of(f"{self._url}{JWKS}", tls_context=self._tls.context))
        revocations = FollowedRevocations(reader_by(self._url, key, tls_context=self._tls.context))
        self.credentials: Credentials = credentials_by(keys, terms, revocations)
        self.following: tuple[Callable[[], Awaitable[None]], ...] = (
            keys.follow,
            revocations.follow,
            self._transport.follow_certificates,
        )

    async def close(self) -> None:
        """Give back connections."""
        self._client.close()
        await self._transport.close()

    def served(self, name: str) -> Served:
        """See `Peer`."""
        return Served(_FarSubgraph(name, self._transport, self._documents), partial(self._ready, name))

    async def person(self, user_id: str) -> Subject | None:
        """See `Peer`."""
        return (await self._say(PersonAsked(user_id))).subject

    async def of_age(self, user_id: str) -> bool | None:
        """See `Peer`."""
        return (await self._say(AgeAsked(user_id))).of_age

    async def put_fact(self, fact: RelationshipFact) -> None:
        """See `Peer`."""
        await self._say(FactTold(fact.as_payload()))

    async def tell(self, event: Event) -> None:
        """See `Peer`."""
        await self._say(EventTold(event.topic, event.key, dict(event.payload), event.at_utc))

    async def keep(self, accesses: Sequence[Access]) -> None:
        """See `Peer`."""
        await self._say(RefusalsTold([access.as_payload() for access in accesses]))

    async def oauth(self, name: str, call: OAuthCall) -> OAuthAnswer:
        """See `Peer`."""
        told = (await self._say(asked_of(name, call))).oauth
        if told is None:
            raise Unavailable("the region does not know this word yet")
        return OAuthAnswer(told.status, told.content, told.headers)

    async def _say(self, word: Word) -> Reply:
        body = msgspec.json.encode(word)
        headers = {
            "content-type": "application/json",
            HEADER_NAME: self._signed(ANONYMOUS, WORDS, body),
        }
        try:
            answer = await self._client.post(self._words, headers, body, timeout_s=WORD_TIMEOUT_S)
            if answer.status != 200:
                raise Unavailable(f"another region refuses a word with {answer.status}: see its log")
            return msgspec.json.decode(answer.body, type=Reply)
        except (CallFailed, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise Unavailable(f"another region does not answer: {type(error).__name__}") from None

    async def _ready(self, name: str) -> None:
        url = f"{self._url}{path_of(self._name, name)}/health/ready"
        try:
            await fetched(url, bytes_max=BYTES_MAX, tls_context=self._tls.context)
        except (KeysUnusable, CallFailed, TimeoutError, OSError):
            raise Unavailable("another region is not ready") from None

    def _proof(self, request: SubgraphRequest, body: bytes) -> Mapping[str, str]:
        return {HEADER_NAME: self._signed(request.subject, request.service, body)}

    def _signed(self, subject: Subject, subgraph: str, body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        return sign_call(subject, service_name(self._name, subgraph), digest, self._key, datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class _FarSubgraph:
    """`LocalSubgraph` of another machine. What it raises is the transport's: SubgraphCallFailed."""

    name: str
    transport: HttpTransport
    documents: Documents

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        """One query or mutation."""
        request = SubgraphRequest(
            self.name, self._kind(query, operation_name), query, variables, subject, operation_name
        )
        return _told(await self.transport.fetch(request))

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        """One response map an event."""
        request = SubgraphRequest(
            self.name, OperationKind.SUBSCRIPTION, query, variables, subject, operation_name
        )
        async with aclosing(self.transport.subscribe(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield _told(event)

    def _kind(self, query: str, operation_name: str | None) -> OperationKind:
        """A query may be asked again; whatever is not known to be one is asked once."""
        try:
            document = self.documents.of(query, operation_name)
        except GraphQLError:
            document = None
        is_query = document is not None and document.kind is OperationType.QUERY
        return OperationKind.QUERY if is_query else OperationKind.MUTATION


def _told(response: SubgraphResponse) -> dict[str, Any]:
    told: dict[str, Any] = {"data": response.data}
    if response.errors:
        told["errors"] = list(response.errors)
    if response.extensions:
        told["extensions"] = dict(response.extensions)
    return told
