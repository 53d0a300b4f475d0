"""Running coroutines side by side, without a task where one is enough and without leaving any behind."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from router.driven import all_cancelled, begun


async def run_together(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end. If one raises or the caller is cancelled, the others are cancelled first.

    The last one runs in the caller's task, so n coroutines take n - 1 tasks.
    """
    if not coroutines:
        return
    *others, own = coroutines
    beside = [begun(it) for it in others]
    try:
        await own
        for one in beside:
            await one
    except BaseException:
        await all_cancelled(beside)
        raise
