"""What is secret lies nowhere but where it belongs: not in the audit log, events, facts, logs, metrics or
files, nor open in the vault or a backup; also not after every role has asked, and stores have failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import text

from authz.identity.subject import ANONYMOUS
from datastores.backup.safe import Safe
from deploy.backup import back_up, opened_repository
from deploy.telemetry import JsonLines, metrics_registry
from router.errors import ClientError
from tests.platform.conftest import Seeded, subject_of
from tests.platform.test_escape_hunt import CANARIES, SHORTEST, found_in, texts

ROLES = ("mira", "tomas", "lind", "okafor", "noor", "ada", "nobody")
READ = """{ user(id: "demo-athlete") {
  email profile(purpose: HOPERAT) { displayName birthDate } clearance { restrictions }
  activities(first: 5) { nodes { name track { polyline } } }
  medicalRecord(purpose: TREAT) { patient { text birthDate } conditions { nodes { text } } } } }"""
# What their owner writes while the store refuses: the statement that fails holds it.
TYPED = {
    "activity": "Canary Ridge at dawn",
    "condition": "Canarial syndrome of the left wing",
    "profile": "Canara Birdsong",
    "password": "canary-in-the-password-7",
}
FAILING = {"training": "training_activities", "profiles": "profiles_profiles", "medical": "medical_resources"}
FHIR = {
    "resourceType": "Condition",
    "id": "canary",
    "subject": {"reference": "Patient/1"},
    "code": {"text": TYPED["condition"]},
}
WRITES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "mutation($i: CreateActivityInput!) { createActivity(input: $i) { activity { id } } }",
        {
            "i": {
                "sport": "RUNNING",
                "name": TYPED["activity"],
                "startedAt": "2025-10-21T06:00:00Z",
                "elapsedS": 1,
            }
        },
    ),
    (
        "mutation($i: UpdateProfileInput!) { updateProfile(input: $i) { profile { version } } }",
        {"i": {"displayName": TYPED["profile"]}},
    ),
    (
        "mutation($i: ImportBundleInput!) { importBundle(input: $i) { result { errorCount } } }",
        {"i": {"userId": "demo-athlete", "purpose": "PATRQT", "json": json.dumps(FHIR)}},
    ),
    (
        "mutation($i: LogInInput!) { logIn(input: $i) { userErrors { code } } }",
        {"i": {"login": "mira", "password": TYPED["password"]}},
    ),
)


def ids_of(value: object) -> Iterator[str]:
    """Every id of ours inside: rows have them beside what is sealed."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from [inner] if name == "id" else ids_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ids_of(inner)


@dataclass(frozen=True)
class Rest:
    """The platform after all of that, its log as a file, and what is looked for by kind."""

    seeded: Seeded
    log: Path
    canaries: Mapping[str, frozenset[str]]

    @property
    def folder(self) -> Path:
        return self.seeded.platform.settings.data_folder

    @property
    def everything(self) -> frozenset[str]:
        return frozenset().union(*self.canaries.values())


@contextmanager
def logged_into(file: Path) -> Iterator[None]:
    """The log as an operator keeps it, every level of it."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


@contextmanager
def refusing_rows(seeded: Seeded) -> Iterator[None]:
    """Stores whose disk says no to each new row, in the words of the database."""
    stores = seeded.platform.stores.rows()
    for name, table in FAILING.items():
        for when in ("INSERT", "UPDATE"):
            refuse = (
                f"CREATE TRIGGER refuse_{when} BEFORE {when} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            seeded.run(stores[name].write(lambda c, refuse=refuse: c.execute(text(refuse)) and None))
    try:
        yield
    finally:
        for name in FAILING:
            for when in ("INSERT", "UPDATE"):
                seeded.run(
                    stores[name].write(lambda c, w=when: c.execute(text(f"DROP TRIGGER refuse_{w}")) and None)
                )


@pytest.fixture(scope="module")
def rest(changing: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Rest:
    mine = changing.ask(CANARIES, subject_of("mira"))["data"]["me"]
    clinical = frozenset(texts(mine["medicalRecord"]))
    clinical -= frozenset(ids_of(mine["medicalRecord"]))
    canaries = {
        "clinical": clinical | {TYPED["condition"]},
        "training": frozenset(
            each["name"]
            for each in mine["activities"]["nodes"]
            if each["name"] and len(each["name"]) >= SHORTEST
        )
        | {TYPED["activity"]},
        "name": frozenset({mine["profile"]["displayName"], TYPED["profile"]}),
        "contact": frozenset({mine["email"]}),
        "password": frozenset({TYPED["password"], "stadion-demo-mira"}),
    }
    log = tmp_path_factory.mktemp("log") / "stadion.log"
    with logged_into(log):
        for handle in ROLES:
            subject = ANONYMOUS if handle == "nobody" else subject_of(handle)
            for over in changing.routers:
                changing.ask(READ, subject, over=over)
        with refusing_rows(changing):
            for query, given in WRITES:
                changing.ask(query, subject_of("mira"), **given)
        with pytest.raises(ClientError):
            changing.ask(f'{{ user(id: "demo-athlete") {{ {TYPED["profile"]} }} }}', subject_of("mira"))
    return Rest(changing, log, canaries)


def bytes_of(folder: Path, *patterns: str) -> dict[str, bytes]:
    """Every byte of the files, with those that SQLite has not folded in yet."""
    found = {}
    for pattern in patterns:
        for file in sorted(folder.rglob(pattern)):
            if file.is_file():
                found[str(file.relative_to(folder))] = file.read_bytes()
    return found


def none_in(files: Mapping[str, bytes], canaries: frozenset[str]) -> None:
    assert files and sum(map(len, files.values())) > 0, "nothing was looked at"
    for name, content in files.items():
        held = [canary for canary in canaries if any(form in content for form in forms(canary))]
        assert held == [], name


def forms(canary: str) -> set[bytes]:
    """As it is, and as JSON writes it."""
    return {canary.encode(), json.dumps(canary)[1:-1].encode()}


def test_what_is_looked_for_is_where_it_belongs(rest: Rest) -> None:
    """The search has eyes: her own rows are found in the stores that own them."""
    own = bytes_of(rest.folder, "accounts.db*", "profiles.db*")
    for canary in ("mira@example.org", "Mira Sandvik"):
        assert any(form in content for content in own.values() for form in forms(canary))


def test_nothing_of_it_is_in_the_audit_log_or_in_what_decides(rest: Rest) -> None:
    none_in(bytes_of(rest.folder, "audit.db*", "facts.db*"), rest.everything)


def test_nothing_of_it_is_in_events_of_any_store(rest: Rest) -> None:
    read = 0
    for name, store in rest.seeded.platform.stores.rows().items():
        rows = rest.seeded.run(
            store.read(lambda c: c.execute(text("SELECT payload FROM outbox")).scalars().all())
        )
        read += len(rows)
        for payload in rows:
            assert found_in(str(payload), rest.everything) == [], name
    assert read > 20


def test_nothing_clinical_is_in_the_clear_in_the_vault_or_any_other_store(rest: Rest) -> None:
    none_in(bytes_of(rest.folder, "*.db*"), rest.canaries["clinical"] | rest.canaries["password"])


def test_nothing_of_other_domains_is_in_files(rest: Rest) -> None:
    none_in(bytes_of(rest.folder / "blobs", "*"), rest.everything - rest.canaries["training"])


def test_nothing_of_it_is_in_the_log_that_is_kept(rest: Rest) -> None:
    content = rest.log.read_text(encoding="utf-8")
    failed = [line for line in content.splitlines() if "error" in json.loads(line)["level"]]
    assert len(failed) >= len(FAILING), "the stores' failures were not logged"
    none_in({"log": rest.log.read_bytes()}, rest.everything)


def test_nothing_of_it_is_in_what_is_counted(rest: Rest) -> None:
    exposed = generate_latest(metrics_registry())
    assert b"stadion_router" in exposed
    none_in({"metrics": exposed}, rest.everything | {"demo-athlete"})


def test_nothing_of_it_is_in_the_clear_in_a_backup(rest: Rest, tmp_path: Path) -> None:
    safe = Safe(tmp_path / "safe")
    url = f"file:///{tmp_path}/backups"

    async def run() -> None:
        async with opened_repository(url, safe, create=True) as repository:
            await back_up(rest.seeded.platform.settings, repository, safe)

    rest.seeded.run(run())
    none_in(bytes_of(tmp_path / "backups", "*"), rest.everything | {"demo-athlete"})


def test_nothing_of_it_is_kept_with_documents_and_plans(rest: Rest) -> None:
    for router in rest.seeded.routers.values():
        graph = router.snapshot
        for key, document in graph.documents.items():
            assert found_in(f"{key} {document.normal}", rest.everything) == []
        for key, compiled in graph.plans.items():
            assert found_in(f"{key} {compiled.plan}", rest.everything) == []
    for subgraph in rest.seeded.platform.subgraphs.values():
        for query in subgraph._documents:
            assert found_in(query, rest.everything) == []
