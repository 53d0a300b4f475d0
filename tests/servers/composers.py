"""Composers and routers of others, from npm, in one node process. Installed once into a cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schema.sources import SubgraphSource
from tests.servers.programs import ServerAbsent, cache_folder

PACKAGES = {
    "@apollo/composition": "2.14.4",
    "@apollo/query-planner": "2.14.4",
    "@theguild/federation-composition": "0.27.0",
    "@wundergraph/composition": "0.55.0",
    "@graphql-tools/federation": "4.5.2",
    "graphql": "16.15.0",
}
HOW_TO_GET_IT = (
    "no composer to compare with here: install node and npm"
    " and run `python -m tests.servers.composers` once, which fetches some"
)
_SCRIPT = Path(__file__).with_suffix(".cjs")
INSTALL_S_MAX = 600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What another composer made of a set: its supergraph and API schema, or codes and messages."""

    sdl: str | None
    api: str | None
    codes: tuple[str, ...]
    messages: tuple[str, ...]
    hints: frozenset[str]

    @property
    def is_crash(self) -> bool:
        """Whether it ended in an exception instead of a report."""
        return self.codes == ("CRASH",)


class Composers:
    """The running process. Composers: apollo, guild, wundergraph; routers: apollo, graphqlTools."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def compose(self, by: str, sets: Sequence[Sequence[SubgraphSource]]) -> list[Outcome]:
        """What that composer makes of each set."""
        plain = [[{"name": s.name, "url": s.url, "sdl": s.sdl} for s in one] for one in sets]
        return [
            Outcome(a["sdl"], a["api"], tuple(a["codes"]), tuple(a["messages"]), frozenset(a["hints"]))
            for a in self._ask({"by": by, "compose": plain})
        ]

    def load(self, by: str, supergraphs: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """The API schema that the router reads from each supergraph, or why it cannot."""
        return [(a["api"], a["error"]) for a in self._ask({"by": by, "load": list(supergraphs)})]

    def _ask(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the composers' process ended")
        found: list[dict[str, Any]] = json.loads(line)
        return found


@contextlib.contextmanager
def running_composers(*, fetch: bool = False) -> Iterator[Composers]:
    """One process until the block ends; packages are installed first where it may `fetch`.

    Errors: ServerAbsent.
    """
    node = shutil.which("node")
    if node is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    environment = {**os.environ, "NODE_PATH": str(_installed(fetch=fetch) / "node_modules")}
    process = subprocess.Popen(
        [node, "--stack-size=4000", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield Composers(process)
    finally:
        process.kill()
        process.communicate()


def _installed(*, fetch: bool) -> Path:
    """The folder of these very versions; filled where it is not there yet."""
    told = json.dumps(PACKAGES, sort_keys=True)
    root = cache_folder("composers")
    folder = root / hashlib.sha256(told.encode()).hexdigest()[:12]
    if (folder / "node_modules").is_dir():
        return folder
    npm = shutil.which("npm")
    if not fetch or npm is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=root))
    (building / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        subprocess.run(
            command, cwd=building, check=True, capture_output=True, text=True, timeout=INSTALL_S_MAX
        )
    except subprocess.SubprocessError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise ServerAbsent(f"{HOW_TO_GET_IT}; npm failed: {getattr(error, 'stderr', error)}") from None
    with contextlib.suppress(OSError):  # another run was faster
        building.rename(folder)
    shutil.rmtree(building, ignore_errors=True)
    return folder


if __name__ == "__main__":
    with running_composers(fetch=True) as composers:
        composers.compose("apollo", [])
    print(f"composers are in {cache_folder('composers')}")
