"""Programs with tokens of their own: clients, their secrets, and what people let them do."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime
from subgraphs.kit.row_fence import lay_fence, take_fence

revision = "0005"
down_revision = "0004"

# Endpoints and administration prove themselves by their own rules; no request is shown these rows.
_SHOWN = {
    "accounts_api_clients": "false",
    "accounts_client_secrets": "false",
    "accounts_authorizations": "false",
}


def upgrade() -> None:
    op.create_table(
        "accounts_api_clients",
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
    )
    op.create_table(
        "accounts_client_secrets",
        sa.Column("secret_hash", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("expires_at_utc", UtcDateTime()),
    )
    op.create_index("accounts_client_secrets_client", "accounts_client_secrets", ["client_id"])
    op.create_table(
        "accounts_authorizations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36)),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("acr", sa.Integer(), nullable=False),
        sa.Column("authenticated_at_utc", UtcDateTime()),
        sa.Column("created_at_utc", UtcDateTime(), nullable=False),
        sa.Column("expires_at_utc", UtcDateTime(), nullable=False),
        sa.Column("last_used_at_utc", UtcDateTime(), nullable=False),
        sa.Column("revoked_at_utc", UtcDateTime()),
        sa.Column("thumbprint", sa.String(64)),
        sa.Column("code_hash", sa.String(64)),
        sa.Column("code_redirect_uri", sa.String(500)),
        sa.Column("code_challenge", sa.String(128)),
        sa.Column("code_expires_at_utc", UtcDateTime()),
        sa.Column("code_used_at_utc", UtcDateTime()),
        sa.Column("refresh_counter", sa.Integer(), nullable=False),
        sa.Column("refresh_seed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("accounts_authorizations_client", "accounts_authorizations", ["client_id"])
    op.create_index("accounts_authorizations_user", "accounts_authorizations", ["user_id"])
    op.create_index("accounts_authorizations_end", "accounts_authorizations", ["expires_at_utc"])
    op.create_index("accounts_authorizations_code", "accounts_authorizations", ["code_hash"], unique=True)
    lay_fence(_SHOWN)


def downgrade() -> None:
    take_fence(list(_SHOWN))
    for table in _SHOWN:
        op.drop_table(table)
