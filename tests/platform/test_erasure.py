"""A person erases the account: every domain shreds or deletes what it holds; the audit chain stays sound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo.people import ATHLETE
from tests.platform.conftest import Seeded, seeded_in_thread, subject_of

ERASE = "mutation($input: EraseAccountInput!) { eraseAccount(input: $input) { erased userErrors { code } } }"
LOG = """{ auditLog(first: 100, filter: {targetId: "demo-athlete"}) {
  nodes { actor { id } target { id } } } }"""
CHAIN = "{ verifyChain { intact records } }"
# What only she had. The name of the demo file and her handle are part of nobody else's rows.
HERS = ("Mira Sandvik", "mira@example.org", "demo-athlete")


@pytest.fixture
def erased(tmp_path: Path) -> Iterator[Seeded]:
    with seeded_in_thread(tmp_path) as running:
        yield running


def eventually(platform: Seeded, holds: Callable[[], bool]) -> None:
    async def wait() -> None:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(holds):
                await asyncio.sleep(0.02)

    asyncio.run(wait())


def test_everything_of_an_erased_person_goes_and_the_chain_still_verifies(
    erased: Seeded, tmp_path: Path
) -> None:
    physician, auditor = subject_of("lind"), subject_of("ada")
    read = '{ user(id: "demo-athlete") { medicalRecord(purpose: TREAT) { conditions { totalCount } } } }'
    assert erased.ask(read, physician)["errors"] == []
    eventually(erased, lambda: records_about_her(erased) > 0)
    before = erased.ask(CHAIN, auditor)["data"]["verifyChain"]
    given = {"password": ATHLETE.password}
    answer = erased.ask(ERASE, subject_of("mira"), input=given)
    assert answer["data"]["eraseAccount"] == {"erased": True, "userErrors": []}, answer
    eventually(erased, lambda: all(lag == 0 for lag in lags(erased)))
    eventually(erased, lambda: records_about_her(erased) == 0)
    after = erased.ask(CHAIN, auditor)["data"]["verifyChain"]
    assert after["intact"] is True and after["records"] > before["records"]
    hidden = erased.ask('{ user(id: "demo-athlete") { id } }', auditor)
    assert [error["extensions"]["code"] for error in hidden["errors"]] == ["NOT_FOUND"]
    assert erased.ask("{ me { athletes { totalCount } } }", subject_of("tomas"))["errors"] == []
    assert erased.ask("{ patientsInMyCare { id } }", physician)["data"]["patientsInMyCare"] == []
    assert list((tmp_path / "blobs").rglob("*.fit")) == [] and blobs_of(tmp_path) == []
    # A destroyed key stays destroyed, and her tokens refused; neither says who she was.
    left = {"medical.vault_keys", "facts.authz_revocations"}
    assert rows_that_name_her(erased).keys() <= left


def lags(platform: Seeded) -> list[int]:
    groups = (
        "profiles",
        "medical",
        "training",
        "audit",
        "erased-facts",
        "erased-stores",
        "authorization-facts",
    )
    events = platform.platform.stores.events
    return [platform.run(events.lag(group)) for group in groups]


def records_about_her(platform: Seeded) -> int:
    """Records that still say it was her, for who may read them all."""
    nodes = platform.ask(LOG, subject_of("ada"))["data"]["auditLog"]["nodes"]
    return sum({"id": "demo-athlete"} in (node["actor"], node["target"]) for node in nodes)


def blobs_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file() and "demo-athlete" in str(path)]


def rows_that_name_her(platform: Seeded) -> dict[str, int]:
    """Tables of domains with a row that names her, but for the outbox, whose events expire."""
    stores = platform.platform.stores
    found: dict[str, int] = {}
    for name, store in {**stores.relational, "medical": stores.vault, "facts": stores.facts_rows}.items():
        for table, count in platform.run(store.read(naming)).items():
            if count:
                found[f"{name}.{table}"] = count
    return found


def naming(connection: object) -> dict[str, int]:
    import sqlalchemy as sa

    counts: dict[str, int] = {}
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        if "outbox" in table or "version" in table or "consumed" in table:
            continue
        rows = connection.execute(sa.text(f"SELECT * FROM {table}"))  # type: ignore[attr-defined]
        counts[table] = sum(any(word in str(tuple(row)) for word in HERS) for row in rows)
    return counts
