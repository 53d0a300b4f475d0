"""Row-level security on PostgreSQL: a patient's rows for the patient, and who is something to them."""

from subgraphs.kit.row_fence import below, lay_fence, reachable, take_fence

revision = "0003"
down_revision = "0002"

_SHOWN = {
    **dict.fromkeys(
        ("medical_resources", "medical_label_sets"), reachable("patient_id", by_strangers=("CLINICAL:read",))
    ),
    "medical_codes": below("medical_resources", key="resource_id"),
    "medical_clearances": reachable("patient_id", by_strangers=("CLINICAL:clearance",)),
    "medical_care_team": reachable("patient_id", acting=("practitioner_id",)),
    "medical_consents": reachable("patient_id"),
    # Who confirms and who reviews an emergency is nothing to the patient.
    "medical_break_glass": reachable(
        "patient_id",
        acting=("clinician_id", "second_clinician_id"),
        by_strangers=("AUDIT:read", "AUDIT:break_glass", "AUDIT:review"),
    ),
}


def upgrade() -> None:
    lay_fence(_SHOWN)


def downgrade() -> None:
    take_fence(list(_SHOWN))
