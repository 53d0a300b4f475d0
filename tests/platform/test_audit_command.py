"""`stadion audit verify`: what an operator reads of a sound log, of a damaged one, and of one put back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from datastores.relational.opening import open_relational
from deploy import audit_command
from deploy.keys import kept_secret
from subgraphs.audit.model import Seal
from tests.kit_subgraphs.audit import Office, open_office


def verify(data: Path, *words: str) -> tuple[int, str]:
    app = typer.Typer()
    audit_command.register(app)
    result = CliRunner().invoke(app, ["audit", "verify", "--data", str(data), *words])
    return result.exit_code, result.output


def with_log(data: Path, work: Callable[[Office], Awaitable[None]], *, prepared: bool = True) -> None:
    async def run() -> None:
        store = open_relational(f"sqlite:///{data}/audit.db")
        await store.open()
        office = await open_office(store, prepared=prepared)
        seal = Seal(kept_secret(data / "keys", "audit-seal"))
        office.log = type(office.log)(store, office.log.pseudonyms, seal, office.log.now)
        await work(office)
        await store.close()

    asyncio.run(run())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with_log(tmp_path, lambda office: office.fill(130), prepared=False)
    return tmp_path


def test_a_sound_log_is_said_to_be_intact_with_a_word_to_keep(data: Path) -> None:
    code, output = verify(data)
    lines = output.splitlines()
    assert code == 0 and lines[0] == "130 records, 1 checkpoints: intact"
    noted = lines[1].removeprefix("note ")
    assert verify(data, "--noted", noted)[0] == 0


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE audit_records SET decision = 'deny' WHERE number = 17", "record 17: "),
        ("DELETE FROM audit_records WHERE number BETWEEN 40 AND 44", "record 40: removed, with all up to 44"),
        ("DELETE FROM audit_records WHERE number > 128", "record 129: removed"),
    ],
)
def test_damage_is_named_and_the_exit_code_is_1(data: Path, statement: str, told: str) -> None:
    with_log(data, lambda office: office.tamper(statement))
    code, output = verify(data)
    assert code == 1 and told in output and "intact" not in output


def test_a_log_that_was_put_back_as_a_whole_contradicts_what_was_noted(data: Path) -> None:
    shutil.copy(data / "audit.db", data / "older.db")
    with_log(data, lambda office: office.fill(200))
    noted = verify(data)[1].splitlines()[1].removeprefix("note ")
    for rest in data.glob("audit.db*"):
        rest.unlink()
    shutil.copy(data / "older.db", data / "audit.db")
    assert verify(data)[0] == 0  # the older state is sound in itself
    code, output = verify(data, "--noted", noted)
    assert code == 1 and "is gone: the log was replaced" in output


def test_a_note_that_is_none_is_one_line(data: Path) -> None:
    code, output = verify(data, "--noted", "yesterday")
    assert code == 1 and "`--noted` is `NUMBER:HASH`" in output
