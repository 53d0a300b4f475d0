"""The entities: Activity, which is ours, and User, which we extend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

import numpy as np
import strawberry
from sqlalchemy import Connection as Store
from strawberry.types.info import Info as StrawberryInfo

from authz.classes import DataClass
from subgraphs.kit import (
    Connection,
    PublicError,
    RowAccess,
    binding,
    classified,
    connection,
    page_request,
    reads,
    resolved,
    shapes,
    wants_total,
)
from subgraphs.kit.absence import decide_as_if_hidden
from subgraphs.training.access import (
    athlete_access,
    row_access,
    visible_rows,
)
from subgraphs.training.graph.context import TrainingContext
from subgraphs.training.graph.fields import IN_SUMMARY, ROUNDABLE, TRIMMABLE, in_summary
from subgraphs.training.graph.originals import ABOUT_A_FILE, OriginalFileType, original_of
from subgraphs.training.graph.values import (
    ActivitySummary,
    BestEffortType,
    DailyLoadType,
    HeartRate,
    IntervalType,
    LapType,
    MetricType,
    Stream,
    ThresholdType,
    Track,
    nullable,
)
from subgraphs.training.graph.words import ActivityFilterInput, ActivityVisibility, DateRange, OpenStreamType
from subgraphs.training.metrics.load import daily_loads
from subgraphs.training.model import (
    STREAM_UNITS,
    THRESHOLD_UNITS,
    Activity,
    FloatArray,
    Metric,
    Sport,
    Streams,
    StreamType,
    Threshold,
    ThresholdKind,
)
from subgraphs.training.store import lists
from subgraphs.training.store.thresholds import history
from subgraphs.training.track import SIMPLIFY_M_MAX, heights_without_ends, positions_of, simplified

Info: TypeAlias = StrawberryInfo[TrainingContext, Any]
SHAPING = strawberry.argument(metadata=shapes())
STREAM_SAMPLES_MAX = 20_000
HEART_METRICS = frozenset({"heartRateAverage", "heartRateMax", "efficiencyFactor"})
"""Metrics from which a heart rate can be read; they and heart-rate inputs need WELLNESS too."""
HEART_INPUTS = frozenset({"restHr", "maxHr", "lthr"})


async def is_open_whole(info: Info, access: RowAccess, data_class: DataClass) -> bool:
    """Whether the caller may read values of this class of this row, and unshortened."""
    verdict = await info.context.guard.verdict((access, (data_class, "read")))
    return verdict.allowed and verdict.mask is None


@classified(DataClass.TRAINING)
@strawberry.federation.type(
    name="Activity", keys=["id"], description="One thing that an athlete did. Units are the last letters."
)
class ActivityType:
    """An activity; every field is decided by its athlete and visibility."""

    id: strawberry.ID
    sport: Sport | None = in_summary()
    sub_sport: str | None = in_summary("The device's own word.")
    name: str | None = in_summary()
    started_at: dt.datetime | None = in_summary()
    start_known: bool | None = in_summary("False where the file told no time: then it is the import's.")
    device: str | None
    rpe: int | None = strawberry.field(description="Perceived exertion, 0 to 10.")
    visibility: ActivityVisibility | None
    version: int | None = strawberry.field(description="For `updateActivity`.")
    summary: ActivitySummary | None = in_summary()
    row: strawberry.Private[Activity]
    row_access: strawberry.Private[RowAccess]

    @classmethod
    def of(cls, row: Activity) -> ActivityType:
        """The node of a row."""
        zone = dt.timezone(dt.timedelta(seconds=row.utc_offset_s or 0))
        return cls(
            id=strawberry.ID(row.id),
            sport=row.sport,
            sub_sport=row.sub_sport,
            name=row.name,
            started_at=row.started_at_utc.astimezone(zone),
            start_known=row.start_known,
            device=row.device,
            rpe=row.rpe,
            visibility=ActivityVisibility(row.visibility.value),
            version=row.version,
            summary=ActivitySummary.of(row),
            row=row,
            row_access=row_access(row),
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> ActivityType | None:
        """The real row; a hidden one is as absent as a missing one."""
        return await visible_activity(info, str(id))

    @resolved(IN_SUMMARY)
    def athlete(self) -> Annotated[UserType, strawberry.lazy("subgraphs.training.graph.types")] | None:
        """Who did it."""
        return UserType.of(self.row.athlete_id)

    @resolved()
    async def laps(self, info: Info) -> list[LapType] | None:
        """In order."""
        laps = await info.context.laps.load(self.row.id)
        return [LapType.of(lap, self.row_access) for lap in laps or []]

    @resolved()
    async def intervals(self, info: Info) -> list[IntervalType] | None:
        """Pool lengths and strength sets, in order."""
        return [IntervalType.of(each) for each in await info.context.intervals.load(self.row.id) or []]

    @resolved()
    async def streams(
        self,
        info: Info,
        types: Annotated[list[OpenStreamType], SHAPING],
        resolution: Annotated[int | None, SHAPING] = None,
    ) -> list[Stream] | None:
        """Those of `types` that were recorded, thinned to at most `resolution` samples."""
        found = await info.context.streams.load(self.row.id)
        if found is None:
            return []
        places = thinned(found, resolution)
        columns = {kind: found.get(StreamType(kind.value)) for kind in types}
        altitude = columns.get(OpenStreamType.ALTITUDE)
        if altitude is not None and not await is_open_whole(info, self.row_access, DataClass.LOCATION):
            # The heights of the first and last metres tell where they are.
            columns[OpenStreamType.ALTITUDE] = heights_without_ends(altitude, found)
        return [
            Stream(type=kind, unit=STREAM_UNITS[StreamType(kind.value)], values=nullable(column[places]))
            for kind, column in columns.items()
            if column is not None
        ]

    @resolved(ABOUT_A_FILE)
    async def original_file(self, info: Info) -> OriginalFileType | None:
        """The file it came in; null for an activity made by hand."""
        return await original_of(info.context, self.row, self.row_access)

    @resolved(TRIMMABLE)
    async def track(self, info: Info, simplify_m: Annotated[float, SHAPING] = 0.0) -> Track | None:
        """Where it went; no left-out place is further than `simplifyM` metres from the line."""
        if not 0.0 <= simplify_m <= SIMPLIFY_M_MAX:
            raise PublicError("BAD_INPUT", f"`simplifyM` is from 0 to {SIMPLIFY_M_MAX:g}")
        found = await info.context.streams.load(self.row.id)
        positions = positions_of(found) if found is not None else None
        if positions is None:
            return None
        return Track.of(await info.context.ports.off_the_loop(simplified, positions, simplify_m))

    @resolved(ROUNDABLE)
    async def heart_rate(
        self, info: Info, resolution: Annotated[int | None, SHAPING] = None
    ) -> HeartRate | None:
        """The heart rate, where one was recorded."""
        metrics = {each.name: each.value for each in await info.context.metrics.load(self.row.id) or []}
        found = await info.context.streams.load(self.row.id)
        column = found.get(StreamType.HEART_RATE) if found is not None else None
        if found is None or column is None:
            return None
        return HeartRate(
            average_bpm=metrics.get("heartRateAverage"),
            max_bpm=metrics.get("heartRateMax"),
            values=nullable(column[thinned(found, resolution)]),
        )

    @resolved()
    async def metrics(
        self, info: Info, names: Annotated[list[str] | None, SHAPING] = None
    ) -> list[MetricType] | None:
        """Every number with its algorithm. Those of heart rate itself need the right to it."""
        metrics = await info.context.metrics.load(self.row.id) or []
        if not await is_open_whole(info, self.row_access, DataClass.WELLNESS):
            metrics = _without_heart(metrics)
        return [MetricType.of(each) for each in metrics if names is None or each.name in names]

    @resolved()
    async def best_efforts(self, info: Info) -> list[BestEffortType] | None:
        """The best stretch of each size."""
        return [BestEffortType.of(each) for each in await info.context.efforts.load(self.row.id) or []]


def _without_heart(metrics: Sequence[Metric]) -> list[Metric]:
    return [
        replace(each, inputs=_without_heart_inputs(each.inputs))
        for each in metrics
        if each.name not in HEART_METRICS
    ]


def _without_heart_inputs(inputs: Mapping[str, float | str]) -> dict[str, float | str]:
    return {name: value for name, value in inputs.items() if name not in HEART_INPUTS}


def thinned(streams: Streams, resolution: int | None) -> Any:
    """Evenly spread places, the last one included.  Errors: PublicError BAD_INPUT."""
    wanted = STREAM_SAMPLES_MAX if resolution is None else resolution
    if not 1 <= wanted <= STREAM_SAMPLES_MAX:
        raise PublicError("BAD_INPUT", f"`resolution` is from 1 to {STREAM_SAMPLES_MAX}")
    places: FloatArray = np.linspace(0, streams.samples - 1, min(wanted, streams.samples))
    return np.rint(places).astype(np.int64)


async def visible_activity(info: Info, activity_id: str) -> ActivityType | None:
    """The activity where the caller may read it; None where it is missing or hidden."""
    row = await info.context.activities.load(activity_id)
    if row is None:
        await decide_as_if_hidden(info.context, activity_id, DataClass.TRAINING)
        return None
    verdict = await info.context.guard.verdict((row_access(row), (DataClass.TRAINING, "read")))
    return ActivityType.of(row) if verdict.allowed else None


@classified(DataClass.TRAINING)
@strawberry.type(name="PersonalRecord", description="The best effort of an athlete in a sport.")
class RecordType:
    """A record and the activity that holds it."""

    sport: Sport | None
    effort: BestEffortType | None
    started_at: dt.datetime | None
    activity_id: strawberry.Private[str]

    @resolved()
    async def activity(self, info: Info) -> ActivityType | None:
        """Who deletes or edits it leaves the record to the next best."""
        return await visible_activity(info, self.activity_id)


@classified(DataClass.TRAINING)
@strawberry.federation.type(name="User", keys=["id"], description="A person; here, what she trained.")
class UserType:
    """The athlete side of a person."""

    id: strawberry.ID
    row_access: strawberry.Private[RowAccess]

    @classmethod
    def of(cls, athlete_id: str) -> UserType:
        """The node of an athlete."""
        return cls(id=strawberry.ID(athlete_id), row_access=athlete_access(athlete_id))

    @classmethod
    def resolve_reference(cls, info: Info, id: strawberry.ID) -> UserType:
        """Any id: an unknown athlete has no activities, as a hidden one."""
        return cls.of(str(id))

    @resolved(IN_SUMMARY)
    async def activities(
        self,
        info: Info,
        *,
        filter: ActivityFilterInput | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[ActivityType] | None:
        """Newest first; those that the caller may see, and no others are counted."""
        context = info.context
        visible = await visible_rows(context.decisions, str(self.id))
        chosen = filter.chosen() if filter is not None else lists.ActivityFilter()
        bound_to = binding(context.subject.id, "User.activities", {"of": self.id, "filter": repr(chosen)})
        request = page_request(
            context.cursors, bound_to=bound_to, first=first, after=after, last=last, before=before
        )

        counted = wants_total(info)

        def read(store: Store) -> tuple[list[Activity], int | None]:
            rows = lists.page(
                store,
                visible,
                chosen,
                limit=request.limit,
                after=_place(request.after),
                before=_place(request.before),
                backward=request.backward,
            )
            return rows, lists.count(store, visible, chosen) if counted else None

        rows, total = await context.in_one_hop(read)
        return connection(
            rows,
            request,
            context.cursors,
            bound_to=bound_to,
            sort_key=lambda row: (row.started_at_utc.isoformat(), row.id),
            node=ActivityType.of,
            total_count=total,
        )

    @resolved()
    async def load(self, info: Info, range: Annotated[DateRange, SHAPING]) -> list[DailyLoadType] | None:
        """Every day of the range, folded from the first activity on."""
        days = range.checked()
        loads = await info.context.in_one_hop(
            lambda store: lists.loads_by_day(store, str(self.id), until=days.last)
        )
        return [DailyLoadType.of(day) for day in daily_loads(loads, days.first, days.last)]

    @resolved()
    async def thresholds(
        self,
        info: Info,
        at: Annotated[dt.date | None, strawberry.argument(metadata=reads("Threshold.validFrom"))] = None,
    ) -> list[ThresholdType] | None:
        """All, oldest first, or those that hold on a day. The resting heart rate needs the right to it."""
        known = await info.context.in_one_hop(lambda store: history(store, str(self.id)))
        if at is not None:
            known = _held(known, at)
        resting = await is_open_whole(info, self.row_access, DataClass.WELLNESS)
        return [
            ThresholdType(
                kind=each.kind, value=each.value, unit=THRESHOLD_UNITS[each.kind], valid_from=each.valid_from
            )
            for each in known
            if resting or each.kind is not ThresholdKind.REST_HR
        ]

    @resolved()
    async def records(
        self,
        info: Info,
        sport: Annotated[Sport | None, strawberry.argument(metadata=reads("PersonalRecord.sport"))] = None,
    ) -> list[RecordType] | None:
        """The best of each sport, kind and size."""
        sports = (sport,) if sport is not None else ()
        found = await info.context.in_one_hop(lambda store: lists.records(store, str(self.id), sports))
        return [
            RecordType(
                sport=record.sport,
                effort=BestEffortType.of(record.effort),
                started_at=record.started_at_utc,
                activity_id=record.activity_id,
            )
            for record in found
        ]


def _held(known: Sequence[Threshold], day: dt.date) -> list[Threshold]:
    held: dict[ThresholdKind, Threshold] = {}
    for threshold in known:
        if threshold.valid_from <= day:
            held[threshold.kind] = threshold
    return list(held.values())


def _place(sort_key: tuple[Any, ...] | None) -> lists.Place | None:
    if sort_key is None:
        return None
    return lists.Place(dt.datetime.fromisoformat(sort_key[0]), sort_key[1])
