"""The port between the executor and a subgraph; `transports/` has its adapters (HTTP, in-process)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from authz.identity.subject import Subject
from router.operation.model import OperationKind


class Handed(dict[str, str]):
    """Headers that one request hands to all its calls. `carried` is a transport's: what it made of them."""

    __slots__ = ("carried",)

    carried: Any

    def __init__(self, *headers: Mapping[str, str]) -> None:
        super().__init__(*headers)
        self.carried = None


@dataclass(slots=True)
class SubgraphRequest:
    """One operation for one subgraph, on behalf of `subject`; not to be changed once it is made.

    `variables` belongs to the callee: it is built anew for each call and may be changed. With `whole`, the
    answer may be given as bytes where it is long and has nothing but data. `first` is the outcome of the
    first try, where that was made before by `begin` of the same transport.
    """

    service: str
    kind: OperationKind
    query: str
    variables: dict[str, Any]
    subject: Subject
    operation_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    whole: bool = False
    first: Any = None


class SentData:
    """An answer's data in the text of the answer: `{"data":{…}}` with nothing else around the data's object,
    known to be JSON in UTF-8. What needs no more of it than to hand it on copies none of it."""

    __slots__ = ("text",)

    BEFORE: Final = b'{"data":'

    def __init__(self, text: bytes) -> None:
        self.text = text
        """The whole answer."""

    @classmethod
    def of(cls, json: bytes) -> SentData:
        """An answer with this data, an object."""
        return cls(b"%b%b}" % (cls.BEFORE, json))

    @property
    def json(self) -> bytes:
        """The data alone."""
        return bytes(memoryview(self.text)[len(self.BEFORE) : -1])

    def decoded(self) -> dict[str, Any]:
        """The data as values."""
        data: dict[str, Any] = orjson.loads(self.text)["data"]
        return data


@dataclass(slots=True)
class SubgraphResponse:
    """What a subgraph answered, as decoded JSON values. `data` is None where there was none.

    `has_data` tells `{"data": null}` from an answer without data. `errors` are raw GraphQL errors. `sent` is
    the data as it came, instead of `data`, where the request allowed it. `cache_control` is what the
    subgraph said of how long the answer is good, as the header came.
    """

    data: dict[str, Any] | None
    errors: tuple[dict[str, Any], ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    has_data: bool = True
    sent: SentData | None = None
    cache_control: str = ""


# neither is frozen: each call makes one of both, and a frozen one takes three times as long to make


class BegunCall(Protocol):
    """A call under way that nobody awaits."""

    def read(self, outcome: Any, /) -> SubgraphResponse | None:
        """The answer of this outcome where it is nothing but data, and the call is over; None where the
        outcome has to be judged: it is then `first` of the same request, fetched."""
        ...

    def drop(self) -> None:
        """End the call; its outcome is not told any more."""
        ...


class SubgraphTransport(Protocol):
    """Calls subgraphs.

    Errors: `SubgraphCallFailed` (router.errors) with code SUBREQUEST_HTTP_ERROR where the subgraph was
    not reached, timed out or did not speak GraphQL; SUBREQUEST_MALFORMED_RESPONSE where its answer is
    not a GraphQL response. GraphQL errors are no exception: they are in the response.
    """

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """One query or mutation, one answer."""
        ...

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """One answer an event, until the subgraph completes or the iterator is closed."""
        ...

    async def close(self) -> None:
        """Give back connections; calls under way are cancelled."""
        ...


class BeginningTransport(SubgraphTransport, Protocol):
    """A transport that can send a query without waiting."""

    def begin(self, request: SubgraphRequest, waiter: Any, /) -> BegunCall | None:
        """A query begun; None where it has to be waited for. `waiter` is told its outcome as a future is."""
        ...
