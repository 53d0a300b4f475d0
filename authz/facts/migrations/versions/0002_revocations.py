"""Revocations of the last minutes, so that a restart forgets none."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "authz_revocations",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("revoked_id", sa.String(200), primary_key=True),
        sa.Column("revoked_at_utc", UtcDateTime, nullable=False),
    )
    op.create_index("authz_revocations_by_time", "authz_revocations", ["revoked_at_utc"])


def downgrade() -> None:
    op.drop_table("authz_revocations")
