"""Pseudonyms that stand for nobody any more: a late event must not bring back who was erased."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("audit_erased", sa.Column("pseudonym", sa.String(32), primary_key=True))


def downgrade() -> None:
    op.drop_table("audit_erased")
