"""Users, roles, sessions with their refresh tokens, failed log-ins."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts_users",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("handle", sa.String(30), nullable=False),
        sa.Column("handle_skeleton", sa.String(30), nullable=False, unique=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("email_key", sa.String(254), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("password_hash", sa.String(300), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary()),
        sa.Column("totp_pending", sa.LargeBinary()),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'SUSPENDED')", name="accounts_users_status"),
    )
    op.create_index("accounts_users_email_key", "accounts_users", ["email_key"])
    op.create_table(
        "accounts_role_assignments",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("accounts_users.id"), nullable=False),
        sa.Column("role", sa.String(30), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("granted_by", sa.String(36), nullable=False),
        sa.Column("approved_by", sa.String(36)),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("valid_until_utc", UtcDateTime()),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_by <> granted_by", name="accounts_roles_four_eyes"
        ),
    )
    op.create_index("accounts_role_assignments_user", "accounts_role_assignments", ["user_id"])
    op.create_table(
        "accounts_sessions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("accounts_users.id"), nullable=False),
        sa.Column("acr", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at_utc", UtcDateTime(), nullable=False),
        sa.Column("expires_at_utc", UtcDateTime(), nullable=False),
        sa.Column("revoked_at_utc", UtcDateTime()),
        sa.Column("refresh_counter", sa.Integer(), nullable=False),
        sa.Column("refresh_hash", sa.String(64), nullable=False),
        sa.Column("refresh_seed", sa.LargeBinary(), nullable=False),
        sa.Column("rotated_at_utc", UtcDateTime(), nullable=False),
        sa.Column("rotated_for", sa.String(64), nullable=False),
    )
    op.create_index("accounts_sessions_user", "accounts_sessions", ["user_id"])
    op.create_table(
        "accounts_log_in_failures",
        sa.Column("account_key", sa.String(64), primary_key=True),
        sa.Column("origin_key", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failure_at_utc", UtcDateTime(), nullable=False),
    )
    op.create_index("accounts_log_in_failures_age", "accounts_log_in_failures", ["last_failure_at_utc"])


def downgrade() -> None:
    op.drop_table("accounts_log_in_failures")
    op.drop_table("accounts_sessions")
    op.drop_table("accounts_role_assignments")
    op.drop_table("accounts_users")
