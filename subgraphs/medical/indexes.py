"""Keyed hashes by which rows are found without telling what they hold."""

from __future__ import annotations

from datastores.vault.port import Vault


def code_index(vault: Vault, patient_id: str, code: str) -> str:
    """What a code of this patient's resources is found by. By patient: else counting would tell the code."""
    return vault.blind_index("medical_codes.code", f"{patient_id} {code}")


def label_set_index(vault: Vault, patient_id: str, labels: frozenset[str]) -> str:
    """What rows of this patient name a set of labels by."""
    return vault.blind_index("medical_label_sets.label_set", " ".join([patient_id, *sorted(labels)]))
