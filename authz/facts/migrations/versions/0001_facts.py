"""Relationship and consent facts."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "authz_facts",
        sa.Column("subject_id", sa.String(200), primary_key=True),
        sa.Column("relation", sa.String(32), primary_key=True),
        sa.Column("object_id", sa.String(200), primary_key=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("valid_from_utc", UtcDateTime, nullable=False),
        sa.Column("valid_until_utc", UtcDateTime, nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("authz_facts_by_object", "authz_facts", ["object_id", "relation"])
    op.create_table(
        "authz_consents",
        sa.Column("consent_id", sa.String(200), primary_key=True),
        sa.Column("patient_id", sa.String(200), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=True),
        sa.Column("purpose", sa.String(16), nullable=True),
        sa.Column("data_class", sa.String(32), nullable=True),
        sa.Column("decision", sa.String(8), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("valid_from_utc", UtcDateTime, nullable=False),
        sa.Column("valid_until_utc", UtcDateTime, nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("authz_consents_by_patient", "authz_consents", ["patient_id", "actor_id"])
    op.create_index("authz_consents_by_actor", "authz_consents", ["actor_id"])


def downgrade() -> None:
    op.drop_table("authz_consents")
    op.drop_table("authz_facts")
