"""A record as FHIR R4 AuditEvent, in the shape of IHE's Basic Audit Log Patterns.

Network addresses, which those patterns ask for, are not in the chain and so not here: no profile is claimed.
Source: HL7 FHIR R4 AuditEvent; IHE BALP (PatientRead, PatientUpdate, PatientCreate, PatientDelete).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from authz.classes import Action, Purpose
from authz.trail import Outcome
from subgraphs.audit.model import AuditRecord

_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_REST: Final = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_KIND: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
_REQUEST: Final = {
    "system": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
    "code": "XrequestId",
}
_GIVES, _TAKES = "110153", "110152"  # source and destination of what is read or written


class _Doing(NamedTuple):
    """What an action of the policy is to FHIR: its letter, its interaction, and who the user is in it."""

    letter: str
    interaction: str
    user: str


_READING: Final = _Doing("R", "read", "IRCP")
_SUMMING: Final = _Doing("R", "search-type", "IRCP")
_CREATING: Final = _Doing("C", "create", "AUT")
_CHANGING: Final = _Doing("U", "update", "AUT")
_DELETING: Final = _Doing("D", "delete", "AUT")
_RUNNING: Final = _Doing("E", "operation", "AUT")
DOINGS: Final[Mapping[str, _Doing]] = {
    **dict.fromkeys(
        (
            Action.READ, Action.NAME, Action.IDENTITY, Action.CONTACT,
            Action.CLEARANCE, Action.CARD_NUMBER, Action.EVENTS, Action.GUARDIANSHIP,
        ),
        _READING,
    ),
    Action.AGGREGATE: _SUMMING,
    Action.ADD: _CREATING,
    **dict.fromkeys((Action.WRITE, Action.PLAN, Action.ANNOTATE, Action.HIDE, Action.RESTORE), _CHANGING),
    Action.DELETE: _DELETING,
    **dict.fromkeys(
        (Action.REFUND, Action.FORCE_RESET, Action.BREAK_GLASS, Action.REVIEW, Action.VOUCH), _RUNNING
    ),
}  # fmt: skip
"""Every action of the policy; what is none of it is somebody's own act, which changes something."""
OUTCOMES: Final[Mapping[str, str]] = {
    Outcome.SHOWN: "0",
    Outcome.CHANGED: "0",
    Outcome.UNCHANGED: "0",
    Outcome.REFUSED: "4",
    Outcome.FAILED: "8",
}


def audit_event(record: AuditRecord, people: Mapping[str, str]) -> dict[str, Any]:
    """The AuditEvent resource. People who are not in `people` are named by their pseudonyms alone."""
    doing = DOINGS.get(record.action, _CHANGING)
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": record.id,
        "type": _REST,
        "subtype": [{"system": _INTERACTION, "code": doing.interaction}],
        "action": doing.letter,
        "recorded": record.at,
        "outcome": OUTCOMES[record.outcome],
        "outcomeDesc": f"{record.decision} by {record.rule}",
        "agent": _agents(record, people, doing),
        "source": {
            "site": f"stadion/{record.subgraph}",
            "observer": {"display": "Stadion"},
            "type": [{"system": _SOURCE_TYPE, "code": "4"}],
        },
        "entity": _entities(record, people),
    }
    if reason := _reason(record):
        event["purposeOfEvent"] = [reason]
    return event


def _agents(record: AuditRecord, people: Mapping[str, str], doing: _Doing) -> list[dict[str, Any]]:
    """The person who asked, the program they used, and we: one of them, and no other, is the requestor."""
    reads = doing.user == "IRCP"
    # A program that acts for somebody is the actor; who let it is the user.
    user = record.on_behalf_of or record.actor
    program = record.actor if record.on_behalf_of is not None else None
    asking: dict[str, Any] = {"type": _coded(_PARTICIPATION, doing.user), "requestor": True}
    asking["who"] = {"display": "anonymous"} if user is None else _who(user, people)
    if reason := _reason(record):
        asking["purposeOfUse"] = [reason]
    used: dict[str, Any] = {"type": _coded(_DICOM, _TAKES if reads else _GIVES), "requestor": False}
    used["who"] = {"display": record.client or "unnamed"} if program is None else _who(program, people)
    if record.client is not None:
        used["altId"] = record.client
    serving = {
        "type": _coded(_DICOM, _GIVES if reads else _TAKES),
        "who": {"identifier": {"system": "urn:stadion:subgraph", "value": record.subgraph}},
        "requestor": False,
    }
    return [asking, used, serving]


def _entities(record: AuditRecord, people: Mapping[str, str]) -> list[dict[str, Any]]:
    """Whose it was, what it was, and the request that it was part of."""
    entities: list[dict[str, Any]] = []
    if record.target is not None:
        entities.append(
            {
                "what": {"type": "Patient", **_who(record.target, people)},
                "type": {"system": _KIND, "code": "1"},
                "role": {"system": _ROLE, "code": "1"},
            }
        )
    details = [{"type": "field", "valueString": field} for field in record.fields]
    details.append({"type": "action", "valueString": record.action})
    if record.session is not None:
        details.append({"type": "session", "valueString": record.session})
    entities.append(
        {
            "what": {
                "identifier": {"system": "urn:stadion:data-class", "value": record.data_class or "NONE"},
            },
            "type": {"system": _KIND, "code": "2"},
            "role": {"system": _ROLE, "code": "4"},
            "detail": details,
        }
    )
    entities.append({"what": {"identifier": {"value": record.trace_id}}, "type": _REQUEST})
    return entities


def _reason(record: AuditRecord) -> dict[str, Any] | None:
    """The stated purpose; in words where it is no code of ours any more."""
    if record.purpose is None:
        return None
    return _coded(_REASON, record.purpose) if record.purpose in _PURPOSES else {"text": record.purpose}


def _who(name: str, people: Mapping[str, str]) -> dict[str, Any]:
    identifier = {"system": "urn:stadion:pseudonym", "value": name}
    user_id = people.get(name)
    return {"identifier": identifier} if user_id is None else {
        "identifier": identifier,
        "display": user_id,
    }  # fmt: skip


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


_PURPOSES: Final = frozenset(each.value for each in Purpose)
