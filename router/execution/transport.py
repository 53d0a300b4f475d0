"""The port between the executor and a subgraph; `transports/` has its adapters (HTTP, in-process)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from authz.identity.subject import Subject
from router.operation.model import OperationKind


@dataclass(slots=True)
class SubgraphRequest:
    """One operation for one subgraph, on behalf of `subject`; not to be changed once it is made.

    `variables` belongs to the callee: it is built anew for each call and may be changed. With `whole`, the
    answer may be given as bytes where it is long and has nothing but data.
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


@dataclass(slots=True)
class SubgraphResponse:
    """What a subgraph answered, as decoded JSON values. `data` is None where there was none.

    `has_data` tells `{"data": null}` from an answer without data. `errors` are raw GraphQL errors. `json` is
    the data as it came, instead of `data`, where the request allowed it. `cache_control` is what the
    subgraph said of how long the answer is good, as the header came.
    """

    data: dict[str, Any] | None
    errors: tuple[dict[str, Any], ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    has_data: bool = True
    json: bytes | None = None
    cache_control: str = ""


# neither is frozen: each call makes one of both, and a frozen one takes three times as long to make


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
