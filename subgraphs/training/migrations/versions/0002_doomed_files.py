"""Files whose last activity is gone and whose bytes are still to be deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("training_doomed_files", sa.Column("blob_key", sa.String(200), primary_key=True))


def downgrade() -> None:
    op.drop_table("training_doomed_files")
