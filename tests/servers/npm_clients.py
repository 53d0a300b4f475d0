"""GraphQL clients from npm, by a lock file, once in the cache: `python -m tests.servers.npm_clients`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers.programs import ServerAbsent, cache_folder

PACKAGE = Path(__file__).resolve().parents[1] / "kit_edge" / "npm"
FILES = ("package.json", "package-lock.json")
INSTALL_S_MAX = 300


def npm_clients(*, fetch: bool = False) -> Path:
    """The folder whose `node_modules` has the clients. Only with `fetch` is anything installed.

    Errors: ServerAbsent with what is missing.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise ServerAbsent("no Node here (Debian: `apt-get install nodejs npm`)")
    lock = b"".join((PACKAGE / name).read_bytes() for name in FILES)
    folder = cache_folder("npm") / hashlib.sha256(lock).hexdigest()[:12]
    done = folder / "installed"
    if done.exists():
        return folder
    if not fetch:
        raise ServerAbsent("the clients are not installed: run `python -m tests.servers.npm_clients`")
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(PACKAGE / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_S_MAX)
    done.touch()
    return folder


if __name__ == "__main__":
    try:
        npm_clients(fetch=True)
    except (ServerAbsent, subprocess.SubprocessError) as why:
        sys.exit(str(why))
