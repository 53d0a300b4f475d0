"""Who keeps the key-encryption keys: a private file, or a service that may be slow or wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from datastores.config import StoreUrlProblem
from datastores.errors import NotFound, StoreError, Unavailable
from datastores.relational.port import Relational
from datastores.relational.sqlite import SqliteRelational
from datastores.vault.keys import FileKeyProvider
from datastores.vault.kms import KmsKeyProvider, KmsLimits
from datastores.vault.opening import open_keys
from datastores.vault.sealed import SealedVault
from tests.kit_datastores.kms import KeyService, running_key_service

QUICK = KmsLimits(answer_timeout_s=0.2, backoff_first_s=0.001, backoff_max_s=0.01)
KEY = bytes(range(32))


def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "vault.json"


@pytest.fixture
def rows(tmp_path: Path) -> Relational:
    return SqliteRelational(tmp_path / "vault.db")


async def reopened(rows: Relational, tmp_path: Path) -> SealedVault:
    vault = SealedVault(rows, FileKeyProvider(key_file(tmp_path)))
    await vault.open()
    return vault


@pytest.fixture
async def vault(rows: Relational, tmp_path: Path) -> AsyncIterator[SealedVault]:
    vault = await reopened(rows, tmp_path)
    yield vault
    await vault.close()


async def test_the_key_file_is_private(vault: SealedVault, tmp_path: Path) -> None:
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600


async def test_a_key_file_that_others_may_read_is_refused(
    vault: SealedVault, rows: Relational, tmp_path: Path
) -> None:
    await vault.close()
    key_file(tmp_path).chmod(0o640)
    with pytest.raises(StoreError, match="chmod 600"):
        await reopened(rows, tmp_path)


async def test_a_lost_key_file_is_never_made_anew(
    vault: SealedVault, rows: Relational, tmp_path: Path
) -> None:
    await vault.close()
    key_file(tmp_path).unlink()
    with pytest.raises(NotFound, match="put it back from its backup"):
        await reopened(rows, tmp_path)
    assert not key_file(tmp_path).exists()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"version": 1, "current": "a", "keys": {"a": "AA=="}}', "[1]"]
)
async def test_a_damaged_key_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="key file"):
        await FileKeyProvider(path).open(create=True)
    assert path.read_text() == content


async def test_after_a_rotation_the_file_holds_the_new_key_alone(vault: SealedVault, tmp_path: Path) -> None:
    before = json.loads(key_file(tmp_path).read_text())["current"]
    await vault.seal("ann", [("c", b"x")])
    await vault.rotate()
    document = json.loads(key_file(tmp_path).read_text())
    assert before != document["current"]
    assert list(document["keys"]) == [document["current"]]


@pytest.fixture
async def service() -> AsyncIterator[KeyService]:
    async with running_key_service() as running:
        yield running


@pytest.fixture
async def keys(service: KeyService) -> AsyncIterator[KmsKeyProvider]:
    keys = KmsKeyProvider(service.url, limits=QUICK)
    await keys.open(create=True)
    yield keys
    await keys.close()


async def test_a_failing_service_is_asked_again(service: KeyService, keys: KmsKeyProvider) -> None:
    service.failing = [503, 500, 429]
    wrapped = await keys.wrap(KEY, context=b"c")
    service.failing = [502]
    assert await keys.unwrap(wrapped, context=b"c") == KEY


async def test_a_service_that_goes_on_failing_is_unavailable_and_its_text_is_not_told(
    service: KeyService, keys: KmsKeyProvider
) -> None:
    service.failing = [500] * 4
    with pytest.raises(Unavailable, match="it answered 500") as told:
        await keys.wrap(KEY, context=b"c")
    assert service.token not in str(told.value)
    assert "internal detail" not in str(told.value)
    assert service.failing == []


async def test_a_new_key_is_asked_for_once_whatever_comes_back(
    service: KeyService, keys: KmsKeyProvider
) -> None:
    service.asked.clear()
    service.failing = [503]
    with pytest.raises(Unavailable):
        await keys.add_key()
    assert service.asked == ["/ring/keys"]


async def test_a_slow_service_is_unavailable_in_time_and_comes_back(
    service: KeyService, keys: KmsKeyProvider
) -> None:
    wrapped = await keys.wrap(KEY, context=b"c")
    service.silent = True
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await keys.unwrap(wrapped, context=b"c")
    service.silent = False
    service.going_on.set()
    assert await keys.unwrap(wrapped, context=b"c") == KEY


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    keys = KmsKeyProvider("kms+http://:SECRET@127.0.0.1:1/ring", limits=QUICK)
    with pytest.raises(Unavailable, match=r"`127.0.0.1:1`") as told:
        await keys.open(create=True)
    assert "SECRET" not in str(told.value)
    await keys.close()
    with pytest.raises(Unavailable, match="not open"):
        await keys.wrap(KEY, context=b"c")


async def test_a_wrong_token_is_unavailable_at_once(service: KeyService) -> None:
    keys = KmsKeyProvider(service.url.replace(service.token, "wrong"), limits=QUICK)
    with pytest.raises(Unavailable, match="refuses"):
        await keys.open(create=True)
    assert len(service.asked) == 1
    await keys.close()


async def test_a_disabled_key_is_unavailable_not_gone_and_opens_when_it_is_enabled(
    service: KeyService, rows: Relational
) -> None:
    vault = SealedVault(rows, KmsKeyProvider(service.url, limits=QUICK))
    await vault.open()
    [sealed] = await vault.seal("ann", [("c", b"text")])
    vault._ciphers.clear()
    assert service.current is not None
    service.disabled.add(service.current)
    with pytest.raises(Unavailable, match="disabled"):
        await vault.unseal("ann", [("c", sealed)])
    with pytest.raises(Unavailable):  # never None: that would say that the patient was erased
        await vault.unseal_each([("ann", "c", sealed)])
    service.disabled.clear()
    assert await vault.unseal_each([("ann", "c", sealed)]) == [b"text"]
    await vault.close()


async def test_a_destroyed_key_is_gone_for_good(service: KeyService, keys: KmsKeyProvider) -> None:
    wrapped = await keys.wrap(KEY, context=b"c")
    with pytest.raises(ValueError, match="current"):
        await keys.retire_key(wrapped.kek_id)
    await keys.add_key()
    await keys.retire_key(wrapped.kek_id)
    await keys.retire_key(wrapped.kek_id)
    with pytest.raises(NotFound):
        await keys.unwrap(wrapped, context=b"c")


async def test_who_did_not_see_a_rotation_goes_on_with_the_new_key(
    service: KeyService, keys: KmsKeyProvider
) -> None:
    other = KmsKeyProvider(service.url, limits=QUICK)
    await other.open(create=False)
    old = other.current_kek_id
    await keys.add_key()
    await keys.retire_key(old)
    assert (await other.wrap(KEY, context=b"c")).kek_id == keys.current_kek_id
    await other.close()


async def test_what_was_wrapped_for_another_context_or_changed_does_not_open(keys: KmsKeyProvider) -> None:
    wrapped = await keys.wrap(KEY, context=b"patient ann")
    with pytest.raises(StoreError, match="tampered"):
        await keys.unwrap(wrapped, context=b"patient bob")


@pytest.mark.parametrize(
    "said", [b'{"plaintext": "QUJD"}', b'{"plaintext": "no base64!"}', b'{"plaintext": 5}', b"{}", b"[]"]
)
async def test_an_answer_that_is_no_data_key_is_refused(
    service: KeyService, keys: KmsKeyProvider, said: bytes
) -> None:
    wrapped = await keys.wrap(KEY, context=b"c")
    service.saying = [said]
    with pytest.raises(StoreError, match="key service"):
        await keys.unwrap(wrapped, context=b"c")


async def test_the_wrong_data_key_opens_nothing(service: KeyService, rows: Relational) -> None:
    vault = SealedVault(rows, KmsKeyProvider(service.url, limits=QUICK))
    await vault.open()
    [sealed] = await vault.seal("ann", [("c", b"text")])
    vault._ciphers.clear()
    service.saying = [b'{"plaintext": "%s"}' % (b"A" * 43 + b"=")]
    with pytest.raises(StoreError, match="tampered"):
        await vault.unseal("ann", [("c", sealed)])
    await vault.close()


async def test_an_empty_ring_under_sealed_rows_is_refused(service: KeyService, rows: Relational) -> None:
    vault = SealedVault(rows, KmsKeyProvider(service.url, limits=QUICK))
    await vault.open()
    await vault.close()
    service.current = None
    with pytest.raises(NotFound, match="empty"):
        await SealedVault(rows, KmsKeyProvider(service.url, limits=QUICK)).open()
    assert service.current is None


async def test_neither_token_nor_key_is_logged(
    service: KeyService, keys: KmsKeyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        service.failing = [503]
        await keys.unwrap(await keys.wrap(KEY, context=b"c"), context=b"c")
    assert service.token not in caplog.text
    assert "AAECAw" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "kms+http://:token@kms.example/ring",
        "kms+https://kms.example/ring",
        "kms+https://:token@kms.example",
        "kms+https://:token@/ring",
        "kms+ftp://:token@kms.example/ring",
        "kms+https://:token@kms.example/ring?a=b",
        "vault://h",
        "file://",
    ],
)
def test_a_url_of_keys_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlProblem) as told:
        open_keys(url)
    assert "token@kms" not in str(told.value)


def test_keys_are_chosen_by_url(tmp_path: Path) -> None:
    assert isinstance(open_keys(f"file:///{tmp_path}/keys.json"), FileKeyProvider)
    assert isinstance(open_keys("kms+https://:token@kms.example/ring"), KmsKeyProvider)
