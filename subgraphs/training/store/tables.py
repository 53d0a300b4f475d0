"""The tables as `migrations/` makes them, and how the domain brings them up to date."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from datastores.events.outbox import prepare_outbox
from datastores.relational.columns import UtcDateTime
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational

MIGRATIONS = Path(__file__).parent.parent / "migrations"
VERSION_TABLE = "training_version"

_metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[object]) -> sa.Table:
    return sa.Table(f"training_{name}", _metadata, *columns)


files = _table(
    "files",
    sa.Column("athlete_id", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size_bytes", sa.Integer()),
    sa.Column("format", sa.String(8)),
    sa.Column("name", sa.String(200)),
    sa.Column("warnings", sa.JSON()),
    sa.Column("imported_at_utc", UtcDateTime()),
)
activities = _table(
    "activities",
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("athlete_id", sa.String(64)),
    sa.Column("sport", sa.String(16)),
    sa.Column("sub_sport", sa.String(64)),
    sa.Column("name", sa.String(200)),
    sa.Column("device", sa.String(200)),
    sa.Column("visibility", sa.String(16)),
    sa.Column("rpe", sa.Integer()),
    sa.Column("started_at_utc", UtcDateTime()),
    sa.Column("start_known", sa.Boolean()),
    sa.Column("utc_offset_s", sa.Integer()),
    sa.Column("local_day", sa.Date()),
    sa.Column("elapsed_s", sa.Float()),
    sa.Column("moving_s", sa.Float()),
    sa.Column("distance_m", sa.Float()),
    sa.Column("ascent_m", sa.Float()),
    sa.Column("descent_m", sa.Float()),
    sa.Column("calories_kcal", sa.Float()),
    sa.Column("load", sa.Float()),
    sa.Column("file_sha256", sa.String(64)),
    sa.Column("file_index", sa.Integer()),
    sa.Column("version", sa.Integer()),
    sa.Column("created_at_utc", UtcDateTime()),
)
laps = _table(
    "laps",
    sa.Column("activity_id", sa.String(36), primary_key=True),
    sa.Column("index", sa.Integer(), primary_key=True),
    sa.Column("start_s", sa.Float()),
    sa.Column("elapsed_s", sa.Float()),
    sa.Column("timer_s", sa.Float()),
    sa.Column("distance_m", sa.Float()),
    sa.Column("ascent_m", sa.Float()),
    sa.Column("heart_rate_average_bpm", sa.Float()),
    sa.Column("heart_rate_max_bpm", sa.Float()),
    sa.Column("power_average_w", sa.Float()),
    sa.Column("cadence_average_rpm", sa.Float()),
    sa.Column("trigger", sa.String(64)),
)
intervals = _table(
    "intervals",
    sa.Column("activity_id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("index", sa.Integer(), primary_key=True),
    sa.Column("active", sa.Boolean()),
    sa.Column("start_s", sa.Float()),
    sa.Column("duration_s", sa.Float()),
    sa.Column("repetitions", sa.Integer()),
    sa.Column("weight_kg", sa.Float()),
    sa.Column("stroke", sa.String(64)),
)
streams = _table(
    "streams",
    sa.Column("activity_id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("samples", sa.Integer()),
    sa.Column("encoding", sa.String(16)),
    sa.Column("body", sa.LargeBinary()),
)
metrics = _table(
    "metrics",
    sa.Column("activity_id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("position", sa.Integer()),
    sa.Column("derived", sa.Boolean()),
    sa.Column("value", sa.Float()),
    sa.Column("unit", sa.String(16)),
    sa.Column("algorithm", sa.String(64)),
    sa.Column("algorithm_version", sa.Integer()),
    sa.Column("source", sa.String(200)),
    sa.Column("inputs", sa.JSON()),
    sa.Column("reason", sa.String(200)),
)
efforts = _table(
    "efforts",
    sa.Column("activity_id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("size", sa.Float(), primary_key=True),
    sa.Column("value", sa.Float()),
    sa.Column("start_s", sa.Float()),
)
thresholds = _table(
    "thresholds",
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("athlete_id", sa.String(64)),
    sa.Column("kind", sa.String(8)),
    sa.Column("value", sa.Float()),
    sa.Column("valid_from", sa.Date()),
)
doomed_files = _table("doomed_files", sa.Column("blob_key", sa.String(200), primary_key=True))
PARTS = (laps, intervals, streams, metrics, efforts)
"""What belongs to an activity and goes with it."""


async def prepare(relational: Relational) -> None:
    """Make or upgrade the domain's tables and its outbox.  Errors: SchemaTooNew."""
    await prepare_outbox(relational)
    await migrate(relational, MIGRATIONS, VERSION_TABLE)
