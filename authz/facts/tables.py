"""The tables of the facts read model, and the functions of a connection that read and write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    or_,
    select,
    union,
)

from authz.classes import Relation
from authz.errors import FactInvalid
from authz.facts.model import (
    CIRCLES,
    ConsentFact,
    RelationshipFact,
    consent_of,
    is_circle,
)
from authz.facts.store import FACTS_PER_SUBJECT_MAX, Standing, people_of, standings
from datastores.relational.columns import UtcDateTime, insert
from datastores.relational.prepared import PreparedRead

Named: TypeAlias = "str | BindParameter[str]"
OWNERS_PER_STATEMENT = 500

metadata = MetaData()

authz_facts = Table(
    "authz_facts",
    metadata,
    Column("subject_id", String(200), primary_key=True),
    Column("relation", String(32), primary_key=True),
    Column("object_id", String(200), primary_key=True),
    Column("scopes", Text, nullable=False),
    Column("valid_from_utc", UtcDateTime, nullable=False),
    Column("valid_until_utc", UtcDateTime, nullable=True),
    Column("version", BigInteger, nullable=False),
    # A block counts both ways, so it is also looked for from the blocked side. SQLite has an index more, of
    # all that `gather` reads (0005_gathering).
    Index("authz_facts_by_object", "object_id", "relation"),
)

authz_consents = Table(
    "authz_consents",
    metadata,
    Column("consent_id", String(200), primary_key=True),
    Column("patient_id", String(200), nullable=False),
    Column("actor_id", String(200), nullable=True),
    Column("purpose", String(16), nullable=True),
    Column("data_class", String(32), nullable=True),
    Column("decision", String(8), nullable=False),
    Column("labels", Text, nullable=False),
    Column("valid_from_utc", UtcDateTime, nullable=False),
    Column("valid_until_utc", UtcDateTime, nullable=True),
    Column("version", BigInteger, nullable=False),
    Index("authz_consents_by_patient", "patient_id", "actor_id"),
    Index("authz_consents_by_actor", "actor_id", "patient_id"),
)
"""A consent may move from one patient to another only by a newer version of the same id."""

authz_changes = Table(
    "authz_changes",
    metadata,
    Column("subject_id", String(200), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Index("authz_changes_by_number", "number"),
)
"""By subject, the number of the last change of its facts; see `changes`."""

authz_revocations = Table(
    "authz_revocations",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("revoked_id", String(200), primary_key=True),
    Column("revoked_at_utc", UtcDateTime, nullable=False),
    Index("authz_revocations_by_time", "revoked_at_utc"),
)

authz_erased = Table("authz_erased", metadata, Column("person_sha256", String(64), primary_key=True))
"""Who was erased: facts about them may still be on their way, and are not kept."""

authz_policies = Table(
    "authz_policies",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fingerprint", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("stored_by", String(100), nullable=False),
    Column("stored_at_utc", UtcDateTime, nullable=False),
)


def put_facts(connection: Connection, facts: Iterable[RelationshipFact | ConsentFact]) -> None:
    """Keep these facts where they are newer than what is known; the same event twice changes nothing."""
    told = list(facts)
    gone = _erased(connection, {person for fact in told for person in people_of(fact)})
    for fact in told:
        if not gone.isdisjoint(people_of(fact)):
            continue
        if isinstance(fact, ConsentFact):
            _upsert(connection, authz_consents, _consent_row(fact))
        else:
            _upsert(connection, authz_facts, _fact_row(fact))


def forget_person(connection: Connection, user_id: str) -> None:
    """Delete every fact and consent that names this person, at either end, and keep none that still comes."""
    erased = insert(connection, authz_erased).values(person_sha256=_digest(user_id))
    connection.execute(erased.on_conflict_do_nothing())
    facts, consents = authz_facts.c, authz_consents.c
    connection.execute(
        delete(authz_facts).where(or_(facts.subject_id == user_id, facts.object_id == user_id))
    )
    connection.execute(
        delete(authz_consents).where(or_(consents.patient_id == user_id, consents.actor_id == user_id))
    )


def _erased(connection: Connection, people: set[str]) -> set[str]:
    digests = {_digest(person): person for person in people}
    query = select(authz_erased.c.person_sha256).where(authz_erased.c.person_sha256.in_(list(digests)))
    return {digests[digest] for digest in connection.execute(query).scalars()}


def _digest(person: str) -> str:
    return hashlib.sha256(person.encode()).hexdigest()


def read_standings(
    connection: Connection, subject_id: str, owner_ids: Sequence[str]
) -> Mapping[str, Standing]:
    """What this subject and each of these owners are to each other, in two statements a 500 owners."""
    facts: list[RelationshipFact] = []
    consents: list[ConsentFact] = []
    distinct = list(dict.fromkeys(owner_ids))
    for start in range(0, len(distinct), OWNERS_PER_STATEMENT):
        asked = {_SUBJECT: subject_id, _OWNERS: distinct[start : start + OWNERS_PER_STATEMENT]}
        facts += map(_fact, _FACTS_BETWEEN.rows(connection, **asked))
        consents += map(_consent, _CONSENTS_BETWEEN.rows(connection, **asked))
    members: list[RelationshipFact] = []
    if circles := _circles_of(facts):
        for start in range(0, len(distinct), OWNERS_PER_STATEMENT):
            part = distinct[start : start + OWNERS_PER_STATEMENT]
            members += _facts(connection, and_(_members(circles), authz_facts.c.subject_id.in_(part)))
    return standings(subject_id, facts, consents, members)


def read_subjects_of(connection: Connection, owner_id: str, *, limit: int) -> list[str]:
    """Who has a relation to this owner, or a consent of theirs by name; sorted, at most `limit`."""
    facts, consents = authz_facts.c, authz_consents.c
    related = select(facts.subject_id.label("id")).where(facts.object_id == owner_id)
    named = select(consents.actor_id.label("id")).where(
        consents.patient_id == owner_id, consents.actor_id.is_not(None)
    )
    either = union(related, named).subquery()
    return list(connection.execute(select(either.c.id).order_by(either.c.id).limit(limit)).scalars())


def read_subject(connection: Connection, subject_id: str) -> Mapping[str, Standing]:
    """All that is known about this subject.  Errors: ValueError past FACTS_PER_SUBJECT_MAX."""
    facts = list(_facts(connection, or_(authz_facts.c.subject_id == subject_id, _blocks(subject_id))))
    consents = list(_consents(connection, _about(subject_id)))
    circles = _circles_of(facts)
    members = list(_facts(connection, _members(circles))) if circles else []
    if len(facts) + len(consents) + len(members) > FACTS_PER_SUBJECT_MAX:
        raise ValueError(f"a subject has more than {FACTS_PER_SUBJECT_MAX} facts; its lists need a join")
    return standings(subject_id, facts, consents, members)


def _between(subject_id: Named, owner_ids: Any) -> ColumnElement[bool]:
    columns = authz_facts.c
    forth = and_(columns.subject_id == subject_id, columns.object_id.in_(owner_ids))
    # Of which circles it is assigned something, whoever is in them.
    circles = and_(
        columns.subject_id == subject_id,
        columns.relation == Relation.ASSIGNED.value,
        or_(*[columns.object_id.startswith(prefix) for prefix in CIRCLES]),
    )
    return or_(forth, circles, and_(_blocks(subject_id), columns.subject_id.in_(owner_ids)))


def _circles_of(facts: Iterable[RelationshipFact]) -> list[str]:
    return sorted(
        {fact.object_id for fact in facts if fact.relation is Relation.ASSIGNED and is_circle(fact.object_id)}
    )


def _members(circles: Sequence[str]) -> ColumnElement[bool]:
    return and_(authz_facts.c.object_id.in_(circles), authz_facts.c.relation == Relation.MEMBER.value)


def _blocks(subject_id: Named) -> ColumnElement[bool]:
    return and_(authz_facts.c.object_id == subject_id, authz_facts.c.relation == Relation.BLOCKED.value)


def _about(subject_id: Named) -> ColumnElement[bool]:
    return or_(authz_consents.c.actor_id == subject_id, authz_consents.c.actor_id.is_(None))


def _facts(connection: Connection, where: ColumnElement[bool]) -> Iterator[RelationshipFact]:
    rows = connection.execute(select(authz_facts).where(where).limit(FACTS_PER_SUBJECT_MAX + 1))
    return map(_fact, rows)


def _consents(connection: Connection, where: ColumnElement[bool]) -> Iterator[ConsentFact]:
    rows = connection.execute(select(authz_consents).where(where).limit(FACTS_PER_SUBJECT_MAX + 1))
    return map(_consent, rows)


def _fact(row: Sequence[Any]) -> RelationshipFact:
    """A row of ours: its shape was looked at when it came."""
    subject_id, relation, object_id, scopes, valid_from_utc, valid_until_utc, version = row
    return RelationshipFact(
        subject_id,
        relation_of(relation),
        object_id,
        scopes_of(scopes),
        valid_from_utc,
        valid_until_utc,
        version,
    )


def relation_of(kept: str) -> Relation:
    """The relation of a row.  Errors: FactInvalid for one that a newer program wrote."""
    try:
        return _RELATIONS[kept]
    except KeyError as error:
        raise FactInvalid(
            f"`authz_facts` holds a relation that this program does not know: {error}"
        ) from error


_RELATIONS = {each.value: each for each in Relation}


@lru_cache(maxsize=4_096)
def scopes_of(kept: str) -> frozenset[str]:
    """The scopes of a row."""
    return frozenset(json.loads(kept))


def _consent(row: Row[Any]) -> ConsentFact:
    told = row._mapping
    return consent_of({**told, "labels": json.loads(told["labels"])})


# Made once: to write a statement down takes longer than to run it for one owner.
_SUBJECT, _OWNERS = "asking_subject", "asked_owners"
_ASKING: BindParameter[str] = bindparam(_SUBJECT, type_=String())
_ASKED = bindparam(_OWNERS, type_=String(), expanding=True)
_FACTS_BETWEEN = PreparedRead(
    select(authz_facts).where(_between(_ASKING, _ASKED)).limit(FACTS_PER_SUBJECT_MAX + 1)
)
_CONSENTS_BETWEEN = PreparedRead(
    select(authz_consents)
    .where(and_(authz_consents.c.patient_id.in_(_ASKED), _about(_ASKING)))
    .limit(FACTS_PER_SUBJECT_MAX + 1)
)


def _fact_row(fact: RelationshipFact) -> dict[str, Any]:
    return {
        "subject_id": fact.subject_id,
        "relation": fact.relation.value,
        "object_id": fact.object_id,
        "scopes": json.dumps(sorted(fact.scopes)),
        "valid_from_utc": fact.valid_from_utc,
        "valid_until_utc": fact.valid_until_utc,
        "version": fact.version,
    }


def _consent_row(fact: ConsentFact) -> dict[str, Any]:
    return {
        **fact.as_payload(),
        "labels": json.dumps(sorted(fact.labels)),
        "valid_from_utc": fact.valid_from_utc,
        "valid_until_utc": fact.valid_until_utc,
    }


def _upsert(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    keys = [column.name for column in table.primary_key.columns]
    statement = insert(connection, table).values(**row)
    newer = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=keys, set_=newer, where=table.c.version < statement.excluded.version
        )
    )
