"""Medical's tables, as `store.py` queries them; the migrations make them. What tells something is sealed."""

from __future__ import annotations

import sqlalchemy as sa

from datastores.relational.columns import UtcDateTime

metadata = sa.MetaData()

# In clear: our ids, the type, the day (for order) and keyed hashes of hospitals' ids, codes, content and sets
# of labels. `fhir_id` is such a hash; where `sealed_fhir_id` is missing, a version before wrote an id itself.
resources = sa.Table(
    "medical_resources",
    metadata,
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
    sa.Column("sealed_fhir_id", sa.LargeBinary()),
)
codes = sa.Table(
    "medical_codes",
    metadata,
    sa.Column("resource_id", sa.String(36), sa.ForeignKey("medical_resources.id"), primary_key=True),
    sa.Column("code_index", sa.String(32), primary_key=True),
)
label_sets = sa.Table(
    "medical_label_sets",
    metadata,
    sa.Column("patient_id", sa.String(100), primary_key=True),
    sa.Column("label_set", sa.String(32), primary_key=True),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
)
clearances = sa.Table(
    "medical_clearances",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("patient_id", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer(), nullable=False),
    sa.Column("sealed", sa.LargeBinary(), nullable=False),
    sa.Column("set_by", sa.String(100), nullable=False),
    sa.Column("set_at_utc", UtcDateTime(), nullable=False),
)
care_team = sa.Table(
    "medical_care_team",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("patient_id", sa.String(100), nullable=False),
    sa.Column("practitioner_id", sa.String(100), nullable=False),
    sa.Column("valid_from_utc", UtcDateTime(), nullable=False),
    sa.Column("valid_until_utc", UtcDateTime()),
    sa.Column("version", sa.Integer(), nullable=False),
    sa.Column("added_by", sa.String(100), nullable=False),
)
consents = sa.Table(
    "medical_consents",
    metadata,
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
)
# In clear: who, whom, when, and how the review ended; what was written as reason and note is sealed.
break_glass = sa.Table(
    "medical_break_glass",
    metadata,
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
)
