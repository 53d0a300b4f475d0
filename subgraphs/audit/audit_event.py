"""A record as FHIR R4 AuditEvent, in the shape of IHE's Basic Audit Log Patterns.

Source: HL7 FHIR R4 AuditEvent; IHE BALP (PatientRead, PatientUpdate; agents, patient entity, purpose of use).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from subgraphs.audit.model import AuditRecord

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_KIND = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

_OUTCOMES = {"shown": "0", "changed": "0", "unchanged": "0", "refused": "4", "failed": "8"}
_READS = {"shown", "refused"}


def audit_event(record: AuditRecord, people: Mapping[str, str]) -> dict[str, Any]:
    """The AuditEvent resource. People who are not in `people` are named by their pseudonyms alone."""
    reads = record.outcome in _READS and record.data_class is not None
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": record.id,
        "type": _REST,
        "subtype": [{"system": _INTERACTION, "code": "read" if reads else "update"}],
        "action": "R" if reads else "U",
        "recorded": record.at,
        "outcome": _OUTCOMES[record.outcome],
        "outcomeDesc": f"{record.decision} by {record.rule}",
        "agent": _agents(record, people),
        "source": {
            "site": f"stadion/{record.subgraph}",
            "observer": {"display": "Stadion"},
            "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
        },
        "entity": _entities(record, people),
    }
    if record.purpose is not None:
        event["purposeOfEvent"] = [{"coding": [{"system": _REASON, "code": record.purpose}]}]
    return event


def _agents(record: AuditRecord, people: Mapping[str, str]) -> list[dict[str, Any]]:
    agents = []
    if record.actor is not None:
        agents.append(_agent("IRCP", record.actor, people, requestor=record.on_behalf_of is None))
    if record.on_behalf_of is not None:
        agents.append(_agent("DLG", record.on_behalf_of, people, requestor=True))
    if record.client is not None:
        client = {"type": _coded(_DICOM, "110150"), "requestor": False, "altId": record.client}
        agents.append(client)
    return agents or [{"type": _coded(_PARTICIPATION, "IRCP"), "requestor": True, "name": "anonymous"}]


def _agent(kind: str, name: str, people: Mapping[str, str], *, requestor: bool) -> dict[str, Any]:
    return {"type": _coded(_PARTICIPATION, kind), "who": _who(name, people), "requestor": requestor}


def _entities(record: AuditRecord, people: Mapping[str, str]) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    if record.target is not None:
        entities.append(
            {
                "what": _who(record.target, people),
                "type": {"system": _KIND, "code": "1"},
                "role": {"system": _ROLE, "code": "1"},
            }
        )
    details = [{"type": "field", "valueString": field} for field in record.fields]
    if record.data_class is not None:
        details.append({"type": "data-class", "valueString": record.data_class})
    entities.append(
        {
            "what": {"identifier": {"value": record.trace_id}},
            "type": {"system": _KIND, "code": "2"},
            "role": {"system": _ROLE, "code": "24"},
            "detail": details,
        }
    )
    return entities


def _who(name: str, people: Mapping[str, str]) -> dict[str, Any]:
    identifier = {"system": "urn:stadion:pseudonym", "value": name}
    user_id = people.get(name)
    return {"identifier": identifier} if user_id is None else {
        "identifier": identifier,
        "display": user_id,
    }  # fmt: skip


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
