"""The commands of `deploy/kubernetes`, run as they are written: other paths, ports and names alone."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kit_datastores.fresh import new_databases
from tests.kit_deploy.kubernetes import container, of_kind, pods
from tests.kit_platform.client import Caller
from tests.kit_platform.process import ROOT, environment, run_stadion
from tests.servers.absent import absent
from tests.servers.programs import ServerAbsent, free_port
from tests.servers.redis import running_redis

pytestmark = pytest.mark.timeout(240)
REGISTER = "mutation($input: RegisterInput!) { register(input: $input) { user { id } userErrors { code } } }"


@dataclass
class Pod:
    """A pod's program as a process here: its paths lie below `folder`, its ports are free ones."""

    layout: str
    name: str
    folder: Path
    secrets: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)

    def here(self, text: str) -> str:
        """A word of the cluster as it is on this machine."""
        for there, found in {"0.0.0.0": "127.0.0.1", "9090": str(self.metrics), **self.texts}.items():
            text = text.replace(there, found)
        text = re.sub(r"\b4000\b", str(self.port), text)
        return re.sub(r"/(etc|var/lib)/stadion", str(self.folder), text)

    def command(self) -> list[str]:
        words = container(pods(self.layout)[self.name])["args"]
        return [sys.executable, "-u", "-m", "deploy", *map(self.here, words)]

    def environment(self) -> dict[str, str]:
        """The ConfigMap's and, of the secrets, what the pod is given."""
        inside = container(pods(self.layout)[self.name])
        settings = of_kind(self.layout, "ConfigMap")["stadion-settings"]["data"]
        given = {name: self.here(value) for name, value in settings.items()}
        named = [each["name"] for each in inside.get("env", [])]
        whole = any("secretRef" in each for each in inside["envFrom"])
        told = {name: value for name, value in self.secrets.items() if whole or name in named}
        return {**environment(), **given, **told}

    def run(self) -> subprocess.CompletedProcess[str]:
        """A job's."""
        return subprocess.run(
            self.command(), cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Until the block ends, as a pod does, within its time."""
        process = subprocess.Popen(
            self.command(), cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield
            process.send_signal(signal.SIGTERM)
            whole_s = pods(self.layout)[self.name]["spec"]["terminationGracePeriodSeconds"]
            assert process.wait(whole_s) == 0
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def answers_its_probes(self) -> None:
        inside = container(pods(self.layout)[self.name])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = inside[probe]["httpGet"]["path"]
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                assert answer.status == 200

    def publishes(self, metric: str) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as answer:
            return bool(re.search(rf"^{metric}(\{{.*\}})? [0-9]", answer.read().decode(), re.MULTILINE))


@pytest.fixture(scope="module")
def secrets(postgresql_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What `stadion-settings` holds."""
    try:
        with new_databases(postgresql_url, count=2) as (rows, vault), running_redis() as redis:
            urls = {"RELATIONAL": rows, "VAULT": vault, "EVENTS": redis.url, "RATE": redis.url}
            blobs = {"STADION_BLOBS_URL": f"file:///{tmp_path_factory.mktemp('blobs')}"}
            named = {f"STADION_{name}_URL": url for name, url in urls.items()}
            yield {**named, **blobs, "STADION_INTERNAL_KEY": "k" * 40}
    except ServerAbsent as why:
        absent(why)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `stadion-keys` holds, as it is mounted: nothing can be added to it."""
    folder = tmp_path_factory.mktemp("secret") / "keys"
    assert run_stadion("keys", "make", str(folder)).returncode == 0
    folder.chmod(0o500)
    return folder


@pytest.fixture
def mounted(tmp_path: Path, keys: Path) -> Path:
    """What a pod finds below `/etc/stadion` and `/var/lib/stadion`."""
    maps = of_kind("federated", "ConfigMap")
    for name in ("supergraph", "router"):
        (tmp_path / name).mkdir()
        for file, text in maps[f"stadion-{name}"]["data"].items():
            (tmp_path / name / file).write_text(text)
    (tmp_path / "policy").mkdir()
    [(file, text)] = next(
        each["data"] for name, each in of_kind("policy", "ConfigMap").items() if "policy" in name
    ).items()
    (tmp_path / "policy" / file).write_text(text)
    (tmp_path / "keys").symlink_to(keys)
    return tmp_path


def test_jobs_and_pods_run_as_they_are_written(mounted: Path, secrets: dict[str, str], keys: Path) -> None:
    made = {file.name: file.read_bytes() for file in keys.iterdir()}
    assert Pod("migrations", "stadion-migrate", mounted, secrets).run().returncode == 0
    applied = Pod("policy", "stadion-policy", mounted, secrets).run()
    assert (applied.returncode, "is in force" in applied.stdout) == (0, True), applied.stderr

    accounts = Pod("federated", "subgraph-accounts", mounted, secrets)
    there = {"subgraph-accounts:4000": f"127.0.0.1:{accounts.port}"}
    router = Pod("federated", "router", mounted, secrets, there)
    settings = mounted / "router" / "router-settings.yaml"
    settings.write_text(settings.read_text().replace(*next(iter(there.items()))))
    with accounts.serving(), router.serving():
        accounts.answers_its_probes()
        router.answers_its_probes()
        [metric] = metrics_of("federated", "router")
        given = {"handle": "kube", "email": "kube@example.org", "password": "long enough for anybody"}
        answer = Caller(f"http://127.0.0.1:{router.port}/graphql").data(REGISTER, input=given)
        assert answer["register"]["userErrors"] == []
        assert router.publishes(metric)

    platform = Pod("platform", "platform", mounted, secrets)
    with platform.serving():
        platform.answers_its_probes()
        [metric] = metrics_of("platform", "platform")
        answer = Caller(f"http://127.0.0.1:{platform.port}/graphql").data(REGISTER, input=given)
        assert [each["code"] for each in answer["register"]["userErrors"]] != []  # the stores are the same
        assert platform.publishes(metric)
    assert {file.name: file.read_bytes() for file in keys.iterdir()} == made


def metrics_of(layout: str, name: str) -> list[str]:
    """What the autoscaler asks a pod's own metrics for."""
    told = of_kind(layout, "HorizontalPodAutoscaler")[name]["spec"]["metrics"]
    return [each["pods"]["metric"]["name"] for each in told if each["type"] == "Pods"]


def test_an_image_has_all_that_the_program_reads(tmp_path: Path) -> None:
    """The Dockerfile's copies and its last installation, in a folder, with the tests' own packages."""
    source, installed = tmp_path / "src", tmp_path / "installed"
    source.mkdir()
    lines = (ROOT / "deploy" / "docker" / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                copy(ROOT / name, source / name)
    [install] = [line for line in lines if line.endswith("--no-build-isolation .")]
    from_here = install.split("pip install ")[1].split()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", installed, *from_here], cwd=source, check=True)
    [words] = re.findall(r'^CMD \["up", (.*)\]$', "\n".join(lines), re.MULTILINE)
    port = free_port()
    options = [*re.findall(r'"([^"]*)"', words), "--port", str(port)]
    command = [sys.executable, "-u", "-m", "deploy", "up", *options]
    given = {**environment(), "PYTHONPATH": str(installed), "STADION_DATA_FOLDER": str(tmp_path / "data")}
    process = subprocess.Popen(command, cwd=tmp_path, env=given, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "Stadion is up" in process.stdout.readline()
        [check] = re.findall(r'CMD \["python", "-c", "(.*)"\]$', "\n".join(lines), re.MULTILINE)
        healthy = [sys.executable, "-c", check.replace("4000", str(port))]
        assert subprocess.run(healthy, check=False).returncode == 0
        assert Caller(f"http://127.0.0.1:{port}/graphql").data("{ __typename }") == {"__typename": "Query"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert subprocess.run(healthy, check=False, stderr=subprocess.DEVNULL).returncode == 1
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def copy(found: Path, target: Path) -> None:
    """A file or a folder, without what the build leaves out."""
    if found.is_dir():
        shutil.copytree(found, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    else:
        shutil.copy(found, target)


@pytest.mark.nightly
@pytest.mark.timeout(1_200)
def test_the_lock_alone_is_enough_for_the_image(tmp_path: Path) -> None:
    """In an environment of its own, as in the Dockerfile's first stage."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "stadion"], check=True)
    pip = [str(tmp_path / "stadion" / "bin" / "pip"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    source = tmp_path / "src"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, source / name)
    for name in ("authz", "clients", "datastores", "deploy", "router", "schema", "subgraphs"):
        copy(ROOT / name, source / name)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "."], cwd=source, check=True)
    given = {**environment(), "STADION_DATA_FOLDER": str(tmp_path / "data")}
    given.pop("PYTHONPATH", None)
    outcome = subprocess.run(
        [tmp_path / "stadion" / "bin" / "stadion", "migrate", "up"], env=given, cwd=tmp_path, check=False
    )
    assert (outcome.returncode, (tmp_path / "data").is_dir()) == (0, True)
