"""The platform as six processes: each subgraph by itself and the router before them."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.assemble import platform
from deploy.demo.seed import seed_demo
from deploy.endpoint import published_supergraph
from deploy.settings import Settings
from deploy.stores import SUBGRAPHS
from tests.kit_platform.process import ROOT, environment

KEY = secrets.token_urlsafe(32)
PORT = re.compile(r"port (\d+)|:(\d+)/graphql")


@dataclass(frozen=True)
class Processes:
    """Where each is; `running` are the processes by name."""

    graphql: str
    ports: dict[str, int]
    running: dict[str, subprocess.Popen[str]]


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`stadion …` with its port, once it has printed its one line; stopped at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "deploy", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**environment(), "STADION_INTERNAL_KEY": KEY},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = PORT.search(process.stdout.readline())
        assert found is not None, arguments
        yield process, int(found[1] or found[2])
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


async def seed(folder: Path) -> None:
    async with platform(Settings(data_folder=folder)) as running:
        await seed_demo(running, mark=folder / "DEMO")


@contextmanager
def own_processes(folder: Path) -> Iterator[Processes]:
    """Six processes over one seeded data folder, `folder/data`; they end with the block."""
    data = folder / "data"
    asyncio.run(seed(data))
    with ExitStack() as stack, ThreadPoolExecutor(len(SUBGRAPHS)) as threads:

        def subgraph(name: str) -> tuple[subprocess.Popen[str], int]:
            return stack.enter_context(started("subgraph", name, "--port", "0", "--data", str(data)))

        found = dict(zip(SUBGRAPHS, threads.map(subgraph, SUBGRAPHS), strict=True))
        ports = {name: port for name, (_, port) in found.items()}
        text = published_supergraph()
        for name, port in ports.items():
            text, count = re.subn(
                rf'(name: "{name}", url: ")[^"]*', rf"\g<1>http://127.0.0.1:{port}/graphql", text
            )
            assert count == 1
        (folder / "supergraph.graphql").write_text(text)
        jwks = f"http://127.0.0.1:{ports['accounts']}/.well-known/jwks.json"
        router, port = stack.enter_context(
            started(
                "router", "--supergraph", str(folder / "supergraph.graphql"), "--port", "0", "--jwks", jwks
            )
        )
        running = {name: process for name, (process, _) in found.items()}
        yield Processes(f"http://127.0.0.1:{port}/graphql", ports, {**running, "router": router})
