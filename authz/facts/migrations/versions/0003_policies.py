"""Versions of the policy, none of which is ever changed."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "authz_policies",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("stored_by", sa.String(100), nullable=False),
        sa.Column("stored_at_utc", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("authz_policies")
