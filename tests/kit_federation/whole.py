"""A transport whose answers come as bytes where the router takes them so, however short they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson

from router.execution.transport import SentData, SubgraphRequest, SubgraphResponse, SubgraphTransport


class WholeAnswers:
    """Gives data without errors as bytes where a request allows it; `given` counts them."""

    def __init__(self, inner: SubgraphTransport) -> None:
        self._inner = inner
        self.given = 0

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says."""
        answer = await self._inner.fetch(request)
        if not request.whole or answer.errors or not answer.data:
            return answer
        self.given += 1
        return SubgraphResponse(data=None, sent=SentData.of(orjson.dumps(answer.data)))

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Passed on whole."""
        return self._inner.subscribe(request)

    async def close(self) -> None:
        """As the port says."""
        await self._inner.close()
