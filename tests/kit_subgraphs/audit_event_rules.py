"""The rules of FHIR R4's AuditEvent and of IHE's Basic Audit Log Patterns that our view has to keep."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

ACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete", "E": "operation"}
INTERACTIONS = {"read", "vread", "update", "patch", "delete", "create", "search-type", "operation"}
OUTCOMES = {"0", "4", "8", "12"}
PURPOSES = {"TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "HRESCH", "PATRQT"}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
ENTITY_TYPES = {"1", "2", "3", "4", "XrequestId"}
OBJECT_ROLES = {str(number) for number in range(1, 25)}
DICOM_ROLES = {"110150", "110151", "110152", "110153", "110154", "110155"}
USERS = {"R": {"IRCP"}, "C": {"AUT"}, "U": {"AUT"}, "D": {"AUT"}, "E": {"AUT"}}


def breaks(event: Mapping[str, Any]) -> list[str]:
    """Every rule that the event breaks, in words."""
    return [*_base(event), *_agents(event), *_entities(event), *_purposes(event)]


def _base(event: Mapping[str, Any]) -> Iterator[str]:
    for name in ("type", "recorded", "agent", "source", "outcome", "action", "subtype", "entity"):
        if not event.get(name):
            yield f"{name} is required"
    if event["resourceType"] != "AuditEvent" or not ID.fullmatch(event["id"]):
        yield "it is no AuditEvent with an id"
    if not INSTANT.fullmatch(event["recorded"]):
        yield "recorded is no instant"
    if event["action"] not in ACTIONS or event["outcome"] not in OUTCOMES:
        yield "action or outcome is not of its value set"
    if event["type"]["code"] != "rest":
        yield "a RESTful event is of type rest"
    [subtype] = event["subtype"]
    if subtype["system"] != "http://hl7.org/fhir/restful-interaction" or subtype["code"] not in INTERACTIONS:
        yield "subtype is no interaction"
    if subtype["code"] not in {ACTIONS[event["action"]], "search-type"}:
        yield "subtype and action do not fit"
    if not event["source"].get("observer"):
        yield "source.observer is required"


def _agents(event: Mapping[str, Any]) -> Iterator[str]:
    agents = event["agent"]
    if [agent["requestor"] for agent in agents].count(True) != 1:
        yield "one agent is the requestor"
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for agent in agents:
        if not isinstance(agent.get("requestor"), bool):
            yield "agent.requestor is required"
        if not agent.get("who"):
            yield "agent.who is required"
        [coding] = agent["type"]["coding"]
        kinds.setdefault(coding["code"], []).append(agent)
        if coding["system"].endswith("DCM") != (coding["code"] in DICOM_ROLES):
            yield "a code of another system"
    if len(kinds.get("110152", [])) != 1 or len(kinds.get("110153", [])) != 1:
        yield "one agent gives and one takes"
    users = [code for code in kinds if code not in DICOM_ROLES]
    if not set(users) <= USERS[event["action"]] or len(users) != 1:
        yield "the user is of another type"
    for code in users:
        if not kinds[code][0]["requestor"]:
            yield "the user is the requestor"


def _entities(event: Mapping[str, Any]) -> Iterator[str]:
    found: dict[str, int] = {}
    for entity in event["entity"]:
        kind = entity["type"]["code"]
        found[kind] = found.get(kind, 0) + 1
        if not entity.get("what"):
            yield "entity.what is required"
        if kind not in ENTITY_TYPES:
            yield "entity.type is not of its value set"
        if "role" in entity and entity["role"]["code"] not in OBJECT_ROLES:
            yield "entity.role is not of its value set"
        if "name" in entity and "query" in entity:
            yield "sev-1: a name or a query, not both"
        for detail in entity.get("detail", ()):
            if not detail.get("type") or not detail.get("valueString"):
                yield "entity.detail has a type and a value"
    if found.get("2") != 1 or found.get("XrequestId") != 1 or found.get("1", 0) > 1:
        yield "one object, one request, at most one patient"
    for entity in event["entity"]:
        if entity["type"]["code"] == "1" and (
            entity["role"]["code"] != "1" or entity["what"].get("type") != "Patient"
        ):
            yield "a person is there as the patient"
        if entity["type"]["code"] == "2" and entity["role"]["code"] not in {"3", "4", "20"}:
            yield "an object is a domain resource, report or job"
        if entity["type"]["code"] == "XrequestId" and not entity["what"]["identifier"].get("value"):
            yield "a request has its identifier"


def _purposes(event: Mapping[str, Any]) -> Iterator[str]:
    stated = event.get("purposeOfEvent", [])
    asked = [agent.get("purposeOfUse", []) for agent in event["agent"] if agent["requestor"]]
    if asked != [stated]:
        yield "the requestor's purpose is the event's"
    for concept in stated:
        for coding in concept.get("coding", ()):
            if coding["system"] != "http://terminology.hl7.org/CodeSystem/v3-ActReason":
                yield "a purpose of another system"
            if coding["code"] not in PURPOSES:
                yield "a purpose that v3 PurposeOfUse has not"
