"""Forgetting by events: what was kept is forgotten as soon as the event bus tells that it has changed, or
that another router was asked to forget it.

Events come at most once to each reader and some may be lost; then everything that a rule speaks of is
forgotten, because what else has changed is not known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

from router.execution.answer_cache.cached import AnswerCache
from router.execution.answer_cache.tags import filled, named_tag, subgraph_tag, type_tag
from router.telemetry import instruments
from router.traffic import Forgetting

log = logging.getLogger("stadion.router.answers_kept")
AGAIN_S: Final = 1.0
TOLD: Final = "router.answers.forgotten"
"""Topic of the tags that another router was asked to forget: its payload's `tags`."""
forgotten_count: Final = instruments.counter(
    "stadion.router.subgraph.cache.forgotten", "tags forgotten by events of the bus", labels=("topic",)
)


class ChangeEvent(Protocol):
    """One event."""

    @property
    def topic(self) -> str:
        """What it is about."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """What it says."""
        ...


class LiveChanges(Protocol):
    """Events from now on, until it is closed."""

    def __aiter__(self) -> AsyncIterator[ChangeEvent]:
        """Itself."""
        ...

    async def aclose(self) -> None:
        """Take no more."""
        ...


class ChangeFeed(Protocol):
    """Where events come from."""

    @property
    def lost_count(self) -> int:
        """Events that readers were too slow for, ever."""
        ...

    def subscribe(self, topics: Sequence[str]) -> LiveChanges:
        """Events of these topics from now on."""
        ...


async def forget_by_events(
    cache: AnswerCache, rules: Sequence[Forgetting], feed: ChangeFeed, *, kept: Sequence[str] = ()
) -> None:
    """Forget what events tell of, as long as the router runs. A feed that ends is read anew. `kept` are the
    subgraphs whose answers other routers may be asked to forget."""
    topics = sorted({*(one.topic for one in rules), TOLD})
    named = {*kept, *(name for one in rules for name in one.subgraphs)}
    everything = sorted(subgraph_tag(name) for name in named)
    lost, first = feed.lost_count, True
    while True:
        try:
            async with aclosing(feed.subscribe(topics)) as events:
                if not first:
                    await cache.forget(everything)  # nobody told of what changed meanwhile
                first = False
                async for event in events:
                    if feed.lost_count != lost:
                        lost = feed.lost_count
                        await cache.forget(everything)
                    tags = list(tags_of_event(rules, event))
                    await cache.forget(tags)
                    forgotten_count.add(len(tags), {"topic": event.topic})
        except Exception as error:
            log.warning("events of what to forget cannot be read: %s", type(error).__name__)
        await asyncio.sleep(AGAIN_S)


def tags_of_event(rules: Sequence[Forgetting], event: ChangeEvent) -> Iterator[str]:
    """The tags that an event makes stale. A rule whose tag it cannot fill forgets its subgraphs whole."""
    if event.topic == TOLD:
        tags = event.payload.get("tags")
        yield from (tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
        return
    for rule in rules:
        if rule.topic != event.topic:
            continue
        tag = filled(rule.cache_tag, "event", event.payload) if rule.cache_tag else None
        for name in rule.subgraphs:
            if tag is not None:
                yield named_tag(name, tag)
            elif rule.type and not rule.cache_tag:
                yield type_tag(name, rule.type)
            else:
                yield subgraph_tag(name)
