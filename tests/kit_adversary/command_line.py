"""The real commands as processes: `stadion compose`, and `stadion router` before mock subgraphs over HTTP."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.kit_federation.mock_subgraph import MockSubgraph

_STADION = str(Path(sys.executable).parent / "stadion")
_START_S_MAX = 30.0


async def composed(folder: Path, subgraphs: Sequence[MockSubgraph], urls: Mapping[str, str]) -> Path:
    """The file that `stadion compose` writes for the subgraphs; the test fails if it refuses them."""
    lines = ["subgraphs:"]
    for it in subgraphs:
        (folder / f"{it.name}.graphql").write_text(it.sdl)
        lines += [
            f"  {it.name}:",
            f"    routing_url: {urls[it.name]}",
            "    schema:",
            f"      file: {it.name}.graphql",
        ]
    (folder / "supergraph.yaml").write_text("\n".join(lines) + "\n")
    output = folder / "supergraph.graphql"
    process = await asyncio.create_subprocess_exec(
        _STADION,
        "compose",
        "--config",
        str(folder / "supergraph.yaml"),
        "--output",
        str(output),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, problems = await process.communicate()
    assert process.returncode == 0, (printed + problems).decode()
    return output


@asynccontextmanager
async def routing(supergraph: Path) -> AsyncIterator[str]:
    """`stadion router` on a free port; yields the address of its GraphQL endpoint."""
    process = await asyncio.create_subprocess_exec(
        _STADION,
        "router",
        "--dev",  # these clients read the schema, and what subgraphs say
        "--supergraph",
        str(supergraph),
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield await asyncio.wait_for(_address(process), _START_S_MAX)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    printed = ""
    while line := (await process.stdout.readline()).decode():
        printed += line
        found = re.search(r"http://[\d.]+:\d+", line)
        if found is not None:
            return f"{found.group()}/graphql"
    raise AssertionError(f"the router ended:\n{printed}")
