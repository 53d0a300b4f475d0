"""What a request carries: ports, cursors, events, and loaders that ask the store once for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiodataloader import DataLoader
from sqlalchemy import Connection

from authz.question import Decision, Question
from datastores.events.port import Events
from subgraphs.kit import CursorSigner, RequestContext, row_loader
from subgraphs.kit.guard import Decides
from subgraphs.training.model import Activity, BestEffort, Interval, Lap, Metric, Streams
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import activities as rows

T = TypeVar("T")
Work = Callable[[Connection], Any]
ByIds = Callable[[Connection, list[str]], Mapping[str, T]]


@dataclass(kw_only=True)
class TrainingContext(RequestContext):
    """One a request. Loaders remember within it; `in_one_hop` does not."""

    ports: TrainingPorts
    events: Events
    cursors: CursorSigner
    fresh_decisions: Callable[[], Decides]
    activities: DataLoader[str, Activity | None] = field(init=False)
    laps: DataLoader[str, list[Lap] | None] = field(init=False)
    intervals: DataLoader[str, list[Interval] | None] = field(init=False)
    streams: DataLoader[str, Streams | None] = field(init=False)
    metrics: DataLoader[str, list[Metric] | None] = field(init=False)
    efforts: DataLoader[str, list[BestEffort] | None] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.activities = self._by_ids(rows.by_ids)
        self.laps = self._by_ids(rows.laps_by_ids)
        self.intervals = self._by_ids(rows.intervals_by_ids)
        self.streams = self._by_ids(rows.streams_by_ids)
        self.metrics = self._by_ids(rows.metrics_by_ids)
        self.efforts = self._by_ids(rows.efforts_by_ids)
        self._reads: DataLoader[Work, Any] = row_loader(self.ports.relational, _done)
        self._reads.cache = False

    def _by_ids(self, load: ByIds[T]) -> DataLoader[str, T | None]:
        return row_loader(self.ports.relational, load)

    async def decide_anew(self, questions: Sequence[Question]) -> list[Decision]:
        """Decisions that remember nothing of this request; for streams, which outlive their rights."""
        return await self.fresh_decisions().decide(questions)

    async def in_one_hop(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read transaction, together with all that is asked in this turn of the loop."""
        result: T = await self._reads.load(work)
        return result


def _done(connection: Connection, works: list[Work]) -> Mapping[Work, Any]:
    return {work: work(connection) for work in works}
