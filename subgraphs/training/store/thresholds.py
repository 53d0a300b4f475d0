"""Thresholds by day, and what changes with them: derived metrics and loads, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.relational.columns import insert
from subgraphs.training.metrics.compute import Measurement, derive
from subgraphs.training.model import Metric, Threshold, ThresholdKind, thresholds_on
from subgraphs.training.store.activities import metric_of, metric_rows
from subgraphs.training.store.columnar import HISTOGRAM_KIND, histogram_of
from subgraphs.training.store.tables import activities, metrics, streams, thresholds

ACTIVITIES_PER_STEP = 200


def history(connection: Connection, athlete_id: str) -> list[Threshold]:
    """All thresholds of an athlete, oldest first."""
    query = sa.select(thresholds).where(thresholds.c.athlete_id == athlete_id)
    found = connection.execute(query.order_by(thresholds.c.valid_from, thresholds.c.kind))
    return [
        Threshold(row.id, row.athlete_id, ThresholdKind(row.kind), row.value, row.valid_from) for row in found
    ]


def set_threshold(connection: Connection, threshold: Threshold) -> Threshold:
    """Write a threshold; one of the same kind and day gets the new value and keeps its id."""
    values = {
        "id": threshold.id,
        "athlete_id": threshold.athlete_id,
        "kind": threshold.kind.value,
        "value": threshold.value,
        "valid_from": threshold.valid_from,
    }
    statement = insert(connection, thresholds).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["athlete_id", "kind", "valid_from"], set_={"value": statement.excluded.value}
        )
    )
    query = sa.select(thresholds.c.id).where(
        thresholds.c.athlete_id == threshold.athlete_id,
        thresholds.c.kind == threshold.kind.value,
        thresholds.c.valid_from == threshold.valid_from,
    )
    kept_id = connection.execute(query).scalar_one()
    return Threshold(kept_id, threshold.athlete_id, threshold.kind, threshold.value, threshold.valid_from)


def rederive(connection: Connection, athlete_id: str, *, since: date, until: date | None = None) -> int:
    """Derive metrics and loads anew for the activities from `since` to `until`; how many they were.

    Needs no stream: normalised power and the heart-rate histogram were kept when the file was read.
    """
    known = history(connection, athlete_id)
    query = sa.select(activities.c.id, activities.c.local_day).where(
        activities.c.athlete_id == athlete_id, activities.c.local_day >= since
    )
    if until is not None:
        query = query.where(activities.c.local_day <= until)
    days = {row.id: row.local_day for row in connection.execute(query)}
    ids = list(days)
    for first in range(0, len(ids), ACTIVITIES_PER_STEP):
        some = ids[first : first + ACTIVITIES_PER_STEP]
        for activity_id, measured in _measurements(connection, some).items():
            made = derive(measured, thresholds_on(known, days[activity_id]))
            _replace(connection, activity_id, made)
    return len(ids)


def _measurements(connection: Connection, ids: Sequence[str]) -> dict[str, Measurement]:
    rates = sa.select(streams.c.activity_id, streams.c.body).where(
        streams.c.activity_id.in_(ids), streams.c.kind == HISTOGRAM_KIND
    )
    histograms = {row.activity_id: histogram_of(row.body) for row in connection.execute(rates)}
    query = sa.select(metrics).where(metrics.c.activity_id.in_(ids), metrics.c.derived.is_(False))
    kept: dict[str, list[Metric]] = {activity_id: [] for activity_id in ids}
    for row in connection.execute(query.order_by(metrics.c.position)):
        kept[row.activity_id].append(metric_of(row))
    return {
        activity_id: Measurement(metrics=tuple(made), seconds_by_rate=histograms.get(activity_id, {}))
        for activity_id, made in kept.items()
    }


def _replace(connection: Connection, activity_id: str, made: Sequence[Metric]) -> None:
    connection.execute(
        sa.delete(metrics).where(metrics.c.activity_id == activity_id, metrics.c.derived.is_(True))
    )
    rows = metric_rows(activity_id, made, derived=True)
    if rows:
        connection.execute(sa.insert(metrics), rows)
    load = next((metric.value for metric in made if metric.name == "load"), None)
    connection.execute(sa.update(activities).where(activities.c.id == activity_id).values(load=load))
