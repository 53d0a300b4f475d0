"""How far roles reach, organisations and who is in them, devices that sessions are bound to."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    facts_version = sa.Column("facts_version", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("accounts_users", facts_version)
    op.add_column("accounts_role_assignments", sa.Column("scope", sa.Text()))
    op.add_column("accounts_role_assignments", sa.Column("licence_region", sa.String(6)))
    op.add_column("accounts_role_assignments", sa.Column("replaces", sa.String(36)))
    op.add_column("accounts_sessions", sa.Column("device_id", sa.String(36)))
    op.create_index("accounts_sessions_device", "accounts_sessions", ["device_id"])
    op.create_table(
        "accounts_organisations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    )
    op.create_index("accounts_organisations_name", "accounts_organisations", ["name"], unique=True)
    op.create_table(
        "accounts_members",
        sa.Column("organisation_id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), primary_key=True),
        sa.Column("since_utc", UtcDateTime(), nullable=False),
        sa.Column("until_utc", UtcDateTime()),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    op.create_index("accounts_members_user", "accounts_members", ["user_id"])
    op.create_table(
        "accounts_devices",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("thumbprint", sa.String(64), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("decided_by", sa.String(36)),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at_utc", UtcDateTime(), nullable=False),
    )
    op.create_index("accounts_devices_user", "accounts_devices", ["user_id"])
    # A key is one device of one person, for as long as it is not revoked.
    op.create_index(
        "accounts_devices_key",
        "accounts_devices",
        ["thumbprint"],
        unique=True,
        sqlite_where=sa.text("state <> 'REVOKED'"),
        postgresql_where=sa.text("state <> 'REVOKED'"),
    )
    op.create_table(
        "accounts_used_proofs",
        sa.Column("proof_hash", sa.String(64), primary_key=True),
        sa.Column("used_at_utc", UtcDateTime(), nullable=False),
    )
    op.create_index("accounts_used_proofs_age", "accounts_used_proofs", ["used_at_utc"])


def downgrade() -> None:
    op.drop_table("accounts_used_proofs")
    op.drop_table("accounts_devices")
    op.drop_table("accounts_members")
    op.drop_table("accounts_organisations")
    op.drop_index("accounts_sessions_device", "accounts_sessions")
    op.drop_column("accounts_sessions", "device_id")
    for column in ("replaces", "licence_region", "scope"):
        op.drop_column("accounts_role_assignments", column)
    op.drop_column("accounts_users", "facts_version")
