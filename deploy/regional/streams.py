"""A stream that every region has a part of: events as they come, from wherever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from datastores.errors import StoreError
from deploy.regional.calls import Call, Regions, unavailable
from router.errors import SubgraphCallFailed

EVENTS_WAITING_MAX = 128
"""What waits for a slow reader; regions wait with it."""


async def stream_everywhere(call: Call, regions: Regions) -> AsyncGenerator[Mapping[str, Any], None]:
    """The events of all regions until each has ended. One that breaks off is told of once, and the others go
    on."""
    waiting: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue(EVENTS_WAITING_MAX)

    async def pass_on(region: str) -> None:
        try:
            async with aclosing(regions.subscribe(call, region)) as events:  # type: ignore[type-var]
                async for event in events:
                    await waiting.put(event)
        except (StoreError, SubgraphCallFailed, TimeoutError, OSError):
            await waiting.put({"data": None, "errors": [unavailable()]})
        await waiting.put(None)

    parts = [asyncio.create_task(pass_on(region)) for region in regions.from_home(call.own)]
    try:
        left = len(parts)
        while left:
            event = await waiting.get()
            if event is None:
                left -= 1
            else:
                yield event
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
