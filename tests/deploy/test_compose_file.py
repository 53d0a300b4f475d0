"""`deploy/docker`: valid by the Compose Specification, no secret in clear, URLs that open."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from pydantic import SecretStr

from datastores.cache.opening import open_cache
from deploy.settings import Settings
from deploy.stores import stores_of
from tests.servers.absent import absent
from tests.servers.deploy_tools import hadolint
from tests.servers.programs import ServerAbsent

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = json.loads((ROOT / "tests" / "data" / "compose" / "compose-spec.json").read_text())
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:\?[^}]+)?\}")


def test_the_file_is_valid_by_the_compose_specifications_schema() -> None:
    validator = jsonschema_rs.validator_for(SCHEMA)
    assert [f"{each.instance_path}: {each.message}" for each in validator.iter_errors(COMPOSE)] == []
    broken = {**COMPOSE, "services": {"stadion": {"imagge": "x"}}}
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("name", [name for name, each in SERVICES.items() if each.get("restart") != "no"])
def test_every_server_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= check.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_of_one_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+|RELEASE\.\d{4}-\d\d-\d\d", tag)


def test_what_is_waited_for_is_there_and_healthy() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            one_time = SERVICES[other].get("restart") == "no"
            wanted = "service_completed_successfully" if one_time else "service_healthy"
            assert how == {"condition": wanted}


def test_no_secret_is_in_clear_and_none_may_be_left_out() -> None:
    told = set()
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|AUTH|KEY|SECRET", name) and not name.endswith("_FILE"):
                assert VARIABLE.fullmatch(value)
            if "://" in str(value):
                assert re.fullmatch(r"[a-z0-9+]+://[a-z]*:\$\{[A-Z0-9_]+:\?[^}]+\}@.*", value)
            told |= {found[1] for found in VARIABLE.finditer(str(value)) if found[2]}
            assert all(found[2] for found in VARIABLE.finditer(str(value)))
    told |= {secret["environment"] for secret in COMPOSE["secrets"].values()}
    lines = [
        line
        for line in (DOCKER / "stadion.env.example").read_text().splitlines()
        if line[:1] not in ("#", "")
    ]
    assert all(line.endswith("=") for line in lines)
    assert {line[:-1] for line in lines} == told


def test_secrets_that_are_read_are_given() -> None:
    for service in SERVICES.values():
        text = json.dumps(service)
        read = set(re.findall(r"/run/secrets/([a-z0-9_]+)", text))
        assert read == set(service.get("secrets", []))
        assert read <= COMPOSE["secrets"].keys()


def test_only_the_platform_is_reached_from_outside_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"stadion": ["127.0.0.1:4000:4000"]}
    assert COMPOSE["networks"]["stores"] == {"internal": True}


def test_the_platforms_settings_exist_and_its_urls_open_stores_on_servers_of_this_file(
    tmp_path: Path,
) -> None:
    environment = {
        name: VARIABLE.sub("x" * 40, value) for name, value in SERVICES["stadion"]["environment"].items()
    }
    names = {name.removeprefix("STADION_").lower(): value for name, value in environment.items()}
    assert names.keys() <= Settings.model_fields.keys()
    settings = Settings(data_folder=tmp_path, **names)
    stores = stores_of(settings)
    assert stores.series is not None
    assert isinstance(settings.cache_url, SecretStr)
    open_cache(settings.cache_url.get_secret_value())
    hosts = {re.search(r"@([a-z0-9-]+)[:/]", url)[1] for url in names.values() if "@" in url}  # type: ignore[index]
    assert hosts <= SERVICES.keys()
    assert hosts <= SERVICES["stadion"]["depends_on"].keys()


def test_the_dockerfile_installs_from_the_lock_and_runs_as_nobody_special() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert "--no-deps --require-hashes -r requirements.lock" in text
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert "latest" not in text
    copied = [
        line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    named = {name for names in copied for name in names}
    assert all((ROOT / name).exists() for name in named)
    kept = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert named == {line[1:] for line in kept if line.startswith("!")}


def test_the_dockerfile_is_free_of_what_a_linter_of_dockerfiles_finds(tmp_path: Path) -> None:
    try:
        program = hadolint()
    except ServerAbsent as why:
        absent(why)
    checked = subprocess.run(
        [program, "--no-color", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")
    broken = tmp_path / "Dockerfile"
    broken.write_text((DOCKER / "Dockerfile").read_text().replace("WORKDIR /src", "WORKDIR src"))
    told = subprocess.run([program, "--no-color", broken], capture_output=True, text=True, check=False)
    assert (told.returncode, "DL3000" in told.stdout) == (1, True)
