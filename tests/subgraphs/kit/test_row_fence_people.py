"""Row-level security of accounts, profiles and audit on PostgreSQL: a query without its predicate finds
nothing foreign, every table of theirs is fenced, and their graphs say the same behind the fence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, text

from authz.classes import Relation, Role, Visibility
from authz.decide import Authorizer
from authz.facts.store import MemoryFacts
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from datastores.relational.migrate import downgrade
from datastores.relational.port import Relational
from subgraphs.accounts import device_store, role_store
from subgraphs.accounts import store as accounts_store
from subgraphs.accounts import subgraph as accounts
from subgraphs.accounts import tables as accounts_tables
from subgraphs.accounts.device_store import Device, DeviceState
from subgraphs.accounts.sessions import RefreshKey, open_session
from subgraphs.audit import subgraph as audit
from subgraphs.audit import tables as audit_tables
from subgraphs.audit.events import SUBJECT
from subgraphs.kit.row_fence import FencedRows
from subgraphs.kit.trail import Running, Trail, running
from subgraphs.profiles import subgraph as profiles
from subgraphs.profiles import tables as profiles_tables
from subgraphs.profiles.model import CoachScope, Profile, accepted, invited
from subgraphs.profiles.store import add_link, create_profile
from tests.kit_authz.people import NOW, a_fact
from tests.kit_subgraphs.audit import ADA, LIND, MIRA, TOMAS, event_of, open_office, touched
from tests.kit_subgraphs.profiles import open_club
from tests.kit_subgraphs.stores import open_postgresql, postgresql_server

ANNA, BEN, CARL = (Subject(each, frozenset({Role.ATHLETE}), acr=1) for each in ("anna", "ben", "carl"))
ADMINISTRATOR = Subject("ada", frozenset({Role.ADMINISTRATOR}), acr=2)
MODERATOR = Subject("noor", frozenset({Role.MODERATOR}), acr=2)
LIMITED = Subject("noor", frozenset({Role.MODERATOR}), acr=2, limits=(RoleLimit(Role.MODERATOR),))
LIMITED_ADMINISTRATOR = Subject(
    "ada", frozenset({Role.ADMINISTRATOR}), acr=2, limits=(RoleLimit(Role.ADMINISTRATOR),)
)


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@contextmanager
def request_of(subject: Subject, *facts: Any) -> Iterator[None]:
    """As if a request of this caller ran here."""
    known = MemoryFacts()
    known.put(*facts)
    reach = Authorizer(known, clock=lambda: NOW).for_request(subject).reach
    here = running.set(Running(Trail(subject), lambda _: [], reach))
    try:
        yield
    finally:
        running.reset(here)


def found(table: str, column: str) -> Any:
    """Whose rows a query without any predicate finds."""
    query = text(f"SELECT {column} FROM {table}")
    return lambda connection: sorted(connection.execute(query).scalars())


async def fenced(store: Relational, metadata: sa.MetaData) -> set[str]:
    """The tables of a domain without a policy."""
    query = text("SELECT tablename FROM pg_policies WHERE schemaname = current_schema()")
    policies = set(await store.read(lambda c: list(c.execute(query).scalars())))
    return {table.name for table in metadata.sorted_tables} - policies


def people_of_accounts(connection: Connection) -> None:
    """Anna and Ben, each with a session, a device and a membership."""
    club = role_store.Organisation("club", "Rowers", NOW)
    role_store.add_organisation(connection, club)
    for each in ("anna", "ben"):
        accounts_store.create_user(
            connection, id=each, handle=each, email=f"{each}@example.org", password_hash="secret", now=NOW
        )
        open_session(connection, RefreshKey(b"k" * 32), user_id=each, acr=1, device="", now=NOW)
        device_store.add(
            connection,
            Device(f"d-{each}", each, "Phone", each, "{}", DeviceState.REGISTERED, None, NOW, NOW),
        )
        role_store.set_member(connection, "club", each, member=True, now=NOW)
        accounts_store.note_failure(connection, each, "somewhere", now=NOW)
    device_store.use_proof(connection, "h", now=NOW)


OWNED = {
    "accounts_users": "id",
    "accounts_role_assignments": "user_id",
    "accounts_devices": "user_id",
    "accounts_members": "user_id",
}
COACHES_ANNA = a_fact("carl", Relation.COACH, "anna")


async def test_accounts_are_shown_by_whose_they_are(server_url: str) -> None:
    async with open_postgresql(server_url) as store:
        await accounts.prepare(store)
        await store.write(people_of_accounts)
        rows = FencedRows(store)
        both = ["anna", "ben"]
        for subject, facts, expected, sessions in (
            (ANNA, (), ["anna"], ["anna"]),
            (CARL, (), [], []),
            (ANONYMOUS, (), [], []),
            (CARL, (COACHES_ANNA,), ["anna"], []),  # a coach has no business with sessions
            (CARL, (COACHES_ANNA, a_fact("anna", Relation.BLOCKED, "carl")), [], []),
            (MODERATOR, (), [], []),
            (ADMINISTRATOR, (), both, []),
            (LIMITED_ADMINISTRATOR, (), [], []),
            (LIMITED_ADMINISTRATOR, (a_fact("ada", Relation.ASSIGNED, "ben", "administrator"),), ["ben"], []),
        ):
            with request_of(subject, *facts):
                for table, column in OWNED.items():
                    assert await rows.read(found(table, column)) == expected, (subject.id, table)
                assert await rows.read(found("accounts_sessions", "user_id")) == sessions
                assert await rows.read(found("accounts_log_in_failures", "account_key")) == []
                assert await rows.read(found("accounts_used_proofs", "proof_hash")) == []
                assert await rows.read(found("accounts_organisations", "name")) == ["Rowers"]
        for table, column in OWNED.items():
            assert await rows.read(found(table, column)) == both, "a job without a caller sees all"
        with request_of(CARL):
            taken = text("UPDATE accounts_users SET password_hash = 'mine'")
            assert await rows.write(lambda c: c.execute(taken).rowcount) == 0
            forged = "INSERT INTO accounts_members VALUES ('club', 'anna', now(), NULL, 9)"
            with pytest.raises(sa.exc.DBAPIError, match="row-level security"):
                await rows.write(lambda c: c.execute(text(forged)))
        assert await fenced(store, accounts_tables.metadata) == set()
        await downgrade(store, accounts.MIGRATIONS, accounts.VERSION_TABLE, revision="0003")
        assert await fenced(store, accounts_tables.metadata) == {
            table.name for table in accounts_tables.metadata.sorted_tables
        }


def people_of_profiles(connection: Connection) -> None:
    """Anna for friends, Ben for everybody, Dora in details, and a link of Anna's with a coach."""
    create_profile(connection, Profile("anna", "Anna"))
    create_profile(connection, Profile("ben", "Ben", name_visibility=Visibility.EVERYONE))
    create_profile(connection, Profile("dora", "Dora", details_visibility=Visibility.EVERYONE))
    create_profile(connection, Profile("coach", "Coach"))
    link = invited(
        id="link", athlete_id="anna", coach_id="coach", scopes=frozenset({CoachScope.TRAINING}), message="",
        valid_until_utc=None, now=NOW, version=1,
    )  # fmt: skip
    add_link(connection, accepted(link, actor_id="coach", now=NOW))


async def test_profiles_are_shown_to_their_circles_and_links_to_their_ends(server_url: str) -> None:
    async with open_postgresql(server_url) as store:
        await profiles.prepare(store)
        await store.write(people_of_profiles)
        rows = FencedRows(store)
        everybody, shown = ["anna", "ben", "coach", "dora"], ["ben", "dora"]
        assigned = a_fact("noor", Relation.ASSIGNED, "anna", "moderator")
        for subject, facts, people, links in (
            (ANNA, (), everybody, ["link"]),  # a link's ends know each other
            (Subject("coach", frozenset({Role.TRAINER}), acr=1), (), everybody, ["link"]),
            (CARL, (), shown, []),
            (CARL, (a_fact("carl", Relation.GUARDIAN, "anna"),), everybody, ["link"]),
            (ANONYMOUS, (), [], []),
            (ADMINISTRATOR, (), everybody, ["link"]),
            (MODERATOR, (), everybody, []),
            (LIMITED, (), shown, []),
            (LIMITED, (assigned,), everybody, ["link"]),
        ):
            with request_of(subject, *facts):
                assert await rows.read(found("profiles_profiles", "user_id")) == people, (subject.id, facts)
                assert await rows.read(found("profiles_coach_links", "id")) == links, (subject.id, facts)
        assert await fenced(store, profiles_tables.metadata) == set()


async def test_a_stranger_is_told_the_same_of_a_profile_behind_the_fence_as_without(
    server_url: str,
) -> None:
    query = """query($r: [_Any!]!) {_entities(representations: $r) {... on User {
        profile {displayName ageBand birthDate version} settings {weekStartsOn} guardians {id}}}}"""
    asked = [{"__typename": "User", "id": each} for each in ("anna", "ben", "dora", "nobody")]
    answers = []
    async with open_postgresql(server_url) as store:
        club = await open_club(store)
        await store.write(people_of_profiles)
        for _ in range(2):
            each = [await club.ask(query, subject, r=asked) for subject in (CARL, ANNA, MODERATOR, ANONYMOUS)]
            answers.append(each)
            club.subgraph._context = _unfenced(club)
    for behind, without in zip(*answers, strict=True):
        assert behind["data"] == without["data"]
        assert _errors(behind) == _errors(without)
    assert answers[0][0]["data"]["_entities"][0]["profile"]["displayName"] is None
    assert answers[0][0]["data"]["_entities"][3]["profile"] is None


def _errors(answer: dict[str, Any]) -> list[str]:
    return sorted(str(error) for error in answer.get("errors", []))


def _unfenced(club: Any) -> Any:
    """The context of the same club as if its store had no fence."""
    from tests.kit_subgraphs import profiles as kit

    return kit.subgraph_over(club, club.relational)._context


async def test_records_are_shown_to_whom_they_are_about_and_to_who_acted(server_url: str) -> None:
    async with open_postgresql(server_url) as store:
        office = await open_office(store)
        await office.take(
            event_of(touched("mira"), touched("kim")), event_of(touched("kim"), actor_id="tomas")
        )
        names = office.log.pseudonyms
        rows = FencedRows(store, named=lambda user_id: names.of(SUBJECT, user_id))
        for subject, records, people in (
            (MIRA, 1, {"lind", "mira"}),
            (LIND, 2, {"lind", "mira", "kim"}),
            (TOMAS, 1, {"tomas", "kim"}),
            (CARL, 0, set()),
            (ANONYMOUS, 0, set()),
            (ADA, 3, {"lind", "mira", "kim", "tomas"}),
            (LIMITED_ADMINISTRATOR, 0, set()),
        ):
            with request_of(subject):
                assert len(await rows.read(found("audit_records", "number"))) == records, subject.id
                assert set(await rows.read(found("audit_subjects", "user_id"))) == people, subject.id
                assert len(await rows.read(found("audit_head", "number"))) == (subject is ADA)
        with request_of(CARL, a_fact("carl", Relation.COACH, "someone")):
            assert await rows.read(found("audit_records", "number")) == []
        assert await fenced(store, audit_tables.metadata) == set()
        await downgrade(store, audit.MIGRATIONS, audit.VERSION_TABLE, revision="0002")
        await audit.prepare(store)
        assert await fenced(store, audit_tables.metadata) == set()


async def test_the_audit_graph_answers_behind_the_fence(server_url: str) -> None:
    async with open_postgresql(server_url) as store:
        office = await open_office(store)
        names = office.log.pseudonyms
        rows = FencedRows(store, named=lambda user_id: names.of(SUBJECT, user_id))
        object.__setattr__(office.log, "relational", cast(Relational, rows))
        await office.take(event_of(touched("mira"), touched("kim")))
        own = await office.ask("{myAccessLog {totalCount nodes {actor {id}}}}", MIRA)
        assert "errors" not in own, own
        assert own["data"]["myAccessLog"] == {"totalCount": 1, "nodes": [{"actor": {"id": "lind"}}]}
        every = await office.ask("{auditLog {totalCount} verifyChain {records damages {number}}}", ADA)
        assert "errors" not in every, every
        assert every["data"]["verifyChain"] == {"records": 2, "damages": []}
        assert every["data"]["auditLog"]["totalCount"] == 2
        acts = await office.ask("{auditLog {totalCount}}", LIND)
        assert acts["data"]["auditLog"]["totalCount"] == 2
