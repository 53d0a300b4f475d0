"""What settings of regions mean, and which cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr, ValidationError

from deploy.settings import Region, Settings, settings_with


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
