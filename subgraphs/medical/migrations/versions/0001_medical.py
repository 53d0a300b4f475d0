"""Sealed resources with the hashes to find them by, clearances, care teams, consents."""

import sqlalchemy as sa
from alembic import op

from datastores.relational.columns import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "medical_resources",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("patient_id", sa.String(100), nullable=False),
        sa.Column("resource_type", sa.String(40), nullable=False),
        sa.Column("fhir_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("label_set", sa.String(32)),
        sa.Column("content_index", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("imported_by", sa.String(100), nullable=False),
        sa.Column("imported_at_utc", UtcDateTime(), nullable=False),
        sa.UniqueConstraint(
            "patient_id", "resource_type", "fhir_id", "version", name="medical_resources_version"
        ),
        sa.UniqueConstraint(
            "patient_id", "resource_type", "fhir_id", "content_index", name="medical_resources_content"
        ),
    )
    op.create_index(
        "medical_resources_list", "medical_resources", ["patient_id", "resource_type", "current", "day", "id"]
    )
    op.create_table(
        "medical_codes",
        sa.Column("resource_id", sa.String(36), sa.ForeignKey("medical_resources.id"), primary_key=True),
        sa.Column("code_index", sa.String(32), primary_key=True),
    )
    op.create_index("medical_codes_code", "medical_codes", ["code_index"])
    op.create_table(
        "medical_label_sets",
        sa.Column("patient_id", sa.String(100), primary_key=True),
        sa.Column("label_set", sa.String(32), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    _people()


def _people() -> None:
    op.create_table(
        "medical_clearances",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("patient_id", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("set_by", sa.String(100), nullable=False),
        sa.Column("set_at_utc", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("patient_id", "version", name="medical_clearances_version"),
    )
    op.create_table(
        "medical_care_team",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("patient_id", sa.String(100), nullable=False),
        sa.Column("practitioner_id", sa.String(100), nullable=False),
        sa.Column("valid_from_utc", UtcDateTime(), nullable=False),
        sa.Column("valid_until_utc", UtcDateTime()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("added_by", sa.String(100), nullable=False),
        sa.CheckConstraint("patient_id <> practitioner_id", name="medical_care_team_two_people"),
    )
    op.create_index("medical_care_team_patient", "medical_care_team", ["patient_id"])
    op.create_index("medical_care_team_practitioner", "medical_care_team", ["practitioner_id"])
    op.create_table(
        "medical_consents",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("patient_id", sa.String(100), nullable=False),
        sa.Column("decision", sa.String(10), nullable=False),
        sa.Column("actor_id", sa.String(100)),
        sa.Column("purpose", sa.String(10)),
        sa.Column("data_class", sa.String(30), nullable=False),
        sa.Column("sealed_labels", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from_utc", UtcDateTime(), nullable=False),
        sa.Column("valid_until_utc", UtcDateTime()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("decision IN ('PERMIT', 'DENY')", name="medical_consents_decision"),
    )
    op.create_index("medical_consents_patient", "medical_consents", ["patient_id"])


def downgrade() -> None:
    for table in ("medical_consents", "medical_care_team", "medical_clearances"):
        op.drop_table(table)
    for table in ("medical_label_sets", "medical_codes", "medical_resources"):
        op.drop_table(table)
