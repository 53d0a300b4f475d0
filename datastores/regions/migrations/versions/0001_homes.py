"""Which region somebody is at home in, by a keyed hash of what they are known by."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "regions_homes",
        sa.Column("known_by", sa.String(64), primary_key=True),
        sa.Column("region", sa.String(40), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("regions_homes")
