"""Row-level security on PostgreSQL: an athlete's rows for the athlete, and who is something to them."""

from subgraphs.kit.row_fence import below, lay_fence, reachable, take_fence

revision = "0003"
down_revision = "0002"

_OWNED = ("training_files", "training_activities", "training_thresholds")
_PARTS = ("training_laps", "training_intervals", "training_streams", "training_metrics", "training_efforts")


def upgrade() -> None:
    lay_fence(dict.fromkeys(_OWNED, reachable("athlete_id", by_strangers=("TRAINING:read",))))
    lay_fence(dict.fromkeys(_PARTS, below("training_activities", key="activity_id")))


def downgrade() -> None:
    take_fence([*_OWNED, *_PARTS])
