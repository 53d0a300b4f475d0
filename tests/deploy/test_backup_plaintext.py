"""The hunt for plaintext in backups: what went through the vault is in none of them, sealed or open."""

from __future__ import annotations

import base64
from pathlib import Path

import sqlalchemy as sa

from datastores.backup.repository import Repository, chunk_names
from datastores.backup.safe import Safe
from datastores.lifecycle import opened
from deploy.backup import back_up, opened_repository
from deploy.restore import chosen, restore
from deploy.settings import Settings
from deploy.stores import stores_of
from tests.kit_deploy.stores import fill

PATIENT = "demo-athlete"
CANARY = b"CANARY-leukaemia-4711"


def disguises(text: bytes) -> list[bytes]:
    """As a file may hold it: plain, in hex, as UTF-16, reversed, in base64 at each of three alignments."""
    encoded = [base64.b64encode(b"x" * shift + text)[4:-4] for shift in range(3)]
    wide = text.decode().encode("utf-16-le")
    return [text, text.hex().encode(), text.hex().upper().encode(), wide, text[::-1], *encoded]


def found_in(content: bytes, text: bytes) -> bool:
    return any(each in content for each in disguises(text))


async def write_canary(settings: Settings) -> None:
    """In place of a clinical record's content, through the vault."""
    stores = stores_of(settings)
    async with opened({"the vault": stores.vault}):
        first = sa.text("SELECT min(id) FROM medical_resources WHERE patient_id = :whose")
        place = await stores.vault.read(lambda c: c.execute(first, {"whose": PATIENT}).scalar_one())
        context = f"medical_resources.sealed {place}"
        [sealed] = await stores.vault.seal(PATIENT, [(context, CANARY * 50)])
        change = sa.text("UPDATE medical_resources SET sealed = :sealed WHERE id = :id")
        await stores.vault.write(lambda c: c.execute(change, {"sealed": sealed, "id": place}))
        assert await stores.vault.unseal(PATIENT, [(context, sealed)]) == [CANARY * 50]


def content_of(*folders: Path) -> bytes:
    return b"\n".join(file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file())


async def unsealed(repository: Repository) -> bytes:
    """Everything of the newest backup, as who has its key can read it."""
    manifest = await repository.manifest((await repository.backups())[-1])
    chunks = [chunk async for chunk in repository.chunks(sorted(chunk_names(manifest)))]
    return b"\n".join([repr(manifest).encode(), *chunks])


async def test_no_clinical_text_is_in_a_backup_its_safe_or_what_is_restored_from_it(
    tmp_path: Path, seeded_copy: Path
) -> None:
    settings, safe = Settings(data_folder=seeded_copy), Safe(tmp_path / "safe")
    await fill(settings)
    await write_canary(settings)
    new = Settings(data_folder=tmp_path / "new")
    async with opened_repository(f"file:///{tmp_path}/backups", safe, create=True) as repository:
        await back_up(settings, repository, safe)
        opened_content = await unsealed(repository)
        await restore(new, repository, safe, chosen(await repository.backups(), None))
    raw = content_of(tmp_path / "backups", tmp_path / "safe")
    restored = content_of(tmp_path / "new")
    for place in (opened_content, restored):
        assert found_in(place, PATIENT.encode())  # the hunt finds what is there to be found
        assert not found_in(place, CANARY)
    assert len(raw) > 100_000
    for word in (CANARY, PATIENT.encode(), b"series_samples", b"medical_resources"):
        assert not found_in(raw, word)
