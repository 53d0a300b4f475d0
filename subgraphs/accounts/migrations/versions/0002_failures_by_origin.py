"""Failed log-ins are found by where they come from, too."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("accounts_log_in_failures_origin", "accounts_log_in_failures", ["origin_key"])


def downgrade() -> None:
    op.drop_index("accounts_log_in_failures_origin", "accounts_log_in_failures")
