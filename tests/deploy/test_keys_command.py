"""`stadion keys`: all that an installation needs, so that its processes may only read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from datastores.errors import StoreError
from deploy.assemble import platform
from deploy.demo.people import ATHLETE
from deploy.demo.seed import seed_demo
from deploy.file_links import file_links
from deploy.keys import kept_secret
from deploy.regions import regional_platform
from deploy.settings import Region, Settings
from deploy.transports import internal_secret
from tests.kit_platform.process import run_stadion


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder that the command has made."""
    folder = tmp_path / "keys"
    outcome = run_stadion("keys", "make", str(folder))
    assert (outcome.returncode, "keys are in" in outcome.stdout) == (0, True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def test_a_platform_that_does_all_it_does_makes_no_further_key(keys: Path, tmp_path: Path) -> None:
    made = contents(keys)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in keys.iterdir())
    async with platform(Settings(data_folder=tmp_path / "data", keys_folder=keys)) as running:
        await seed_demo(running, mark=tmp_path / "data" / "DEMO")
        assert internal_secret(running) == made["internal-calls.key"]
        assert file_links(running)
        assert await running.stores.vault.seal(ATHLETE.id, [("a", b"b")])
    assert contents(keys) == made
    assert not (tmp_path / "data" / "keys").exists()


async def test_regions_have_their_keys_below_and_the_directorys_among_the_shared(
    keys: Path, tmp_path: Path
) -> None:
    regions = {"eu": Region(), "us": Region()}
    given = Settings(data_folder=tmp_path / "data", keys_folder=keys, regions=regions, home_region="eu")
    async with regional_platform(given):
        assert not list((tmp_path / "data").rglob("*.key"))
    assert {entry.name for entry in keys.iterdir() if entry.is_dir()} == {"eu", "us"}


def test_existing_keys_are_never_replaced(keys: Path) -> None:
    made = contents(keys)
    outcome = run_stadion("keys", "make", str(keys))
    assert (outcome.returncode, "is not empty" in outcome.stderr) == (1, True)
    assert contents(keys) == made


def test_a_further_key_for_tokens_joins_the_ones_before(keys: Path) -> None:
    made = set(contents(keys))
    outcome = run_stadion("keys", "sign-anew", str(keys))
    assert outcome.returncode == 0
    [added] = set(contents(keys)) - made
    assert added.removeprefix("signing-").removesuffix(".jwk") in outcome.stdout
    outcome = run_stadion("keys", "sign-anew", str(keys.parent))
    assert (outcome.returncode, "has no key" in outcome.stderr) == (1, True)


def test_a_key_that_is_missing_where_none_can_be_made_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="`stadion keys make` makes all"):
        kept_secret(tmp_path, "cursors")


def test_settings_of_a_region_name_its_own_keys(tmp_path: Path) -> None:
    url = SecretStr("postgresql+asyncpg://a:b@c/d")
    given = Settings(keys_folder=tmp_path, regions={"eu": Region(relational_url=url)}, home_region="eu")
    assert given.of_region("eu").keys_path == tmp_path / "eu"
    assert Settings(data_folder=tmp_path).keys_path == tmp_path / "keys"
