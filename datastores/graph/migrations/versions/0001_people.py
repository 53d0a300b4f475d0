"""Friendships, a row each way, and blocks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "graph_friends",
        sa.Column("person", sa.String(64), primary_key=True),
        sa.Column("friend", sa.String(64), primary_key=True),
    )
    op.create_table(
        "graph_blocks",
        sa.Column("blocker", sa.String(64), primary_key=True),
        sa.Column("blocked", sa.String(64), primary_key=True),
    )
    op.create_index("graph_blocks_blocked", "graph_blocks", ["blocked"])


def downgrade() -> None:
    op.drop_table("graph_blocks")
    op.drop_table("graph_friends")
