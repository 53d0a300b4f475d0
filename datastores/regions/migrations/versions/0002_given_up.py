"""Whose name it is, so that names can be given up with their person."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("regions_homes", sa.Column("person", sa.String(64), nullable=True))
    op.create_index("regions_homes_by_person", "regions_homes", ["person"])


def downgrade() -> None:
    op.drop_index("regions_homes_by_person", "regions_homes")
    op.drop_column("regions_homes", "person")
