"""All that one subject is to anybody, in one statement whose rows the database has grouped.

A statement of every owner's facts spends its time on making rows; here owners come as one JSON text each
relation. Who needs a closer look (consents, emergencies) is read one by one, by `read_standings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Dialect,
    Select,
    String,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from authz.classes import Relation
from authz.facts.gathered import GATHERED_MAX, Gathered, Kin
from authz.facts.model import is_circle
from authz.facts.store import Standing
from authz.facts.tables import authz_consents, authz_facts, read_standings, relation_of, scopes_of
from datastores.relational.columns import UtcDateTime
from datastores.relational.prepared import driver_rows

OPEN_CONSENTS_MAX = 200
"""So many patients with a consent about anybody are looked at before asking by patient."""
_NAMED, _ANYBODY = "-consented to the subject", "-consented to anybody"
"""In the place of a relation, of which none begins so."""
_INSTANT = UtcDateTime()
_MEMBER, _ASSIGNED = Relation.MEMBER.value, Relation.ASSIGNED.value
_ONE_BY_ONE = (_NAMED, Relation.BREAK_GLASS.value)


def gather(
    connection: Connection, subject_id: str, owner_ids: Sequence[str], now: datetime
) -> Gathered | None:
    """What the subject is to these owners and, if that is not too much, to everybody.

    None where it cannot be told so: a circle counts, or there are more than `GATHERED_MAX` owners.
    """
    text, given, subject_at, now_at = _written(connection.dialect)
    at = _INSTANT.process_bind_param(now, connection.dialect)
    values = list(given)
    for place in subject_at:
        values[place] = subject_id
    for place in now_at:
        values[place] = at
    # On the driver: what SQLAlchemy does around a statement would take longer than the statement.
    rows = driver_rows(connection, text, values)
    kins, closer, anybody = [], set[str](), list[str]()
    for relation, scopes, until, latest, told in rows:
        if not told or told == "[]":
            continue
        owners = orjson.loads(told)
        if relation == _ANYBODY:
            anybody = owners
        elif relation == _MEMBER:
            continue
        elif relation == _ASSIGNED and any(map(is_circle, owners)):
            return None
        elif relation in _ONE_BY_ONE or (latest is not None and latest > at):
            closer.update(owners)
        else:
            until_utc = _INSTANT.process_result_value(until, connection.dialect)
            kins.append(Kin((relation_of(relation), scopes_of(scopes)), until_utc, owners))
    if sum(len(kin.owner_ids) for kin in kins) > GATHERED_MAX:
        return None
    asked, everybody = frozenset(owner_ids), len(anybody) <= OPEN_CONSENTS_MAX
    unsettled = frozenset(anybody) if everybody else frozenset[str]()
    closer.update(unsettled & asked if everybody else _consenting(connection, owner_ids))
    single = _single(connection, subject_id, sorted(closer)) if closer else {}
    return Gathered(tuple(kins), single, everybody, asked, unsettled - single.keys())


def _single(connection: Connection, subject_id: str, owner_ids: Sequence[str]) -> dict[str, Standing]:
    known = read_standings(connection, subject_id, owner_ids)
    return {owner_id: known.get(owner_id, Standing()) for owner_id in owner_ids}


def _consenting(connection: Connection, owner_ids: Sequence[str]) -> Iterable[str]:
    """Who of these consented to something with regard to anybody."""
    found = (
        connection.execute(_CONSENTING, {"owners": owner_ids[start : start + 500]}).scalars()
        for start in range(0, len(owner_ids), 500)
    )
    return chain.from_iterable(found)


@lru_cache(maxsize=8)
def _written(dialect: Dialect) -> tuple[str, Sequence[Any], Sequence[int], Sequence[int]]:
    """The statement for this driver, its values, and the places of the subject and of the instant in them."""
    written = _statement(dialect.name).compile(dialect=dialect)
    places = list(enumerate(written.positiontup or ()))
    subject_at, now_at = ([at for at, name in places if name == wanted] for wanted in ("subject", "now"))
    return str(written), [written.params[name] for _, name in places], subject_at, now_at


def _statement(dialect: str) -> CompoundSelect[Any]:
    facts, consents, subject = authz_facts.c, authz_consents.c, bindparam("subject", type_=String())
    going_on = or_(facts.valid_until_utc.is_(None), facts.valid_until_utc > bindparam("now", type_=_INSTANT))
    by_subject = facts.subject_id == subject
    blocked_by = and_(facts.object_id == subject, facts.relation == Relation.BLOCKED.value)
    open_to_all = (
        select(consents.patient_id.label("patient_id"))
        .where(consents.actor_id.is_(None))
        .limit(OPEN_CONSENTS_MAX + 1)
        .subquery()
    )
    return union_all(
        _by_link(dialect, facts.object_id).where(and_(by_subject, going_on)),
        _by_link(dialect, facts.subject_id).where(and_(blocked_by, going_on)),
        _alone(dialect, _NAMED, consents.patient_id).where(consents.actor_id == subject),
        _alone(dialect, _ANYBODY, open_to_all.c.patient_id),
    )


def _by_link(dialect: str, owner: ColumnElement[str]) -> Any:
    facts = authz_facts.c
    link = (facts.relation, facts.scopes, facts.valid_until_utc)
    columns: list[Any] = [*link, func.max(facts.valid_from_utc), _listed(dialect, owner)]
    return select(*columns).group_by(*link)


def _alone(dialect: str, name: str, patient: ColumnElement[str]) -> Select[Any]:
    no_time = cast(null(), _INSTANT)
    columns: list[Any] = [
        literal_column(f"'{name}'"), literal_column("''"), no_time, no_time, _listed(dialect, patient)
    ]  # fmt: skip
    return select(*columns)


def _listed(dialect: str, owner: ColumnElement[str]) -> ColumnElement[str]:
    if dialect == "postgresql":
        return cast(func.json_agg(owner), Text)
    return func.json_group_array(owner, type_=Text)


_CONSENTING = select(authz_consents.c.patient_id).where(
    and_(
        authz_consents.c.actor_id.is_(None),
        authz_consents.c.patient_id.in_(bindparam("owners", type_=String(), expanding=True)),
    )
)
