"""Puts a new measurement in the place of an activity's old one."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy import Connection

from subgraphs.training.metrics.compute import Measurement
from subgraphs.training.model import Activity
from subgraphs.training.store.activities import metric_rows
from subgraphs.training.store.tables import efforts, metrics


def replace_measurement(connection: Connection, activity: Activity, measured: Measurement) -> None:
    """Write the metrics and efforts that the streams give now; derived metrics are left to `rederive`."""
    for table, rows in (
        (efforts, [{"activity_id": activity.id, **asdict(each)} for each in measured.efforts]),
        (metrics, metric_rows(activity.id, measured.metrics, derived=False)),
    ):
        old = table.c.activity_id == activity.id
        if table is metrics:
            old &= metrics.c.derived.is_(False)
        connection.execute(sa.delete(table).where(old))
        if rows:
            connection.execute(sa.insert(table), rows)
