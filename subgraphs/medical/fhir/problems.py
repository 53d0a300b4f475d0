"""What is wrong with a document or one of its entries, in words for whoever sent it; never a stored value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryProblem:
    """One entry that was not imported (an error) or was imported with a doubt (a warning).

    `entry` counts from 0: the place in `Bundle.entry`, or the line of an NDJSON file. `element` is a FHIR
    path.
    """

    entry: int
    code: str
    message: str
    resource_type: str | None = None
    fhir_id: str | None = None
    element: str | None = None
    warning: bool = False


class DocumentRefused(Exception):
    """Nothing of the document can be imported. `code` is stable; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
