"""Who was erased, by digest alone: a late fact about them is not kept."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table("authz_erased", sa.Column("person_sha256", sa.String(64), primary_key=True))


def downgrade() -> None:
    op.drop_table("authz_erased")
