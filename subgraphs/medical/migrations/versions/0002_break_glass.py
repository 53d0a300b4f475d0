"""Emergency grants with their reviews: who opened whose record, until when, and what came of the review."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "medical_break_glass",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("patient_id", sa.String(100), nullable=False),
        sa.Column("clinician_id", sa.String(100), nullable=False),
        sa.Column("second_clinician_id", sa.String(100)),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at_utc", UtcDateTime(), nullable=False),
        sa.Column("valid_until_utc", UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seen_by_patient_at_utc", UtcDateTime()),
        sa.Column("outcome", sa.String(20)),
        sa.Column("sealed_note", sa.LargeBinary()),
        sa.Column("reviewed_by", sa.String(100)),
        sa.Column("reviewed_at_utc", UtcDateTime()),
        sa.CheckConstraint("patient_id <> clinician_id", name="medical_break_glass_two_people"),
        sa.CheckConstraint(
            "second_clinician_id IS NULL OR second_clinician_id NOT IN (patient_id, clinician_id)",
            name="medical_break_glass_four_eyes",
        ),
        # A review is closed whole, by none of those it is about.
        sa.CheckConstraint(
            "(outcome IS NULL) = (reviewed_by IS NULL) AND (outcome IS NULL) = (reviewed_at_utc IS NULL)",
            name="medical_break_glass_review",
        ),
        sa.CheckConstraint(
            "reviewed_by IS NULL OR (reviewed_by NOT IN (patient_id, clinician_id)"
            " AND (second_clinician_id IS NULL OR reviewed_by <> second_clinician_id))",
            name="medical_break_glass_reviewer",
        ),
    )
    op.create_index("medical_break_glass_patient", "medical_break_glass", ["patient_id", "opened_at_utc"])
    op.create_index("medical_break_glass_clinician", "medical_break_glass", ["clinician_id", "opened_at_utc"])
    op.create_index("medical_break_glass_open", "medical_break_glass", ["outcome", "opened_at_utc"])


def downgrade() -> None:
    op.drop_table("medical_break_glass")
