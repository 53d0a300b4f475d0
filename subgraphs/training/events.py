"""What the domain publishes. Payloads hold ids only: who wants more asks the graph."""

from __future__ import annotations

from datetime import datetime

from datastores.events.outbox import new_event
from datastores.events.port import Event

ACTIVITY_ADDED = "activity.added"
ACTIVITY_CHANGED = "activity.changed"
ACTIVITY_DELETED = "activity.deleted"
THRESHOLD_CHANGED = "threshold.changed"


def activity_event(topic: str, *, activity_id: str, athlete_id: str, at_utc: datetime) -> Event:
    """An event about one activity, ordered per athlete."""
    payload = {"activity_id": activity_id, "athlete_id": athlete_id}
    return new_event(topic, key=athlete_id, payload=payload, at_utc=at_utc)


def threshold_event(*, athlete_id: str, at_utc: datetime) -> Event:
    """An athlete's thresholds are others than before, and so are the loads since."""
    return new_event(THRESHOLD_CHANGED, key=athlete_id, payload={"athlete_id": athlete_id}, at_utc=at_utc)
