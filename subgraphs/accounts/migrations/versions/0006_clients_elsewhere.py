"""Programs that were registered in another region, and are known here so that people here may let them in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "accounts_api_clients",
        sa.Column("elsewhere", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    with op.batch_alter_table("accounts_api_clients") as table:
        table.drop_column("elsewhere")
