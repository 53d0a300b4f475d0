"""PostgreSQL's row-level security: a query that forgot its predicate finds nothing that is foreign."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, text

from authz.classes import Relation, Role
from authz.decide import Authorizer
from authz.facts.store import MemoryFacts
from authz.identity.subject import ANONYMOUS, Subject
from datastores.blobs.files import FileBlobs
from datastores.events.outbox import RelationalOutbox
from datastores.relational.migrate import downgrade
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from subgraphs.kit import row_fence
from subgraphs.kit.row_fence import FencedRows
from subgraphs.kit.trail import Running, Trail, running
from subgraphs.medical import subgraph as medical_subgraph
from subgraphs.medical import tables as medical_tables
from subgraphs.training.imports import import_content
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import tables as training_tables
from tests.kit_authz.people import NOW, a_consent, a_fact
from tests.kit_datastores import postgresql_schema, postgresql_url
from tests.kit_medical import ADMINISTRATOR, ATHLETE, PHYSICIAN, STRANGER, Medical, running_medical
from tests.kit_medical.emergencies import BREAK, CLOSE, CONFIRM, SECOND, codes, emergency, opened
from tests.kit_training.files import content

__all__ = ["postgresql_schema", "postgresql_url"]

ANNA, BEN, CARL = (Subject(each, frozenset({Role.ATHLETE})) for each in ("anna", "ben", "carl"))
OWN = {"training_files", "training_activities", "training_thresholds"}
PARTS = {f"training_{part}" for part in ("laps", "intervals", "streams", "metrics", "efforts")}
IMPORT = "mutation($input: ImportBundleInput!) { importBundle(input: $input) { result { added } } }"
ADD = "mutation($input: AddToCareTeamInput!) { addToCareTeam(input: $input) { userErrors { code } } }"


@pytest.fixture
def facts() -> MemoryFacts:
    return MemoryFacts()


@pytest.fixture
async def store(postgresql_url: str, postgresql_schema: str, tmp_path: Path) -> AsyncIterator[Relational]:
    """Training on a server, with a ride of Anna's and one of Ben's."""
    store = open_relational(postgresql_url, search_path=postgresql_schema)
    await store.open()
    await training_tables.prepare(store)
    blobs = FileBlobs(tmp_path)
    await blobs.open()
    ports = TrainingPorts(relational=store, blobs=blobs, outbox=RelationalOutbox())
    for athlete in ("anna", "ben"):
        await import_content(ports, athlete, content("fit/ride-power-wahoo-elemnt-bolt-short.fit"))
    yield store
    await store.close()


@contextmanager
def request_of(subject: Subject, facts: MemoryFacts) -> Iterator[None]:
    """As if a request of this caller ran here."""
    reach = Authorizer(facts, clock=lambda: NOW).for_request(subject).reach
    here = running.set(Running(Trail(subject), lambda touched: [], reach))
    try:
        yield
    finally:
        running.reset(here)


def owners(connection: Connection) -> list[str]:
    """Whose activities a query without any predicate finds."""
    return sorted(connection.execute(text("SELECT athlete_id FROM training_activities")).scalars())


@pytest.mark.parametrize(
    ("subject", "fact", "found"),
    [
        (ANNA, None, ["anna"]),
        (CARL, None, []),
        (ANONYMOUS, None, []),
        (CARL, a_fact("carl", Relation.COACH, "anna"), ["anna"]),
        (CARL, a_fact("carl", Relation.FRIEND, "ben"), ["ben"]),
        (CARL, a_fact("carl", Relation.COACH, "anna", until=NOW), []),
        (CARL, a_fact("anna", Relation.BLOCKED, "carl"), []),
        (CARL, a_consent("ben", "permit", actor_id="carl"), ["ben"]),
        (CARL, a_consent("ben", "deny", actor_id="carl"), []),
    ],
    ids=["self", "stranger", "nobody", "coach", "friend", "ended", "blocked", "consent", "denied"],
)
async def test_a_query_without_a_predicate_finds_nothing_foreign(
    store: Relational, facts: MemoryFacts, subject: Subject, fact: Any, found: list[str]
) -> None:
    if fact is not None:
        facts.put(fact)
    assert await FencedRows(store).read(owners) == ["anna", "ben"]  # a job without a caller
    with request_of(subject, facts):
        assert await FencedRows(store).read(owners) == found
    assert await store.read(owners) == ["anna", "ben"]  # nothing is left on the connection


async def test_the_parts_of_a_row_are_fenced_as_the_row_is(store: Relational, facts: MemoryFacts) -> None:
    def counts(connection: Connection) -> dict[str, int]:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in sorted(OWN | PARTS)
        }

    whole = await store.read(counts)
    assert whole["training_streams"] > 2
    with request_of(ANNA, facts):
        half = await FencedRows(store).read(counts)
    with request_of(CARL, facts):
        nothing = await FencedRows(store).read(counts)
    assert {name: count * 2 for name, count in half.items()} == whole
    assert set(nothing.values()) == {0}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE training_activities SET name = 'taken'",
        "DELETE FROM training_activities",
        "UPDATE training_activities SET athlete_id = 'carl' WHERE athlete_id = 'anna'",
    ],
)
async def test_a_write_without_a_predicate_touches_nothing_foreign(
    store: Relational, facts: MemoryFacts, statement: str
) -> None:
    with request_of(CARL, facts):
        assert await FencedRows(store).write(lambda c: c.execute(text(statement)).rowcount) == 0


async def test_nobody_writes_a_row_for_somebody_else(store: Relational, facts: MemoryFacts) -> None:
    forged = "INSERT INTO training_thresholds VALUES ('t', 'anna', 'ftp', 400, '2026-01-01')"
    with request_of(CARL, facts), pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
        await FencedRows(store).write(lambda c: c.execute(text(forged)))
    with request_of(ANNA, facts):
        await FencedRows(store).write(lambda c: c.execute(text(forged)))


async def test_a_caller_cannot_smuggle_another_owner_in(store: Relational, facts: MemoryFacts) -> None:
    with request_of(Subject("carl\x1fanna", frozenset({Role.ATHLETE})), facts):
        assert await FencedRows(store).read(owners) == []
    facts.put(a_fact("carl", Relation.FRIEND, "ben\x1fanna"))
    with request_of(CARL, facts):
        assert await FencedRows(store).read(owners) == []


async def test_without_the_role_the_platform_says_so_and_goes_on(
    store: Relational, facts: MemoryFacts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_fence, "ROLE", "'nobody_made_this_role'")
    fenced = FencedRows(store)
    with request_of(ANNA, facts), caplog.at_level(logging.WARNING):
        assert [await fenced.read(owners) for _ in range(2)] == [["anna", "ben"]] * 2
    assert caplog.text.count("row-level security is off") == 1


async def test_platforms_on_one_server_share_no_role(store: Relational, facts: MemoryFacts) -> None:
    """The role is named by the database, and inside a request it is the one in force."""
    own = await store.read(lambda c: c.execute(text(f"SELECT {row_fence.ROLE}")).scalar_one())
    assert re.fullmatch("stadion_fenced_[0-9a-f]{12}", own)
    with request_of(ANNA, facts):
        assert await FencedRows(store).read(lambda c: c.execute(text("SELECT current_user")).scalar()) == own
    other = row_fence.ROLE.replace("current_database()", "'another'")
    assert await store.read(lambda c: c.execute(text(f"SELECT {other}")).scalar_one()) != own


async def test_a_database_of_the_version_before_gets_its_own_role(
    store: Relational, facts: MemoryFacts
) -> None:
    def forget_role(connection: Connection) -> None:
        role = connection.execute(text(f"SELECT {row_fence.ROLE}")).scalar_one()
        connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}"))

    schema = await store.read(lambda c: c.execute(text("SELECT current_schema()")).scalar_one())
    await downgrade(store, training_tables.MIGRATIONS, training_tables.VERSION_TABLE, revision="0003")
    await store.write(forget_role)
    with request_of(ANNA, facts), pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        await FencedRows(store).read(owners)
    await training_tables.prepare(store)
    with request_of(ANNA, facts):
        assert await FencedRows(store).read(owners) == ["anna"]


async def fenced_tables(store: Relational) -> set[str]:
    """The tables that have a policy."""
    found = text("SELECT tablename FROM pg_policies WHERE schemaname = current_schema()")
    return set(await store.read(lambda c: list(c.execute(found).scalars())))


async def test_every_table_of_training_that_tells_of_somebody_is_fenced(store: Relational) -> None:
    tables = {table.name for table in training_tables.activities.metadata.sorted_tables}
    assert tables - await fenced_tables(store) == {"training_doomed_files"}  # keys of files to delete
    await downgrade(store, training_tables.MIGRATIONS, training_tables.VERSION_TABLE, revision="0002")
    assert await fenced_tables(store) == set()
    await training_tables.prepare(store)
    assert await fenced_tables(store) == OWN | PARTS


@pytest.fixture
async def medical(tmp_path: Path, postgresql_url: str, postgresql_schema: str) -> AsyncIterator[Medical]:
    relational = open_relational(postgresql_url, search_path=postgresql_schema)
    async with running_medical(tmp_path, relational) as running_there:
        yield running_there


async def test_a_life_in_medical_goes_on_behind_the_fence(medical: Medical) -> None:
    document = (
        '{"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/1"},'
        ' "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44465007"}]}}'
    )
    given = {"userId": "athlete", "purpose": "PATRQT", "json": document}
    assert (await medical.ask(ATHLETE, IMPORT, input=given))["data"]["importBundle"]["result"]["added"] == 1
    treating = {"userId": "athlete", "practitionerId": "physician"}
    assert "errors" not in await medical.ask(ATHLETE, ADD, input=treating)
    assert (await medical.ask(PHYSICIAN, "{ patientsInMyCare { id } }"))["data"]["patientsInMyCare"]
    grant = await opened(medical)
    assert await codes(medical, STRANGER, BREAK, x=emergency()) == ["ALREADY_OPEN"]
    assert await codes(medical, SECOND, CONFIRM, x=grant["id"]) == []
    close = {"id": grant["id"], "outcome": "JUSTIFIED", "note": "Checked with the hospital."}
    assert await codes(medical, ADMINISTRATOR, CLOSE, x=close) == []

    def resources(connection: Connection) -> int:
        return connection.execute(text("SELECT count(*) FROM medical_resources")).scalar_one()

    seen = {}
    for subject in (ATHLETE, PHYSICIAN, STRANGER, SECOND, ADMINISTRATOR, ANONYMOUS):
        reach = medical.authorizer.for_request(subject).reach
        here = running.set(Running(Trail(subject), lambda touched: [], reach))
        seen[subject.id] = await FencedRows(medical.vault).read(resources)
        running.reset(here)
    expected = {"athlete": 1, "physician": 1, "stranger": 1, "second": 0, "administrator": 0, None: 0}
    assert seen == expected
    tables = {table.name for table in medical_tables.metadata.sorted_tables}
    assert await fenced_tables(medical.vault) == tables
    await downgrade(
        medical.vault, medical_subgraph.MIGRATIONS, medical_subgraph.VERSION_TABLE, revision="0002"
    )
    assert await fenced_tables(medical.vault) == set()
