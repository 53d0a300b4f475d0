"""What one router was asked to forget, told to all that keep answers: on the bus, and worker to worker."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datastores.events.redis import RedisEvents
    from deploy.surroundings import Surroundings
    from router.config import RouterConfig
    from router.edge.invalidation import Tell
    from router.execution.answer_cache.cached import AnswerCache

log = logging.getLogger("stadion.router.answers_kept")
Background = Callable[[], Awaitable[None]]
HANDED_BYTES_MAX: Final = 4_000_000
"""Bytes of the tags that a worker takes from another: more than one request can name."""
TAKEN, NOT_TAKEN = 204, 503


class NotTaken(ConnectionError):
    """A worker of this port did not say that it has forgotten; the text says how many did not."""


def told_by_events(
    cache: AnswerCache, events: RedisEvents, config: RouterConfig, subgraphs: Iterable[str]
) -> Background:
    """What forgets as events say, and as other routers were asked to."""
    from router.execution.answer_cache.forgetting import forget_by_events

    kept = [name for name in subgraphs if config.subgraphs.of(name).cache.enabled]
    return lambda: forget_by_events(cache, config.subgraphs.forget_on, events, kept=kept)


def telling_by_events(events: RedisEvents) -> Tell:
    """What tells the routers of the same bus."""
    from datastores.events.outbox import new_event
    from router.execution.answer_cache.forgetting import TOLD

    async def tell(tags: Sequence[str]) -> None:
        await events.tell(new_event(TOLD, key="answers", payload={"tags": list(tags)}))

    return tell


def by_neighbours(cache: AnswerCache, around: Surroundings) -> tuple[Background, Tell]:
    """What takes from the other workers of this port, and what tells them."""
    neighbours = around.neighbours("answers", bytes_max=HANDED_BYTES_MAX)

    async def forget(_: str, tags: object) -> int:
        try:
            await cache.forget(
                [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
            )
        except Exception as error:
            log.warning("what a worker handed over was not forgotten: %s", type(error).__name__)
            return NOT_TAKEN
        return TAKEN

    async def tell(tags: Sequence[str]) -> None:
        here = neighbours()
        answers = [
            await here.hand_over(worker, "answers", list(tags))
            for worker in range(around.workers)
            if worker != here.own
        ]
        if missing := sum(status != TAKEN for status in answers):
            raise NotTaken(f"{missing} of {len(answers)} workers")

    return lambda: neighbours().serve(forget), tell
