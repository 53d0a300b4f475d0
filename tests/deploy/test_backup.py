"""Backups of a whole platform: what is restored, what is refused, and who stays erased."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from authz.trail import TOPIC, Access, Outcome, Touched
from datastores.backup.errors import BackupDamaged
from datastores.backup.retention import Pruned, Retention, prune
from datastores.backup.safe import Safe
from datastores.blobs.files import FileBlobs
from datastores.config import StoreUrlProblem
from datastores.errors import NotFound, StoreError, Unavailable
from datastores.events.outbox import new_event
from datastores.lifecycle import opened
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.port import Relational
from deploy import backup as backup_module
from deploy import backup_command
from deploy.assemble import Platform, platform
from deploy.backup import alone_at, back_up, back_up_cluster, keep_keys, opened_repository
from deploy.drill import drill
from deploy.restore import chosen, restore
from deploy.settings import Settings
from deploy.stores import SUBGRAPHS, stores_of
from subgraphs.audit.events import AuditLog, consumer
from subgraphs.audit.model import Pseudonyms, Seal
from subgraphs.audit.store import check_chain
from subgraphs.medical.tables import resources

PATIENT = "demo-athlete"


class Place:
    """A platform's data folder, a repository and a safe beside it."""

    def __init__(self, folder: Path, seeded: Path) -> None:
        self.folder = folder
        self.settings = Settings(data_folder=folder / "data")
        self.safe = Safe(folder / "safe")
        self.url = f"file:///{folder}/backups"
        shutil.copytree(seeded, folder / "data")

    async def back_up(self, **options: bool) -> str:
        async with opened_repository(self.url, self.safe, create=True) as repository:
            return (await back_up(self.settings, repository, self.safe, **options)).backup_id

    async def restore(self, to: Settings, backup_id: str | None = None) -> None:
        async with opened_repository(self.url, self.safe, create=False) as repository:
            await restore(to, repository, self.safe, chosen(await repository.backups(), backup_id))

    async def drill(self, backup_id: str | None = None, *servers: str) -> dict[str, tuple[bool, str]]:
        async with opened_repository(self.url, self.safe, create=False) as repository:
            entry = chosen(await repository.backups(), backup_id)
            found = await drill(self.settings, repository, self.safe, entry, servers=servers)
            last = (await repository.catalogue())[-1]
            assert (last.kind, last.ok) == ("drill", all(each.ok for each in found))
            return {each.what: (each.ok, each.told) for each in found}


@pytest.fixture
def place(tmp_path: Path, seeded_folder: Path) -> Place:
    return Place(tmp_path, seeded_folder)


async def clinical(settings: Settings) -> list[bytes | None]:
    """What the vault opens of the demo's patient, None where it does not."""
    stores = stores_of(settings)
    query = sa.select(resources.c.patient_id, resources.c.id, resources.c.sealed)
    async with opened({"the vault": stores.vault}):
        rows = await stores.vault.read(lambda c: c.execute(query.order_by(resources.c.id)).all())
        sealed = [(row.patient_id, f"medical_resources.sealed {row.id}", row.sealed) for row in rows]
        return await stores.vault.unseal_each(sealed)


async def shred(settings: Settings) -> None:
    stores = stores_of(settings)
    async with opened({"the vault": stores.vault}):
        await stores.vault.shred(PATIENT)


async def test_a_restored_platform_has_everything_and_opens_it(place: Place) -> None:
    await place.back_up()
    new = Settings(data_folder=place.folder / "new")
    await place.restore(new)
    texts = await clinical(new)
    assert texts == await clinical(place.settings)
    assert None not in texts
    assert len(texts) > 20
    files = FileBlobs(place.folder / "new" / "blobs")
    assert len([key async for key in files.list_keys()]) == 3
    async with platform(new) as running:
        assert set(running.subgraphs) == set(SUBGRAPHS)
    assert (place.folder / "new" / "DEMO").exists()
    keys = place.folder / "new" / "keys"
    assert keys.stat().st_mode & 0o077 == 0
    assert {file.stat().st_mode & 0o077 for file in keys.iterdir()} == {0}


async def test_a_second_backup_costs_almost_nothing_and_reads_no_file_again(place: Place) -> None:
    seen: list[str] = []
    await place.back_up()
    async with opened_repository(place.url, place.safe, create=True) as repository:
        entry = await back_up(
            place.settings, repository, place.safe, advance=lambda name, _count: seen.append(name)
        )
        [first, second] = await repository.backups()
    assert entry == second
    assert first.bytes_added > 100_000
    assert second.bytes_added == 0
    assert (first.rows, first.blobs) == (second.rows, second.blobs)
    assert seen.count("files") == 3  # one line a file that is known


async def test_backups_hold_no_key_and_no_clinical_or_personal_word(place: Place) -> None:
    await place.back_up()
    keys = [file.read_bytes() for file in (place.folder / "data" / "keys").iterdir()]
    wrapped = await wrapped_keys(place.settings)
    assert wrapped
    words = [b"demo-athlete", b"mira", b"Observation", b"vault_keys", *keys, *wrapped]
    files = [file for file in (place.folder / "backups").rglob("*") if file.is_file()]
    for file in files:
        content = file.read_bytes()
        assert not [word for word in words if word in content], file
    async with opened_repository(place.url, place.safe, create=False) as repository:
        manifest = await repository.manifest((await repository.backups())[-1])
        tables = {table["name"] for store in manifest["stores"].values() for table in store["tables"]}
        assert "medical_resources" in tables
        assert not tables & {"vault_keys", "vault_secrets"}
        chunks = [
            name for store in manifest["stores"].values() for t in store["tables"] for name in t["chunks"]
        ]
        content = b"".join([chunk async for chunk in repository.chunks(chunks)])
    assert b"demo-athlete" in content  # the hunt can find something
    assert not [key for key in wrapped if base64.b64encode(key) in content]


async def wrapped_keys(settings: Settings) -> list[bytes]:
    rows = stores_of(settings).vault_rows
    async with opened({"vault": rows}):
        query = sa.text("SELECT wrapped FROM vault_keys UNION SELECT wrapped FROM vault_secrets")
        return [bytes(one) for one in await rows.read(lambda c: c.execute(query).scalars().all())]


async def test_who_was_erased_stays_erased_even_from_an_older_backup(place: Place) -> None:
    older = await place.back_up()
    await shred(place.settings)
    assert await keep_keys(place.settings, place.safe) == 1
    new = Settings(data_folder=place.folder / "new")
    await place.restore(new, older)
    texts = await clinical(new)
    assert len(texts) > 20
    assert set(texts) == {None}
    vault = stores_of(new).vault
    async with opened({"the vault": vault}):
        with pytest.raises(NotFound, match="destroyed"):
            await vault.seal(PATIENT, [("x", b"a second key is never made")])
    found = await place.drill(older)
    told = f"1 people erased, {len(texts)} sealed values tried, 0 opened"
    assert found["erased people stay unreadable"] == (True, told)


async def test_a_restored_older_state_does_not_bring_a_key_back_into_the_safe(place: Place) -> None:
    """The tombstones outlive the store that they come from."""
    await place.back_up()
    shutil.copytree(place.folder / "data", place.folder / "older")
    await shred(place.settings)
    await keep_keys(place.settings, place.safe)
    await keep_keys(Settings(data_folder=place.folder / "older"), place.safe)
    kept = (await place.safe.take()).vault
    assert set(kept.shredded) == {PATIENT}
    assert PATIENT not in kept.patients


async def test_an_older_backup_does_not_bring_an_erased_person_back(place: Place) -> None:
    """At once out of accounts and out of the names of the audit log; out of the rest at the first start."""
    async with platform(place.settings) as running:
        await record_something(running)
    await place.back_up()
    await shred(place.settings)
    await keep_keys(place.settings, place.safe)
    new = Settings(data_folder=place.folder / "new")
    await place.restore(new)
    stores = stores_of(new)
    async with opened(stores.rows_in_order()):
        seal = Seal((place.folder / "data" / "keys" / "audit-seal.key").read_bytes())
        report = await stores.relational["audit"].read(lambda c: check_chain(c, seal))
        assert (report.records, report.damages) == (1, ())
        assert await ids(stores.relational["audit"], "user_id FROM audit_subjects") == {"demo-physician"}
        assert PATIENT not in await ids(stores.relational["accounts"], "id FROM accounts_users")
        assert PATIENT in await ids(stores.relational["profiles"], "user_id FROM profiles_profiles")
    async with platform(new) as running:
        for group in ("profiles", "medical", "training"):
            while await running.stores.events.lag(group):
                await asyncio.sleep(0.01)
        rows = running.stores.relational
        assert PATIENT not in await ids(rows["profiles"], "user_id FROM profiles_profiles")
        assert PATIENT not in await ids(rows["training"], "athlete_id FROM training_activities")


async def ids(store: Relational, what: str) -> set[str]:
    return await store.read(lambda c: set(c.execute(sa.text(f"SELECT {what}")).scalars()))


async def record_something(running: Platform) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    seen = Touched(
        PATIENT, "read", "CLINICAL", ("MedicalRecord.conditions",), True, "treating", Outcome.SHOWN
    )
    access = Access(at, "medical", "demo-physician", None, None, None, "0" * 32, (seen,))
    log = AuditLog(
        relational=running.stores.relational["audit"],
        pseudonyms=Pseudonyms(running.secrets("audit-pseudonyms")),
        seal=Seal(running.secrets("audit-seal")),
        now=lambda: at,
    )
    await consumer(log)(new_event(TOPIC, key=PATIENT, payload=access.as_payload()))


async def test_the_drill_finds_a_broken_chain_of_the_audit_log(place: Place) -> None:
    async with platform(place.settings) as running:
        await record_something(running)
        await running.stores.relational["audit"].write(tamper)
    await place.back_up()
    ok, told = (await place.drill())["audit chain"]
    assert not ok
    assert "record 1" in told


def tamper(connection: sa.Connection) -> None:
    connection.execute(sa.text("DROP TRIGGER audit_records_no_update"))
    connection.execute(sa.text("UPDATE audit_records SET actor = target"))


async def test_the_drill_finds_keys_that_do_not_open(place: Place) -> None:
    await place.back_up()
    escrow = await place.safe.take()
    [key] = escrow.vault.patients.values()
    wrong = type(key)(key.kek_id, key.wrapped[:-1] + bytes([key.wrapped[-1] ^ 1]))
    mixed = type(escrow.vault)({PATIENT: wrong}, escrow.vault.secrets, escrow.vault.made, {})
    await place.safe.put(type(escrow)(escrow.files, mixed))
    ok, told = (await place.drill())["restore"]
    assert not ok
    assert "tampered" in told


@pytest.mark.parametrize("kind", ["chunks", "backups"])
async def test_damage_of_any_part_is_refused_and_nothing_is_left(place: Place, kind: str) -> None:
    await place.back_up()
    for file in (place.folder / "backups" / "kept" / kind).rglob("*"):
        if file.is_file():
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    before = sorted(place.folder.iterdir())
    with pytest.raises(BackupDamaged):
        await place.restore(Settings(data_folder=place.folder / "new"))
    assert sorted(place.folder.iterdir()) == before
    if kind == "chunks":
        assert not (await place.drill())["restore"][0]


async def test_a_lost_or_damaged_safe_is_told_of(place: Place) -> None:
    await place.back_up()
    escrow = place.folder / "safe" / "escrow.sealed"
    document = json.loads(escrow.read_text())
    escrow.write_text(json.dumps({**document, "sealed": document["sealed"][::-1]}))
    with pytest.raises(BackupDamaged, match=r"escrow .* is damaged"):
        await place.restore(Settings(data_folder=place.folder / "new"))
    escrow.unlink()
    with pytest.raises(NotFound, match="without it nothing clinical can be read"):
        await place.restore(Settings(data_folder=place.folder / "new"))


async def test_a_folder_that_is_in_use_or_full_is_not_restored_into(place: Place) -> None:
    await place.back_up()
    with pytest.raises(TargetNotEmpty, match="is not empty: restore into a new one"):
        await place.restore(place.settings)


async def test_one_backup_at_a_time(place: Place) -> None:
    with (
        alone_at(place.folder / "safe"),
        pytest.raises(Unavailable, match="another backup is running"),
        alone_at(place.folder / "safe"),
    ):
        pass


async def test_a_backup_that_fails_is_in_the_catalogue_and_never_restored(place: Place) -> None:
    first = await place.back_up()
    (place.folder / "data" / "training.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreError):
        await place.back_up()
    async with opened_repository(place.url, place.safe, create=False) as repository:
        [_, failed] = await repository.catalogue()
        assert not failed.ok
        assert "training.db" in failed.told
        assert [each.backup_id for each in await repository.backups()] == [first]


async def test_only_the_newest_are_kept_and_they_stay_whole(place: Place) -> None:
    kept = [await place.back_up() for _ in range(2)]
    async with opened_repository(place.url, place.safe, create=False) as repository:
        assert await prune(repository, Retention(backups=1), at_utc=datetime.now(UTC)) == Pruned(backups=1)
        assert [each.backup_id for each in await repository.backups()] == kept[1:]
        with pytest.raises(NotFound, match=f"there is no backup `{kept[0]}`: the newest is `{kept[1]}`"):
            chosen(await repository.backups(), kept[0])
    assert all(ok for ok, _ in (await place.drill()).values())


def test_the_command_prunes_and_rotates_beside_the_platform(place: Place) -> None:
    app = typer.Typer()
    backup_command.register(app)
    app.command(name="other")(lambda: None)
    where = [
        "--into",
        place.url,
        "--safe",
        str(place.folder / "safe"),
        "--data",
        str(place.settings.data_folder),
    ]

    def run(*options: str) -> str:
        outcome = CliRunner().invoke(app, ["backup", *where, *options])
        assert outcome.exit_code == 0, outcome.output
        return outcome.output

    run()
    assert "removed 1 older backups and 0 segments" in run("--keep", "1")
    assert "removed 0 older backups" in run("--prune", "--keep-days", "30")
    assert "2 keys are wrapped by a new master key" in run("--rotate-keys")
    assert "removed 0 older backups" in run("--prune", "--keep", "1")
    assert [line.split()[1] for line in run("--list").splitlines()] == ["backup", "backup", "removed"]
    refused = CliRunner().invoke(app, ["backup", *where, "--prune"])
    assert refused.exit_code == 1
    assert "say what to keep" in refused.output


async def test_a_file_that_is_deleted_meanwhile_is_no_failure(place: Place) -> None:
    class Vanishing(FileBlobs):
        async def list_keys(self):  # type: ignore[no-untyped-def]
            async for key in super().list_keys():
                yield key
            yield "gone/meanwhile"

    stores = stores_of(place.settings)
    vanishing = Vanishing(place.folder / "data" / "blobs")
    async with opened_repository(place.url, place.safe, create=True) as repository:
        object.__setattr__(stores, "blobs", vanishing)
        files = await backup_module._keep_files(stores, repository, {}, lambda _name, _count: None)
    assert len(files) == 3


def test_servers_are_backed_up_and_restored_too(place: Place, new_database: Callable[[], str]) -> None:
    """From the laptop's folder onto servers, from servers into a folder, and a drill on a server."""
    first, vault, throw_away = (new_database() for _ in range(3))
    servers = Settings(
        data_folder=place.folder / "servers",
        relational_url=SecretStr(first),
        vault_url=SecretStr(vault),
    )

    async def run() -> None:
        await place.back_up()
        await place.restore(servers)
        place.settings = servers
        backup_id = await place.back_up(every_file=True)
        found = await place.drill(backup_id, throw_away)
        assert [what for what, (ok, _) in found.items() if not ok] == []
        assert not (await place.drill(backup_id, first))["restore"][0]
        with pytest.raises(TargetNotEmpty):
            await place.restore(servers.model_copy(update={"data_folder": place.folder / "again"}))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("rows", "vault", "told"),
    [
        (None, None, "names no PostgreSQL"),
        ("postgresql://h:5432/a", "postgresql://h/b", "the vault is in the same cluster"),
    ],
)
async def test_a_cluster_is_backed_up_whole_only_without_the_vault(
    place: Place, rows: str | None, vault: str | None, told: str
) -> None:
    urls = {"relational_url": rows and SecretStr(rows), "vault_url": vault and SecretStr(vault)}
    async with opened_repository(place.url, place.safe, create=True) as repository:
        with pytest.raises(StoreUrlProblem, match=told):
            await back_up_cluster(place.settings.model_copy(update=urls), repository)
        assert await repository.catalogue() == []
