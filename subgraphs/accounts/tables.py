"""Accounts' tables, as `store.py` and `sessions.py` query them; the migrations make them."""

from __future__ import annotations

import sqlalchemy as sa

from datastores.relational.columns import UtcDateTime

metadata = sa.MetaData()

users = sa.Table(
    "accounts_users",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("handle", sa.String(30), nullable=False),
    sa.Column("handle_skeleton", sa.String(30), nullable=False, unique=True),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("email_key", sa.String(254), nullable=False, index=True),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("password_hash", sa.String(300), nullable=False),
    sa.Column("totp_sealed", sa.LargeBinary()),
    sa.Column("totp_pending", sa.LargeBinary()),
    sa.Column("totp_step", sa.BigInteger(), nullable=False),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("facts_version", sa.BigInteger(), nullable=False, server_default="0"),
)
role_assignments = sa.Table(
    "accounts_role_assignments",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), sa.ForeignKey("accounts_users.id"), nullable=False, index=True),
    sa.Column("role", sa.String(30), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("granted_by", sa.String(36), nullable=False),
    sa.Column("approved_by", sa.String(36)),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("valid_until_utc", UtcDateTime()),
    sa.Column("scope", sa.Text()),
    sa.Column("licence_region", sa.String(6)),
    sa.Column("replaces", sa.String(36)),
)
sessions = sa.Table(
    "accounts_sessions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), sa.ForeignKey("accounts_users.id"), nullable=False, index=True),
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
    sa.Column("device_id", sa.String(36), index=True),
)
log_in_failures = sa.Table(
    "accounts_log_in_failures",
    metadata,
    sa.Column("account_key", sa.String(64), primary_key=True),
    sa.Column("origin_key", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer(), nullable=False),
    sa.Column("last_failure_at_utc", UtcDateTime(), nullable=False),
)
organisations = sa.Table(
    "accounts_organisations",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
)
members = sa.Table(
    "accounts_members",
    metadata,
    sa.Column("organisation_id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), primary_key=True),
    sa.Column("since_utc", UtcDateTime(), nullable=False),
    sa.Column("until_utc", UtcDateTime()),
    sa.Column("version", sa.Integer(), nullable=False),
)
devices = sa.Table(
    "accounts_devices",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(36), nullable=False, index=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("thumbprint", sa.String(64), nullable=False),
    sa.Column("public_key", sa.Text(), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("decided_by", sa.String(36)),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("last_seen_at_utc", UtcDateTime(), nullable=False),
)
used_proofs = sa.Table(
    "accounts_used_proofs",
    metadata,
    sa.Column("proof_hash", sa.String(64), primary_key=True),
    sa.Column("used_at_utc", UtcDateTime(), nullable=False, index=True),
)
api_clients = sa.Table(
    "accounts_api_clients",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("organisation_id", sa.String(36)),
    sa.Column("scopes", sa.Text(), nullable=False),
    sa.Column("redirect_uris", sa.Text(), nullable=False),
    sa.Column("authentication", sa.String(20), nullable=False),
    sa.Column("jwks", sa.Text()),
    sa.Column("documents", sa.String(20), nullable=False),
    sa.Column("rate", sa.String(20), nullable=False),
    sa.Column("proof_required", sa.Boolean(), nullable=False),
    sa.Column("registered_by", sa.String(36), nullable=False),
    sa.Column("approved_by", sa.String(36)),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("expires_at_utc", UtcDateTime()),
    sa.Column("elsewhere", sa.Boolean(), nullable=False, server_default=sa.false()),
)
client_secrets = sa.Table(
    "accounts_client_secrets",
    metadata,
    sa.Column("secret_hash", sa.String(64), primary_key=True),
    sa.Column("client_id", sa.String(36), nullable=False, index=True),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("expires_at_utc", UtcDateTime()),
)
authorizations = sa.Table(
    "accounts_authorizations",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("client_id", sa.String(36), nullable=False, index=True),
    sa.Column("user_id", sa.String(36), index=True),
    sa.Column("scopes", sa.Text(), nullable=False),
    sa.Column("acr", sa.Integer(), nullable=False),
    sa.Column("authenticated_at_utc", UtcDateTime()),
    sa.Column("created_at_utc", UtcDateTime(), nullable=False),
    sa.Column("expires_at_utc", UtcDateTime(), nullable=False, index=True),
    sa.Column("last_used_at_utc", UtcDateTime(), nullable=False),
    sa.Column("revoked_at_utc", UtcDateTime()),
    sa.Column("thumbprint", sa.String(64)),
    sa.Column("code_hash", sa.String(64), unique=True),
    sa.Column("code_redirect_uri", sa.String(500)),
    sa.Column("code_challenge", sa.String(128)),
    sa.Column("code_expires_at_utc", UtcDateTime()),
    sa.Column("code_used_at_utc", UtcDateTime()),
    sa.Column("refresh_counter", sa.Integer(), nullable=False),
    sa.Column("refresh_seed", sa.LargeBinary(), nullable=False),
)
