"""Two regions, two PostgreSQL clusters: nothing of a person of one ever reaches the other."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
import typer
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from authz.identity.subject import ANONYMOUS, Subject
from authz.trail import Access, Outcome, Touched
from datastores.regions.directory import RegionDirectory
from datastores.regions.errors import RegionUnknown
from datastores.relational.opening import open_relational
from deploy.regional_subgraph import Homes, RegionalSubgraph, names_in
from deploy.regions import RegionalLedger, Regions, regional_endpoint, regional_platform
from deploy.settings import Region, Settings, settings_with
from tests.kit_platform.client import LOG_IN
from tests.kit_platform.process import ROOT
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, PostgresqlServer, running_postgresql

FIT = ROOT / "tests" / "data" / "activities" / "fit" / "run-garmin-vivoactive-hr.fit"
REGISTER = """mutation R($input: RegisterInput!) {
  register(input: $input) { user { id } userErrors { code message } }
}"""
UPDATE = """mutation U($input: UpdateProfileInput!) {
  updateProfile(input: $input) { profile { displayName } userErrors { code message } }
}"""
IMPORT = """mutation I($input: ImportBundleInput!) {
  importBundle(input: $input) { result { added errorCount } userErrors { code message } }
}"""
UPLOAD = "mutation($f: Upload!) { uploadActivityFile(file: $f) { activities { id } userErrors { code } } }"
ME = """{ me { id handle profile { displayName } activities { totalCount }
  medicalRecord(purpose: PATRQT) { conditions { nodes { text } } } } }"""
OF_OTHER = """query Q($id: ID!) { user(id: $id) { handle profile { displayName } activities { totalCount }
  medicalRecord(purpose: TREAT) { conditions { nodes { text } } } } }"""
INVITE = """mutation V($input: InviteCoachInput!) {
  inviteCoach(input: $input) { coachLink { id } userErrors { code } }
}"""


@dataclass
class Person:
    """Somebody with words that occur nowhere else."""

    handle: str
    email: str
    password: str
    name: str
    condition: str
    id: str = ""
    token: str = ""

    @property
    def words(self) -> list[str]:
        return [self.id, self.handle, self.email, self.name, self.condition]


def somebody(handle: str) -> Person:
    mark = secrets.token_hex(6)
    return Person(
        f"{handle}{mark}", f"{mark}@example.org", secrets.token_urlsafe(18), f"Name {mark}", f"Ache {mark}"
    )


@dataclass
class Door:
    """The endpoint of one region."""

    http: httpx2.AsyncClient

    async def ask(self, query: str, who: Person | None = None, **variables: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {who.token}"} if who and who.token else {}
        body = {"query": query, "variables": variables}
        return (await self.http.post("/graphql", json=body, headers=headers)).json()

    async def upload(self, who: Person, path: Path) -> dict[str, Any]:
        operations = json.dumps({"query": UPLOAD, "variables": {"f": None}})
        headers = {"authorization": f"Bearer {who.token}", "graphql-require-preflight": "1"}
        data = {"operations": operations, "map": json.dumps({"0": ["variables.f"]})}
        files = {"0": (path.name, io.BytesIO(path.read_bytes()))}
        return (await self.http.post("/graphql", data=data, files=files, headers=headers)).json()


@pytest.fixture(scope="module")
def clusters() -> Iterator[Mapping[str, PostgresqlServer]]:
    """Two servers that log every statement with its values."""
    with ExitStack() as stack:
        try:
            found = {name: stack.enter_context(running_postgresql()) for name in ("eu", "us")}
        except NoPostgresql as why:
            absent(why)
        for server in found.values():
            asyncio.run(log_everything(server.url))
        yield found


async def log_everything(url: str) -> None:
    engine = create_async_engine(make_url(url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for setting in ("log_statement = 'all'", "log_parameter_max_length = -1"):
            await connection.execute(sa.text(f"ALTER SYSTEM SET {setting}"))
        await connection.execute(sa.text("SELECT pg_reload_conf()"))
    await engine.dispose()


def statements(server: PostgresqlServer) -> str:
    return (server.folder / "server.log").read_text(errors="replace")


@pytest.fixture
async def regions(clusters: Mapping[str, PostgresqlServer], tmp_path: Path) -> AsyncIterator[Regions]:
    settings = Settings(
        data_folder=tmp_path / "data",
        regions={
            name: Region(relational_url=SecretStr(server.url), vault_url=SecretStr(f"{server.url}"))
            for name, server in clusters.items()
        },
        home_region="eu",
    )
    async with regional_platform(settings) as running:
        yield running


async def settled(regions: Regions, person: Person) -> None:
    """Until the directory knows them, some milliseconds after they registered."""
    while True:
        try:
            await regions.stores_of(person.id)
        except RegionUnknown:
            await asyncio.sleep(0.01)
        else:
            return


async def arrive(regions: Regions, door: Door, person: Person) -> None:
    """Register, log in, and leave something personal and something clinical."""
    given = {"handle": person.handle, "email": person.email, "password": person.password}
    registered = (await door.ask(REGISTER, input=given))["data"]["register"]
    assert registered["userErrors"] == []
    await log_in(door, person)
    person.id = registered["user"]["id"] if registered["user"] else ""
    await settled(regions, person)
    while (await door.ask(ME, person))["data"]["me"]["profile"] is None:
        await asyncio.sleep(0.01)
    changed = await door.ask(UPDATE, person, input={"displayName": person.name})
    assert changed["data"]["updateProfile"]["profile"] == {"displayName": person.name}
    condition = {"resourceType": "Condition", "id": "c1", "code": {"text": person.condition}}
    condition |= {"subject": {"reference": "Patient/p"}}
    document = {"userId": person.id, "purpose": "PATRQT", "json": json.dumps(condition)}
    imported = (await door.ask(IMPORT, person, input=document))["data"]["importBundle"]
    assert imported == {"result": {"added": 1, "errorCount": 0}, "userErrors": []}


async def log_in(door: Door, person: Person) -> None:
    given = {"login": person.handle, "password": person.password}
    answer = (await door.ask(LOG_IN, input=given))["data"]["logIn"]
    assert answer["userErrors"] == []
    person.token = answer["accessToken"]


async def test_nothing_of_a_person_reaches_the_other_region_statement_by_statement(
    regions: Regions, clusters: Mapping[str, PostgresqlServer], tmp_path: Path
) -> None:
    in_us = Regions(regions.platforms, replace(regions.homes, home="us"))
    apps = {"eu": regional_endpoint(regions), "us": regional_endpoint(in_us)}
    doors = {
        name: Door(
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://t", timeout=60)
        )
        for name, app in apps.items()
    }
    people = {"eu": somebody("mira"), "us": somebody("tomas")}
    for name, person in people.items():
        await arrive(regions, doors[name], person)
    uploaded = await doors["eu"].upload(people["eu"], FIT)
    assert len(uploaded["data"]["uploadActivityFile"]["activities"]) == 1

    # At the door of the other region each is served by their own.
    mira, tomas = people["eu"], people["us"]
    await log_in(doors["us"], mira)
    me = (await doors["us"].ask(ME, mira))["data"]["me"]
    assert me["profile"] == {"displayName": mira.name}
    assert me["medicalRecord"]["conditions"]["nodes"] == [{"text": mira.condition}]
    assert me["activities"]["totalCount"] == 1

    # What names somebody of the other region is not found, and is not even looked for.
    for asked, own, other in (
        (doors["us"], tomas, mira),
        (doors["eu"], mira, tomas),
        (doors["eu"], tomas, mira),
    ):
        answer = await asked.ask(OF_OTHER, own, id=other.id)
        assert answer["data"]["user"] is None
        assert {e["extensions"]["code"] for e in answer["errors"]} <= {"NOT_FOUND", "FORBIDDEN_FIELD"}
        literal = await asked.ask(OF_OTHER.replace("($id: ID!)", "").replace("$id", f'"{other.id}"'), own)
        assert literal["data"]["user"] is None
        invited = await asked.ask(INVITE, own, input={"coachId": other.id, "scopes": ["TRAINING_READ"]})
        assert invited["errors"]

    for name, server in clusters.items():
        other = "us" if name == "eu" else "eu"
        told = statements(server)
        own_words = [people[name].id, people[name].handle, people[name].email, people[name].name]
        assert [word for word in own_words if word not in told] == []  # the hunt can find something
        assert [word for word in people[other].words if word in told] == []
    kept = {name: platform.stores.blobs for name, platform in regions.platforms.items()}
    assert len([key async for key in kept["eu"].list_keys()]) == 1
    assert [key async for key in kept["us"].list_keys()] == []
    stores = await regions.stores_of(mira.id)
    assert stores is regions.platforms["eu"].stores
    for door in doors.values():
        await door.http.aclose()


class Recorder:
    """A subgraph that answers each representation with its key."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        self.calls.append(variables)
        names = [name for name in ("a", "b") if name in variables]
        found = {name: [{"id": each["id"]} for each in variables[name]] for name in names}
        errors = [{"message": "x", "path": [name, at]} for name in names for at in range(len(found[name]))]
        return {"data": {"x": 1, **found}, "errors": errors}

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        self.calls.append(variables)
        yield {"data": {"x": 1}}


@pytest.fixture
async def homes(tmp_path: Path) -> AsyncIterator[Homes]:
    directory = RegionDirectory(open_relational(f"sqlite:///{tmp_path}/directory.db"), b"k" * 32)
    await directory.open()
    await directory.settle("eu", ["mira", "lind", "@mira"])
    await directory.settle("us", ["tomas", "@tomas"])
    yield Homes(directory, "eu")
    await directory.close()


ENTITIES = """query($a: [_Any!]!, $b: [_Any!]!) {
  a: _entities(representations: $a) { id } b: _entities(representations: $b) { id } x
}"""


def representations(*keys: str) -> list[dict[str, str]]:
    return [{"__typename": "User", "id": key} for key in keys]


async def test_entities_of_people_elsewhere_are_null_with_one_error_each_and_are_not_asked_for(
    homes: Homes,
) -> None:
    near, far = Recorder(), Recorder()
    subgraph = RegionalSubgraph({"eu": near, "us": far}, homes)
    asked = {"a": representations("tomas", "mira", "unknown", "tomas"), "b": representations("lind")}
    answer = await subgraph.execute(ENTITIES, asked, None, Subject(id="mira"))
    assert answer["data"]["a"] == [None, {"id": "mira"}, {"id": "unknown"}, None]
    assert answer["data"]["b"] == [{"id": "lind"}]
    codes = [(e.get("extensions", {}).get("code"), e["path"]) for e in answer["errors"]]
    assert codes == [
        (None, ["a", 1]),
        (None, ["a", 2]),
        (None, ["b", 0]),
        ("NOT_FOUND", ["a", 0]),
        ("NOT_FOUND", ["a", 3]),
    ]
    assert near.calls == [{"a": representations("mira", "unknown"), "b": representations("lind")}]
    assert far.calls == []
    assert asked["a"][0]["id"] == "tomas"  # what was given is left as it is


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query($id: ID!) { user(id: $id) { id } }", {"id": "tomas"}),
        ('{ user(id: "tomas") { id } }', {}),
        ('{ user(id: """tomas""") { id } }', {}),
        ('{ user(id: "t\\u006fmas") { id } }', {}),
        ("mutation($i: I!) { invite(input: $i) }", {"i": {"deep": [{"coachId": "tomas"}]}}),
    ],
)
async def test_a_call_that_names_somebody_elsewhere_reaches_no_region(
    homes: Homes, query: str, variables: dict[str, Any]
) -> None:
    near, far = Recorder(), Recorder()
    subgraph = RegionalSubgraph({"eu": near, "us": far}, homes)
    answer = await subgraph.execute(query, variables, None, Subject(id="mira"))
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]
    events = [event async for event in subgraph.subscribe(query, variables, None, Subject(id="mira"))]
    assert [event["errors"][0]["extensions"]["code"] for event in events] == ["NOT_FOUND"]
    assert near.calls == far.calls == []


async def test_who_has_no_name_is_served_at_home_or_where_the_one_is_whom_they_name(homes: Homes) -> None:
    near, far = Recorder(), Recorder()
    subgraph = RegionalSubgraph({"eu": near, "us": far}, homes)
    await subgraph.execute("{ x }", {}, None, ANONYMOUS)
    assert (len(near.calls), len(far.calls)) == (1, 0)
    await subgraph.execute(
        "mutation($l: L!) { logIn(input: $l) }", {"l": {"login": "Tomas"}}, None, ANONYMOUS
    )
    assert (len(near.calls), len(far.calls)) == (1, 1)
    both = await subgraph.execute('{ a(id: "mira") b(id: "tomas") }', {}, None, ANONYMOUS)
    assert both["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    async for _ in subgraph.subscribe("subscription { x }", {}, None, Subject(id="tomas")):
        assert (len(near.calls), len(far.calls)) == (1, 2)


async def test_a_handle_in_ordinary_words_of_who_is_logged_in_means_nobody(homes: Homes) -> None:
    near = Recorder()
    subgraph = RegionalSubgraph({"eu": near, "us": Recorder()}, homes)
    await subgraph.execute('mutation { rename(name: "@tom") }', {"note": "Tomas"}, None, Subject(id="mira"))
    assert len(near.calls) == 1


async def test_whose_home_is_not_known_yet_is_asked_to_try_again(homes: Homes) -> None:
    near = Recorder()
    subgraph = RegionalSubgraph({"eu": near, "us": Recorder()}, homes)
    answer = await subgraph.execute("{ x }", {}, None, Subject(id="newcomer"))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TRY_AGAIN"]
    await homes.directory.settle("eu", ["newcomer"])
    assert (await subgraph.execute("{ x }", {}, None, Subject(id="newcomer")))["data"] == {"x": 1}


async def test_a_record_of_a_refusal_is_kept_at_home_and_names_nobody_elsewhere(homes: Homes) -> None:
    class Kept:
        def __init__(self) -> None:
            self.accesses: list[Access] = []

        async def keep(self, accesses: Any) -> None:
            self.accesses += accesses

    eu, us = Kept(), Kept()
    touched = tuple(
        Touched(target, "read", "CLINICAL", ("X.y",), False, "none", Outcome.REFUSED)
        for target in ("mira", "tomas")
    )
    access = Access(datetime(2026, 1, 1, tzinfo=UTC), "router", "tomas", None, None, None, "0", touched)
    await RegionalLedger({"eu": eu, "us": us}, homes).keep([access])
    assert eu.accesses == []
    assert [[each.target_id for each in one.touched] for one in us.accesses] == [[None, "tomas"]]


def test_names_are_found_wherever_a_call_may_hold_them() -> None:
    assert names_in('{ a(x: "1\\"2") }', {"b": [{"c": "3"}], "d": 4}) == {'1"2', "3"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"regions": {"eu": {}}}, "need a `home_region`"),
        ({"regions": {"eu": {}}, "home_region": "us"}, "`home_region` is none of `regions`"),
        (
            {"regions": {n: {"vault_url": "postgresql://h/d"} for n in "ab"}, "home_region": "a"},
            "two regions share a `vault_url`",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings(**given)


def test_a_region_has_its_own_stores_and_folder_and_backups(tmp_path: Path) -> None:
    url = SecretStr("postgresql://h/eu")
    regions = {"eu": Region(relational_url=url, backup_safe=Path("safe-eu")), "us": Region()}
    settings = Settings(data_folder=tmp_path, regions=regions, home_region="eu")
    eu, us = settings.of_region("eu"), settings.of_region("us")
    assert (eu.relational_url, us.relational_url) == (url, None)
    assert (eu.backup_safe, us.backup_safe) == (Path("safe-eu"), None)
    assert eu.data_folder != us.data_folder
    assert eu.regions == {}


def test_a_command_works_on_the_one_region_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regions = {"eu": {"relational_url": "postgresql://h/eu", "backup_safe": "safe-eu"}, "us": {}}
    monkeypatch.setenv("STADION_REGIONS", json.dumps(regions))
    monkeypatch.setenv("STADION_HOME_REGION", "us")
    assert settings_with(every_region=True, data_folder=tmp_path).data_folder == tmp_path
    with pytest.raises(typer.Exit):
        settings_with(data_folder=tmp_path)
    assert "name it in `STADION_REGION`, one of `eu`, `us`" in capsys.readouterr().err
    monkeypatch.setenv("STADION_REGION", "eu")
    found = settings_with(data_folder=tmp_path)
    assert found.data_folder == tmp_path / "regions" / "eu"
    assert found.backup_safe == Path("safe-eu")
    assert found.relational_url is not None
    assert found.relational_url.get_secret_value() == "postgresql://h/eu"
