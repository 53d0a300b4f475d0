"""Guardians of minors."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "profiles_guardianships",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("minor_id", sa.String(36), nullable=False),
        sa.Column("guardian_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("evidence", sa.String(1000), nullable=False),
        sa.Column("contested", sa.Boolean(), nullable=False),
        sa.Column("restricted_until", sa.Date()),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(36)),
        sa.Column("valid_from_utc", UtcDateTime()),
        sa.Column("valid_until_utc", UtcDateTime()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("minor_id <> guardian_id", name="profiles_guardianships_not_self"),
        sa.CheckConstraint(
            "state <> 'ACTIVE' OR (decided_by IS NOT NULL AND decided_by <> guardian_id"
            " AND decided_by <> minor_id AND valid_until_utc IS NOT NULL)",
            name="profiles_guardianships_confirmed",
        ),
    )
    going = sa.text("state IN ('REQUESTED', 'ACTIVE')")
    # One at a time between two people: the second of two requests at once is a Conflict.
    op.create_index(
        "profiles_guardianships_going",
        "profiles_guardianships",
        ["minor_id", "guardian_id"],
        unique=True,
        sqlite_where=going,
        postgresql_where=going,
    )
    op.create_index("profiles_guardianships_guardian", "profiles_guardianships", ["guardian_id"])


def downgrade() -> None:
    op.drop_table("profiles_guardianships")
