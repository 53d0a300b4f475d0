"""Wrapped data keys, one a patient, and the vault's own wrapped secrets."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "vault_keys",
        sa.Column("patient_id", sa.String(100), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary()),
        sa.Column("kek_id", sa.String(40)),
        sa.Column("made_at_utc", UtcDateTime(), nullable=False),
        sa.Column("shredded_at_utc", UtcDateTime()),
        sa.CheckConstraint("(wrapped IS NULL) = (shredded_at_utc IS NOT NULL)", name="shredded_has_no_key"),
    )
    op.create_table(
        "vault_secrets",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("kek_id", sa.String(40), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("vault_secrets")
    op.drop_table("vault_keys")
