"""Moving up: a laptop's folder onto servers, broken off and begun again, equal to the last row."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from datastores.documents.opening import open_documents
from datastores.documents.port import Document
from datastores.errors import StoreError, Unavailable
from datastores.folder import DataFolder
from datastores.graph.opening import open_graph
from datastores.lifecycle import opened
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.opening import open_relational
from deploy import copy_command
from deploy.assemble import platform
from deploy.copying import copy_folder
from deploy.copying_stores import Copied, copy_store
from deploy.settings import Settings
from deploy.stores import stores_of


class Killed(Exception):
    """The process is gone."""


def killing_after(calls: int) -> Callable[[str, int], None]:
    seen: list[str] = []

    def advance(name: str, _count: int) -> None:
        seen.append(name)
        if len(seen) == calls:
            raise Killed(name)

    return advance


@pytest.fixture
def folder(tmp_path: Path, seeded_folder: Path) -> Path:
    return Path(shutil.copytree(seeded_folder, tmp_path / "data"))


def clinical(settings: Settings) -> list[bytes | None]:
    async def read() -> list[bytes | None]:
        vault = stores_of(settings).vault
        query = sa.text("SELECT patient_id, id, sealed FROM medical_resources ORDER BY id")
        async with opened({"the vault": vault}):
            rows = await vault.read(lambda c: c.execute(query).all())
            return await vault.unseal_each(
                [(r.patient_id, f"medical_resources.sealed {r.id}", bytes(r.sealed)) for r in rows]
            )

    return asyncio.run(read())


def test_a_folder_goes_onto_servers_however_often_the_copy_is_killed(
    folder: Path, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    first, vault = new_database(), new_database()
    place = {"relational": first, "vault": vault, "blobs": f"file:///{tmp_path}/files"}
    attempts = 0
    copied = None
    while copied is None:
        attempts += 1
        assert attempts < 40
        try:
            copied = asyncio.run(copy_folder(folder, place, advance=killing_after(12)))
        except Killed:
            continue
    assert attempts > 2
    assert copied.files == 3
    assert copied.rows > 500
    assert not list(folder.glob("COPY-*"))

    servers = Settings(data_folder=folder, relational_url=SecretStr(first), vault_url=SecretStr(vault))
    texts = clinical(servers)
    assert texts == clinical(Settings(data_folder=folder))
    assert None not in texts
    with pytest.raises(TargetNotEmpty, match="copy into an empty one"):
        asyncio.run(copy_folder(folder, place))

    async def runs() -> set[str]:
        async with platform(servers) as running:
            return set(running.subgraphs)

    assert "medical" in asyncio.run(runs())


def test_a_begun_copy_of_another_folder_is_not_gone_on_with(
    folder: Path, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    target = new_database()
    with pytest.raises(Killed):
        asyncio.run(copy_folder(folder, {"relational": target}, advance=killing_after(1)))
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    with pytest.raises(TargetNotEmpty, match="begun copy of another source"):
        asyncio.run(copy_folder(other, {"relational": target}))


def test_files_that_are_there_already_are_not_mixed_with(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "files" / "kept"
    kept.mkdir(parents=True)
    (kept / "other").write_bytes(b"x")
    url = f"file:///{tmp_path}/files"
    with pytest.raises(TargetNotEmpty, match="has files already"):
        asyncio.run(copy_folder(folder, {"blobs": url}))


def test_a_folder_in_use_is_not_copied(folder: Path, tmp_path: Path) -> None:
    claim = DataFolder(folder)
    claim.claim()
    try:
        with pytest.raises(Unavailable, match="in use by process"):
            asyncio.run(copy_folder(folder, {"blobs": f"file:///{tmp_path}/f"}))
    finally:
        claim.release()


async def test_a_graph_is_copied_and_compared(tmp_path: Path) -> None:
    source_url, target_url = f"sqlite:///{tmp_path}/graph.db", f"sqlite:///{tmp_path}/other.db"
    source, target = open_graph(source_url), open_graph(target_url)
    pairs = [(f"p{at}", f"p{at + 1}") for at in range(450)]
    async with opened({"graph": source}):
        await source.befriend(pairs)
        await source.block([("p1", "p300"), ("p300", "p1"), ("p7", "x")])
    with pytest.raises(Killed):
        await copy_store(source_url, target_url, advance=killing_after(2))
    assert await copy_store(source_url, target_url) == Copied(edges=453)
    async with opened({"graph": target}):
        assert (await target.friends(["p5"]))["p5"] == ("p4", "p6")
        assert (await target.blocked_by(["p300"]))["p300"] == ("p1",)
        await target.befriend([("p5", "stranger")])
    with pytest.raises(TargetNotEmpty, match="has edges already"):
        await copy_store(source_url, target_url)


async def test_documents_are_copied_and_compared(tmp_path: Path) -> None:
    source_url, target_url = f"sqlite:///{tmp_path}/documents.db", f"sqlite:///{tmp_path}/other.db"
    source, target = open_documents(source_url), open_documents(target_url)
    async with opened({"documents": source}):
        for name in ("plans", "notes"):
            await source.insert(name, [Document(f"d{at}", {"n": at, "t": ["ü"]}) for at in range(1200)])
            await source.replace(name, [Document("d7", {"n": 7, "t": ["ü"]}, 1)])
    with pytest.raises(Killed):
        await copy_store(source_url, target_url, advance=killing_after(3))
    assert await copy_store(source_url, target_url) == Copied(documents=2400)
    async with opened({"documents": target}):
        [found] = (await target.get("plans", ["d7"])).values()
        assert found == Document("d7", {"n": 7, "t": ["ü"]}, 2)
        await target.insert("notes", [Document("more", {})])
    with pytest.raises(TargetNotEmpty, match="already, in `notes`"):
        await copy_store(source_url, target_url)


async def test_a_store_that_is_neither_is_told_of(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(StoreError, match="neither series nor a graph nor documents"):
        await copy_store(f"sqlite:///{folder}/accounts.db", f"sqlite:///{tmp_path}/other.db")


def test_what_cannot_be_meant_is_one_line(tmp_path: Path, folder: Path) -> None:
    app = typer.Typer()
    copy_command.register(app)
    app.command(name="other")(lambda: None)
    for arguments, told in (
        (["--from", f"file:///{tmp_path}/no", "--to", "postgresql://h/d"], "is no data folder of Stadion"),
        (["--from", f"file:///{folder}"], "say where to"),
        (["--from", f"sqlite:///{folder}/x.db"], "one store is copied to `--to` alone"),
        (["--from", f"file:///{folder}", "--to", "mysql://h/d"], "no relational adapter"),
        (["--from", f"file:///{folder}", "--events-to", "redis://h"], "name `--to` as well"),
    ):
        outcome = CliRunner().invoke(app, ["copy", *arguments])
        assert outcome.exit_code == 1
        assert told in outcome.stderr


def test_a_source_that_is_newer_is_not_copied(folder: Path, new_database: Callable[[], str]) -> None:
    async def make_newer() -> None:
        rows = open_relational(f"sqlite:///{folder}/accounts.db")
        async with opened({"accounts": rows}):
            await rows.write(lambda c: c.execute(sa.text("UPDATE accounts_version SET version_num = 'x'")))

    asyncio.run(make_newer())
    with pytest.raises(StoreError, match="newer version"):
        asyncio.run(copy_folder(folder, {"relational": new_database()}))
