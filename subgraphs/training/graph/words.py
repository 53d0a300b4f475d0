"""Enumerations and inputs of the graph."""

from __future__ import annotations

import datetime as dt
from enum import Enum

import strawberry

from authz.classes import Visibility
from subgraphs.kit import PublicError, reads
from subgraphs.training.metrics.load import DAYS_MAX
from subgraphs.training.model import EffortKind, IntervalKind, Sport, StreamType, ThresholdKind
from subgraphs.training.store.lists import ActivityFilter

strawberry.enum(Sport, description="What an athlete did.")
strawberry.enum(ThresholdKind, description="What a threshold is of: FTP in W, the others in bpm.")
strawberry.enum(EffortKind, description="POWER: W over seconds. DISTANCE: seconds over metres.")
strawberry.enum(IntervalKind, description="A pool length or a strength set.")


@strawberry.enum(description="Who besides the athlete, her coach and her physician may see an activity.")
class ActivityVisibility(Enum):
    """The graph's spelling of authz's Visibility."""

    EVERYONE = Visibility.EVERYONE.value
    FRIENDS = Visibility.FRIENDS.value
    PRIVATE = Visibility.PRIVATE.value


@strawberry.enum(
    name="StreamType",
    description="What a stream measures. Positions are in `track`, heart rate in `heartRate`.",
)
class OpenStreamType(Enum):
    """The streams of class TRAINING."""

    TIME = StreamType.TIME.value
    DISTANCE = StreamType.DISTANCE.value
    ALTITUDE = StreamType.ALTITUDE.value
    SPEED = StreamType.SPEED.value
    POWER = StreamType.POWER.value
    CADENCE = StreamType.CADENCE.value
    TEMPERATURE = StreamType.TEMPERATURE.value


@strawberry.input(name="ActivityFilter", description="Bounds include; days are those of the athlete's clock.")
class ActivityFilterInput:
    """Which activities."""

    sport: list[Sport] | None = strawberry.field(default=None, metadata=reads("Activity.sport"))
    since: dt.date | None = strawberry.field(default=None, name="from", metadata=reads("Activity.startedAt"))
    until: dt.date | None = strawberry.field(default=None, name="to", metadata=reads("Activity.startedAt"))
    distance_m_min: float | None = strawberry.field(default=None, metadata=reads("Activity.summary"))
    distance_m_max: float | None = strawberry.field(default=None, metadata=reads("Activity.summary"))

    def chosen(self) -> ActivityFilter:
        """The store's filter.  Errors: PublicError BAD_INPUT for bounds that cannot be."""
        for name, value in (("distanceMMin", self.distance_m_min), ("distanceMMax", self.distance_m_max)):
            if value is not None and not 0.0 <= value < float("inf"):
                raise PublicError("BAD_INPUT", f"`{name}` is a distance in metres, 0 or more")
        return ActivityFilter(
            sports=tuple(self.sport or ()),
            since=self.since,
            until=self.until,
            distance_m_min=self.distance_m_min,
            distance_m_max=self.distance_m_max,
        )


@strawberry.input(description="Days, both included.")
class DateRange:
    """From a day to a day."""

    first: dt.date = strawberry.field(name="from")
    last: dt.date = strawberry.field(name="to")

    def checked(self) -> DateRange:
        """Itself.  Errors: PublicError BAD_INPUT where it is backwards or longer than DAYS_MAX."""
        if self.last < self.first:
            raise PublicError("BAD_INPUT", "`range.to` is before `range.from`")
        if (self.last - self.first).days >= DAYS_MAX:
            raise PublicError("BAD_INPUT", f"`range` has more than {DAYS_MAX} days")
        return self


@strawberry.input(description="An activity as a person enters it; units are the last letters of names.")
class CreateActivityInput:
    """What `createActivity` takes."""

    sport: Sport
    started_at: dt.datetime
    elapsed_s: float
    moving_s: float | None = None
    distance_m: float | None = None
    ascent_m: float | None = None
    name: str | None = None
    rpe: int | None = None
    visibility: ActivityVisibility = ActivityVisibility.PRIVATE


@strawberry.input(description="What is given is changed; `name` and `rpe` given as null are cleared.")
class UpdateActivityInput:
    """What `updateActivity` takes."""

    id: strawberry.ID
    version: int | None = None
    sport: Sport | None = None
    name: str | None = strawberry.UNSET
    rpe: int | None = strawberry.UNSET
    visibility: ActivityVisibility | None = None


@strawberry.input(description="A threshold from a day on, until the next one of its kind.")
class SetThresholdInput:
    """What `setThreshold` takes."""

    kind: ThresholdKind
    value: float
    valid_from: dt.date
