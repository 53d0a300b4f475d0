"""Reads `tests/policy_cases/*.csv` into questions with their facts and expected outcomes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.facts import ConsentFact, RelationshipFact
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from authz.question import Decision, Question
from tests.kit_authz.people import NOW, a_consent, a_fact

FOLDER = Path(__file__).parents[1] / "policy_cases"
SUBJECT, OWNER, CLIENT = "subject", "owner", "client"
FACT_SCOPED = ("coach", "guardian", "break_glass", "assigned")


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One line, or one cell of a matrix."""

    line: str
    where: str
    subject: Subject
    question: Question
    facts: tuple[RelationshipFact, ...]
    consents: tuple[ConsentFact, ...]
    outcome: str
    now: datetime = NOW


def outcome_of(decision: Decision) -> str:
    """A decision in the words of the case files."""
    if decision.allowed:
        return decision.mask or "allow"
    return "-" if decision.obligation is None else decision.obligation.value


def policy_cases() -> list[PolicyCase]:
    """All cases of all files."""
    return [
        *_matrix("matrix_read.csv", "read"),
        *_matrix("matrix_write.csv", "write"),
        *(_case(f"special.csv:{number}", "", row) for number, row in _rows("special.csv")),
    ]


def _matrix(name: str, action: str) -> Iterator[PolicyCase]:
    for number, row in _rows(name):
        for data_class in DataClass:
            yield _case(
                f"{name}:{number}",
                f" {data_class}",
                {
                    **row,
                    "class": data_class.value,
                    "action": action,
                    "consent": "",
                    "row": "visibility=friends metric=hrv",
                    "outcome": row[data_class.value],
                },
            )


def _rows(name: str) -> Iterator[tuple[int, dict[str, str]]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    numbered = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith("#")]
    reader = csv.DictReader([line for _, line in numbered], strict=True)
    for (number, _), row in zip(numbered[1:], reader, strict=True):
        assert None not in row, f"{name}:{number} has too many cells"
        assert None not in row.values(), f"{name}:{number} has too few cells"
        yield number, row


def _case(line: str, cell: str, row: dict[str, str]) -> PolicyCase:
    owner_id = SUBJECT if row["relation"] == "self" else OWNER
    question = Question(
        owner_id=owner_id,
        data_class=DataClass(row["class"]),
        action=row["action"],
        purpose=Purpose(row["purpose"]) if row["purpose"] else None,
        resource_type="Observation",
    )
    told = dict(part.split("=") for part in row["row"].split())
    around = {name: told.pop(name, None) for name in ("zone", "device", "hour")}
    hour = around["hour"]
    return PolicyCase(
        line,
        line + cell,
        replace(_subject(row), network_zone=around["zone"], device=around["device"]),
        _with_row(question, told),
        tuple(_facts(row)),
        tuple(_consents(row["consent"], owner_id)),
        row["outcome"],
        NOW if hour is None else NOW.replace(hour=int(hour)),
    )


def _subject(row: dict[str, str]) -> Subject:
    if row["role"] == "anonymous":
        return ANONYMOUS
    written = [each.partition("!") for each in row["role"].split("+")]
    roles = frozenset(Role(role) for role, _, _ in written)
    limits = tuple(
        RoleLimit(Role(role), frozenset(DataClass(name) for name in classes.split("|") if name))
        for role, limited, classes in written
        if limited
    )
    scoped = roles & {Role.PARTNER, Role.SERVICE}
    return Subject(
        id=SUBJECT,
        roles=roles,
        session_id="session",
        acr=int(row["acr"]),
        client_id=CLIENT if Role.PARTNER in roles else "web",
        scopes=frozenset(row["scopes"].split()) if scoped else frozenset(),
        region="NL",
        limits=limits,
    )


def _facts(row: dict[str, str]) -> Iterator[RelationshipFact]:
    for relation in row["relation"].split("+"):
        if relation in ("none", "self"):
            continue
        scopes = row["scopes"].split() if relation in FACT_SCOPED else []
        until = NOW + timedelta(minutes=30) if relation == "break_glass" else None
        since = NOW - timedelta(minutes=30) if relation == "break_glass" else NOW - timedelta(days=1)
        actor = CLIENT if "partner" in row["role"] else SUBJECT
        if relation == "blocked_by":
            yield a_fact(OWNER, Relation.BLOCKED, actor)
        else:
            yield a_fact(actor, Relation(relation), OWNER, *scopes, since=since, until=until)


def _consents(text: str, patient_id: str) -> Iterator[ConsentFact]:
    if not text:
        return
    kinds, *limits = text.split()
    told = dict(limit.split("=") for limit in limits)
    when = {
        None: (NOW - timedelta(days=1), None),
        "past": (NOW - timedelta(days=2), NOW),
        "future": (NOW + timedelta(seconds=1), None),
    }[told.get("when")]
    for kind in kinds.split("+"):
        yield a_consent(
            patient_id,
            kind,
            consent_id=kind,
            actor_id=told.get("to"),
            purpose=Purpose(told["for"]) if "for" in told else None,
            data_class=DataClass(told["of"]) if "of" in told else None,
            labels=frozenset(told["labels"].split("|")) if "labels" in told else frozenset(),
            since=when[0],
            until=when[1],
        )


def _with_row(question: Question, told: dict[str, str]) -> Question:
    visibility = told.pop("visibility", None)
    labels = told.pop("labels", None)
    return replace(
        question,
        visibility=Visibility(visibility) if visibility else None,
        labels=frozenset(labels.split("|")) if labels else frozenset(),
        **{name: value or None for name, value in told.items()},
    )
