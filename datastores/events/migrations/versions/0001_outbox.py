"""The outbox, how far each consumer has read it, and what a consumer gave up on."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("at_utc", UtcDateTime(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox_consumers",
        sa.Column("consumer", sa.String(100), primary_key=True),
        sa.Column("position", _POSITION, nullable=False),
    )
    op.create_table(
        "outbox_dead_letters",
        sa.Column("consumer", sa.String(100), primary_key=True),
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("at_utc", UtcDateTime(), nullable=False),
        sa.Column("failure", sa.String(200), nullable=False),
        sa.Column("buried_at_utc", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("outbox_dead_letters")
    op.drop_table("outbox_consumers")
    op.drop_table("outbox")
