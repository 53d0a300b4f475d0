"""How tests break the glass: the mutations, a reason, and a second clinician."""

from __future__ import annotations

from typing import Any

from authz.classes import Role
from authz.identity.subject import Subject
from tests.kit_medical import STRANGER, Medical

SECOND = Subject(id="second", roles=frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
REASON = "Found unconscious at the finish line, history unknown."
GRANT = """grant { id patient { id } clinician { id } secondClinician { id } reason validUntil active
  seenByPatientAt review { open overdue dueAt outcome note reviewedBy { id } } } userErrors { code }"""


def mutation(name: str, given: str = "ID!") -> str:
    """A mutation of one argument, with what it answers."""
    argument = "id" if given == "ID!" else "input"
    return f"mutation($x: {given}) {{ {name}({argument}: $x) {{ {GRANT} }} }}"


BREAK = mutation("breakGlass", "BreakGlassInput!")
CLOSE = mutation("closeBreakGlassReview", "CloseBreakGlassReviewInput!")
CONFIRM, END = mutation("confirmBreakGlass"), mutation("endBreakGlass")
SEEN = mutation("acknowledgeBreakGlass")


def emergency(**given: Any) -> dict[str, Any]:
    return {"userId": "athlete", "reason": REASON, **given}


async def opened(medical: Medical, by: Subject = STRANGER, **given: Any) -> dict[str, Any]:
    answer = await medical.ask(by, BREAK, x=emergency(**given))
    assert "errors" not in answer, answer
    payload: dict[str, Any] = answer["data"]["breakGlass"]
    assert payload["userErrors"] == [], payload
    return dict(payload["grant"])


async def codes(medical: Medical, by: Subject, mutation: str, **given: Any) -> list[str]:
    """The codes of what was wrong, wherever the answer says it."""
    answer = await medical.ask(by, mutation, **given)
    if answer.get("errors"):
        return [error["extensions"]["code"] for error in answer["errors"]]
    [payload] = answer["data"].values()
    return [error["code"] for error in payload["userErrors"]]
