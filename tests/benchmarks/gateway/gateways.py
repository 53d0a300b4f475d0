"""The gateways that are measured: how each is installed and started before the same subgraphs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from schema.composition import compose
from schema.sources import SubgraphSource
from tests.servers.programs import free_port

HERE = Path(__file__).parent
NAMES = ("apollo", "hive", "hive-rust", "grafbase")
WIDE_SUBGRAPHS = 200
_GRAFBASE = Path("node_modules/@grafbase/cli-x86_64-unknown-linux-musl/grafbase")


@dataclass(frozen=True, slots=True)
class Graph:
    """A supergraph as a file, and its subgraphs' SDLs for gateways that compose for themselves."""

    name: str
    supergraph: Path
    subgraphs: Mapping[str, str]
    url: str
    """Where every subgraph is, with its name for `{name}`."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What starts one gateway; it then listens on `port` of the loopback."""

    name: str
    command: Sequence[str]
    port: int
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics_port: int | None = None
    """Where it tells of its event loop's stalls, if it does."""
    relays: bool = False
    """Whether it hands requests on as they are."""

    def start(self, *, core: int) -> subprocess.Popen[bytes]:
        """The process, pinned to one core."""
        process = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=None if self.name.startswith("stadion") else subprocess.DEVNULL,
        )
        os.sched_setaffinity(process.pid, {core})
        return process


def public_graph(port: int, folder: Path) -> Graph:
    """The public benchmark's four subgraphs, pointing at our mocks."""
    text = (HERE / "supergraph.graphql").read_text(encoding="utf-8")
    sdls = {one.stem: one.read_text(encoding="utf-8") for one in sorted((HERE / "peers/subgraphs").iterdir())}
    return _graph("public", text.replace("0.0.0.0:4200", f"127.0.0.1:{port}"), sdls, port, folder)


def wide_graph(port: int, folder: Path) -> Graph:
    """200 subgraphs that each add a field to one entity."""
    link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])\n'
    item = 'type Item @key(fields: "id") { id: ID! v%d: Int }\n'
    sdls = {f"s{number:03}": link + item % number for number in range(WIDE_SUBGRAPHS)}
    sdls["s000"] += "type Query { item: Item }\n"
    url = f"http://127.0.0.1:{port}/"
    composed = compose([SubgraphSource(name, url + name, sdl) for name, sdl in sdls.items()])
    if composed.supergraph_sdl is None:
        raise SystemExit(f"the wide graph does not compose: {composed.problems}")
    return _graph("wide", composed.supergraph_sdl, sdls, port, folder)


def _graph(name: str, text: str, sdls: Mapping[str, str], port: int, folder: Path) -> Graph:
    (folder / name).mkdir(exist_ok=True)
    target = folder / name / "supergraph.graphql"
    target.write_text(text, encoding="utf-8")
    return Graph(name, target, sdls, f"http://127.0.0.1:{port}/{{name}}")


def stadion(graph: Graph, *options: str) -> Gateway:
    """Our router, as its command starts it, handing each caller's header on."""
    port = free_port()
    command = [sys.executable, "-m", "deploy", "router", "--supergraph", str(graph.supergraph)]
    command += ["--port", str(port), "--forward-header", "authorization", *options]
    metrics_port = free_port()
    told = {"STADION_METRICS_ADDRESS": f"127.0.0.1:{metrics_port}"}
    return Gateway("stadion", command, port, environment=told, metrics_port=metrics_port)


def stadion_trusting(graph: Graph, folder: Path) -> Gateway:
    """Our router, told that its subgraphs' answers are JSON."""
    settings = folder / "trusting.yaml"
    settings.write_text("subgraphs: {all: {trusted_answers: true}}\n", encoding="utf-8")
    return replace(stadion(graph, "--config", str(settings)), name="stadion, trusting")


def stadion_on(interpreter: str, graph: Graph) -> Gateway:
    """Our router, run by another Python, whose environment has what the lock file names."""
    asked = [interpreter, "-c", "import sys; print(*sys.version_info[:3], sep='.')"]
    version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    ours = stadion(graph)
    return replace(ours, name=f"stadion, {version}", command=[interpreter, *ours.command[1:]])


def relay(graph: Graph) -> Gateway:
    """What copies bytes between clients and subgraphs: no gateway, but what each has to do at least."""
    port, to = free_port(), urlsplit(graph.url).port
    command = [sys.executable, "-m", "tests.benchmarks.gateway.relay", "--port", str(port), "--to", str(to)]
    return Gateway("relay", command, port, relays=True)


def install(folder: Path) -> None:
    """Fetch the peers from npm into `folder`."""
    for name in ("package.json", "apollo.mjs", "hive.config.mjs"):
        shutil.copy(HERE / "peers" / name, folder)
    # no scripts of theirs are run: the binaries come inside the packages
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(install, cwd=folder, check=True)
    if (folder / _GRAFBASE).exists():
        (folder / _GRAFBASE).chmod(0o755)


def peer(name: str, graph: Graph, folder: Path) -> Gateway:
    """One of `NAMES`, installed in `folder`."""
    port, supergraph = free_port(), str(graph.supergraph)
    match name:
        case "apollo":
            return Gateway(name, ["node", "apollo.mjs", supergraph, str(port)], port, folder)
        case "hive" | "hive-rust":
            command = [str(folder / "node_modules/.bin/hive-gateway"), "supergraph", supergraph]
            options = ["--host", "127.0.0.1", "--port", str(port), "--config-path", "hive.config.mjs"]
            if name == "hive-rust":
                return Gateway(name, [*command, *options, "--hive-router-runtime"], port, folder)
            return Gateway(name, [*command, *options], port, folder, {"HIVE_JIT": "1"})
        case "grafbase":
            own = folder / f"grafbase-{graph.name}"
            own.mkdir(exist_ok=True)
            lines = []
            for subgraph, sdl in graph.subgraphs.items():
                (own / f"{subgraph}.graphql").write_text(sdl, encoding="utf-8")
                url = graph.url.format(name=subgraph)
                lines += [f"[subgraphs.{subgraph}]", f'url = "{url}"', f'schema_path = "{subgraph}.graphql"']
            (own / "overrides.toml").write_text("\n".join(lines), encoding="utf-8")
            config = '[[headers]]\nrule = "forward"\nname = "authorization"\n'
            (own / "gateway.toml").write_text(config, encoding="utf-8")
            command = [str(folder / _GRAFBASE), "--home", str(own), "dev", "--port", str(port)]
            options = ["--graph-overrides", "overrides.toml", "--gateway-config", "gateway.toml"]
            return Gateway(name, [*command, *options], port, own)
    raise SystemExit(f"no peer is named `{name}`; there are {', '.join(NAMES)}")
