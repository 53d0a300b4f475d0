"""Activities with their laps, intervals, streams, metrics and efforts; imported files; thresholds."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None


def _belongs() -> sa.Column[str]:
    return sa.Column(
        "activity_id",
        sa.String(36),
        sa.ForeignKey("training_activities.id", ondelete="CASCADE"),
        primary_key=True,
    )


def upgrade() -> None:
    _create_files_and_activities()
    _create_parts()
    _create_numbers()


def _create_files_and_activities() -> None:
    op.create_table(
        "training_files",
        sa.Column("athlete_id", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("name", sa.String(200)),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("imported_at_utc", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "training_activities",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("athlete_id", sa.String(64), nullable=False),
        sa.Column("sport", sa.String(16), nullable=False),
        sa.Column("sub_sport", sa.String(64)),
        sa.Column("name", sa.String(200)),
        sa.Column("device", sa.String(200)),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("rpe", sa.Integer()),
        sa.Column("started_at_utc", UtcDateTime(), nullable=False),
        sa.Column("start_known", sa.Boolean(), nullable=False),
        sa.Column("utc_offset_s", sa.Integer()),
        sa.Column("local_day", sa.Date(), nullable=False),
        sa.Column("elapsed_s", sa.Float()),
        sa.Column("moving_s", sa.Float()),
        sa.Column("distance_m", sa.Float()),
        sa.Column("ascent_m", sa.Float()),
        sa.Column("descent_m", sa.Float()),
        sa.Column("calories_kcal", sa.Float()),
        sa.Column("load", sa.Float()),
        sa.Column("file_sha256", sa.String(64)),
        sa.Column("file_index", sa.Integer()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("athlete_id", "file_sha256", "file_index", name="training_activities_of_file"),
    )
    op.create_index(
        "training_activities_by_start", "training_activities", ["athlete_id", "started_at_utc", "id"]
    )
    op.create_index("training_activities_by_day", "training_activities", ["athlete_id", "local_day"])


def _create_parts() -> None:
    op.create_table(
        "training_laps",
        _belongs(),
        sa.Column("index", sa.Integer(), primary_key=True),
        sa.Column("start_s", sa.Float(), nullable=False),
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
    op.create_table(
        "training_intervals",
        _belongs(),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("index", sa.Integer(), primary_key=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("start_s", sa.Float()),
        sa.Column("duration_s", sa.Float()),
        sa.Column("repetitions", sa.Integer()),
        sa.Column("weight_kg", sa.Float()),
        sa.Column("stroke", sa.String(64)),
    )
    op.create_table(
        "training_streams",
        _belongs(),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("encoding", sa.String(16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )


def _create_numbers() -> None:
    op.create_table(
        "training_metrics",
        _belongs(),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("derived", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Float()),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(64), nullable=False),
        sa.Column("algorithm_version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(200)),
    )
    op.create_table(
        "training_efforts",
        _belongs(),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("size", sa.Float(), primary_key=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("start_s", sa.Float(), nullable=False),
    )
    op.create_table(
        "training_thresholds",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("athlete_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.UniqueConstraint("athlete_id", "kind", "valid_from", name="training_thresholds_of_day"),
    )


def downgrade() -> None:
    for table in ("thresholds", "efforts", "metrics", "streams", "intervals", "laps"):
        op.drop_table(f"training_{table}")
    op.drop_table("training_activities")
    op.drop_table("training_files")
