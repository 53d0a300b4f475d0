"""Backups of a vault whose master keys are at a key service: rotated, shredded, away."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from datastores.backup.errors import BackupDamaged
from datastores.backup.safe import Safe
from datastores.errors import NotFound, Unavailable
from datastores.lifecycle import opened
from datastores.vault import key_rows
from datastores.vault.keys import FileKeyProvider
from datastores.vault.kms import KmsKeyProvider
from datastores.vault.sealed import _wrap_context
from deploy.backup import back_up, keep_keys, opened_repository, rotate_keys
from deploy.drill import Finding, drill
from deploy.restore import chosen, restore
from deploy.settings import Settings
from deploy.stores import stores_of
from subgraphs.medical.tables import resources
from tests.kit_datastores.kms import KeyService, running_key_service

PATIENT = "demo-athlete"


class Place:
    """A platform with its keys at `service`, its backups, and its safe."""

    def __init__(self, folder: Path, service: KeyService) -> None:
        self.folder, self.service = folder, service
        self.settings = Settings(data_folder=folder / "data", vault_keys_url=SecretStr(service.url))
        self.safe = Safe(folder / "safe")
        self.url = f"file:///{folder}/backups"

    async def back_up(self) -> None:
        async with opened_repository(self.url, self.safe, create=True) as repository:
            await back_up(self.settings, repository, self.safe)

    async def restored(self, name: str, safe: Safe | None = None) -> list[bytes | None]:
        """What the vault opens after a restore into the folder `name`."""
        to = self.settings.model_copy(update={"data_folder": self.folder / name})
        async with opened_repository(self.url, self.safe, create=False) as repository:
            await restore(to, repository, safe or self.safe, chosen(await repository.backups(), None))
        return await clinical(to)

    async def drill(self) -> dict[str, Finding]:
        async with opened_repository(self.url, self.safe, create=False) as repository:
            entry = chosen(await repository.backups(), None)
            found = await drill(self.settings, repository, self.safe, entry)
        return {each.what: each for each in found}


async def clinical(settings: Settings) -> list[bytes | None]:
    """What the vault opens of the demo's patient, None where it does not."""
    vault = stores_of(settings).vault
    query = sa.select(resources.c.patient_id, resources.c.id, resources.c.sealed).order_by(resources.c.id)
    async with opened({"the vault": vault}):
        rows = await vault.read(lambda c: c.execute(query).all())
        sealed = [(row.patient_id, f"medical_resources.sealed {row.id}", row.sealed) for row in rows]
        return await vault.unseal_each(sealed)


async def move_keys_to_service(settings: Settings, service: KeyService) -> None:
    """Every wrap of the file's key becomes one of the service's."""
    old, new = FileKeyProvider(settings.data_folder / "keys" / "vault.json"), KmsKeyProvider(service.url)
    rows = stores_of(settings).vault_rows
    await old.open(create=False)
    await new.open(create=True)
    async with opened({"the vault's rows": rows}):
        found = await rows.read(lambda c: key_rows.wrapped_by_others(c, "", limit=1_000))
        moved = []
        for row in found:
            context = _wrap_context(row.kind, row.name)
            key = await old.unwrap(row.wrapped, context=context)
            moved.append((row, await new.wrap(key, context=context)))
        await rows.write(lambda c: key_rows.replace(c, moved))
    await new.close()
    (settings.data_folder / "keys" / "vault.json").unlink()


@pytest.fixture
async def place(tmp_path: Path, seeded_copy: Path) -> AsyncIterator[Place]:
    assert seeded_copy == tmp_path / "data"
    async with running_key_service() as service:
        made = Place(tmp_path, service)
        await move_keys_to_service(made.settings, service)
        yield made


async def test_a_master_key_may_be_rotated_between_a_backup_and_its_restore(place: Place) -> None:
    before = await clinical(place.settings)
    assert len(before) > 20
    assert None not in before
    await place.back_up()
    old_safe = Safe(Path(shutil.copytree(place.folder / "safe", place.folder / "old safe")))
    first = place.service.current
    assert first is not None
    assert await rotate_keys(place.settings, place.safe) == 2  # the patient's, and that of blind indexes
    assert place.service.keys[first] is None  # destroyed for good
    assert await clinical(place.settings) == before
    assert await place.restored("new") == before
    assert all(each.ok for each in (await place.drill()).values())
    with pytest.raises(NotFound, match="that key-encryption key no longer"):
        await place.restored("with-older-keys", old_safe)  # why the new wraps go into the safe first


async def test_old_master_keys_stay_until_the_safe_has_the_new_wraps(place: Place) -> None:
    await place.back_up()
    first = place.service.current
    assert first is not None
    (place.folder / "safe" / "escrow.sealed").write_text("{")
    with pytest.raises(BackupDamaged, match="cannot be read"):
        await rotate_keys(place.settings, place.safe)
    assert place.service.keys[first] is not None


async def test_an_erased_person_stays_unreadable_over_rotations_and_restores(place: Place) -> None:
    await place.back_up()
    vault = stores_of(place.settings).vault
    async with opened({"the vault": vault}):
        await vault.shred(PATIENT)
    assert await keep_keys(place.settings, place.safe) == 1
    assert await rotate_keys(place.settings, place.safe) == 1  # the destroyed key is wrapped by nothing
    texts = await place.restored("new")
    assert len(texts) > 20
    assert set(texts) == {None}
    found = await place.drill()
    assert [each for each in found.values() if not each.ok] == []
    assert found["erased people stay unreadable"].told.startswith("1 people erased")


async def test_a_backup_needs_no_key_service_and_a_drill_tells_of_one_that_is_away(place: Place) -> None:
    place.service.failing = [403] * 50
    asked = len(place.service.asked)
    await place.back_up()
    assert len(place.service.asked) == asked
    found = await place.drill()
    assert not found["restore"].ok
    assert "refuses: it answered 403" in found["restore"].told
    with pytest.raises(Unavailable):
        await place.restored("new")
    place.service.failing.clear()
    assert None not in await place.restored("newer")
