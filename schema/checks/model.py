"""What a comparison of two schemas finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Impact(Enum):
    """What a change means for clients that exist."""

    BREAKING = "breaking"
    DANGEROUS = "dangerous"
    SAFE = "safe"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas."""

    impact: Impact
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.impact.value}: {self.message}"
