"""What can be wrong with subgraphs: every code with its meaning and stage, and the form of a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a report matters: errors stop composition, the others are hints."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in one subgraph's SDL; line and column count from 1, 0 means the whole subgraph."""

    subgraph: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.subgraph}:{self.line}:{self.column}" if self.line else self.subgraph


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: what is wrong, where (schema coordinate and places), and how to mend it."""

    code: str
    message: str
    coordinate: str | None = None
    locations: tuple[Location, ...] = ()
    mend: str | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class CompositionFailed(Exception):
    """Raised where a caller asked for a supergraph and there are only problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))
