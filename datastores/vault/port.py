"""The vault port: the medical domain's own relational store, with text sealed per patient.

Envelope encryption: each patient has a data key (AES-256-GCM), wrapped by a key-encryption key that a
provider holds. Destroying a patient's wrapped key (crypto-shredding) makes every copy unreadable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from datastores.relational.port import Relational


class Sealer(Protocol):
    """Seals and opens values under a patient's data key.

    `context` (table, column, row id) is authenticated with the value, so that a sealed value moved to
    another row does not open. Errors: NotFound where the patient's key was destroyed; StoreError where a
    value was tampered with.
    """

    async def seal(self, patient_id: str, values: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Sealed bytes for each `(context, plaintext)`, in order; makes the data key on first use."""
        ...

    async def unseal(self, patient_id: str, values: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Plaintext for each `(context, sealed)`, in order."""
        ...

    async def unseal_each(self, values: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]:
        """Plaintext for each `(patient_id, context, sealed)`, in order, with all keys fetched at once; None
        where the patient's key was destroyed."""
        ...

    async def shred(self, patient_id: str) -> None:
        """Destroy the patient's data key for good."""
        ...


class Vault(Relational, Sealer, Protocol):
    """Rows and sealing together; never shared with another domain."""

    def blind_index(self, name: str, value: str) -> str:
        """A keyed hash (32 hex digits) for equality look-ups: the same for the same `name` and `value`."""
        ...

    async def forget_old_pages(self) -> None:
        """Make the store overwrite what was deleted or replaced, where it can."""
        ...

    async def rotate(self) -> int:
        """Make a new key-encryption key, wrap every data key with it, destroy the old ones; how many."""
        ...
