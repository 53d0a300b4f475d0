"""All that a subject is to anybody in one look at an index, and whose facts have changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "authz_changes",
        sa.Column("subject_id", sa.String(200), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_index("authz_changes_by_number", "authz_changes", ["number"])
    op.drop_index("authz_consents_by_actor", "authz_consents")
    op.create_index("authz_consents_by_actor", "authz_consents", ["actor_id", "patient_id"])
    if op.get_bind().dialect.name == "sqlite":
        # PostgreSQL bounds what is in an index, which scopes may pass; it reads the rows themselves.
        op.create_index(
            "authz_facts_gathered",
            "authz_facts",
            [
                *map(
                    sa.text,
                    ("subject_id", "relation", "scopes", "valid_until_utc", "valid_from_utc", "object_id"),
                )
            ],
        )


def downgrade() -> None:
    op.drop_table("authz_changes")
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("authz_facts_gathered", "authz_facts")
    op.drop_index("authz_consents_by_actor", "authz_consents")
    op.create_index("authz_consents_by_actor", "authz_consents", ["actor_id"])
