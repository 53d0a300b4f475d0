"""Composing 10, 50 and 200 generated subgraphs, side by side with two composers from npm, in one run.

Run it: `python tests/benchmarks/bench_composition.py [SIZE …]`. Each measure is one fresh process that reads
the same subgraphs and composes them once, parsing included, start of the process left out; of `ROUNDS` rounds
that take turns, the fastest counts. Without node and npm only this composer is measured.

Two shapes. `chain`: n entities with keys (every tenth with two), each known to three subgraphs; per
subgraph an interface's implementation, a @requires across subgraphs, a shared value type, an enum, an input
and a union. `hub`: one entity that every subgraph adds fields to, so that any of them leads to all others.
"""

from __future__ import annotations

import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SIZES = (10, 50, 200)
ROUNDS = 3
TIMEOUT_S_MAX = 100
INSTALL_S_MAX = 300
PEERS = {
    "@apollo/composition": "@apollo/composition@2.14.4",
    "@theguild/federation-composition": "@theguild/federation-composition@0.27.0",
}
OURS = "stadion"
LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable",'
    ' "@requires", "@external"])\n'
)
SCRIPT = """
const {parse} = require('graphql');
const [, , peer, path] = process.argv;
const {composeServices} = require(peer);
const sources = JSON.parse(require('fs').readFileSync(path, 'utf8'));
const began = process.hrtime.bigint(), cpu = process.cpuUsage();
const result = composeServices(sources.map(s => ({name: s.name, url: s.url, typeDefs: parse(s.sdl)})));
const wall = Number(process.hrtime.bigint() - began) / 1e9, used = process.cpuUsage(cpu);
if (!result.supergraphSdl) { console.error(String(result.errors[0])); process.exit(1); }
console.log(JSON.stringify({wall_s: wall, cpu_s: (used.user + used.system) / 1e6,
  peak_mb: process.resourceUsage().maxRSS / 1024}));
"""


@dataclass(frozen=True, slots=True)
class Measure:
    """One composition: seconds of the clock, seconds of all cores, and the process's peak of memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def chain_sdl(place: int, size: int) -> str:
    """The SDL of one subgraph of a set of `size`: its own entity, and what it adds to the two before it."""
    before, earlier = (place - 1) % size, (place - 2) % size
    second_key = ' @key(fields: "code")' if place % 10 == 0 else ""
    return f"""{LINK}
type Query {{
  item{place}(id: ID!, filter: Filter{place}): Item{place}
  items{place}(first: Int = 10): [Item{place}!]!
  named{place}: Named
  found{place}: [Found{place}!]!
}}
interface Named {{ id: ID! name: String }}
type Item{place} implements Named @key(fields: "id"){second_key} {{
  id: ID!
  code: String! @shareable
  name: String
  weight: Int
  price: Money
  state: State{place}
  next: Item{before}
{_plain_fields(place)}
}}
type Item{before} @key(fields: "id") {{
  id: ID!
  weight: Int @external
  fee{place}: Int @requires(fields: "weight")
  rating{place}: Float
}}
type Item{earlier} @key(fields: "id") {{
  id: ID!
  reviews{place}(first: Int, after: String): [Review{place}!]
}}
type Review{place} @key(fields: "id") {{ id: ID! text: String author: Item{place} }}
type Money @shareable {{ amount: Int! currency: String! }}
enum State{place} {{ NEW READY DONE }}
input Filter{place} {{ name: String state: State{place} above: Int = 3 }}
union Found{place} = Item{place} | Review{place}
"""


def _plain_fields(place: int) -> str:
    return "\n".join(f'  "field {i} of {place}"\n  field{i}: String' for i in range(10))


def hub_sdl(place: int, size: int) -> str:
    """The SDL of one subgraph of a set in which all share one entity."""
    return f"""{LINK}
type Query {{ hub{place}: Hub }}
type Hub @key(fields: "id") {{ id: ID! value{place}: Int next{place}: Hub neighbour{place % size}: [Hub!] }}
"""


SHAPES = {"chain": chain_sdl, "hub": hub_sdl}


def subgraphs(shape: str, size: int) -> list[dict[str, str]]:
    """A set of `size` subgraphs that composes."""
    return [
        {"name": f"s{i}", "url": f"http://s{i}/graphql", "sdl": SHAPES[shape](i, size)} for i in range(size)
    ]


def measure_ours(path: Path) -> Measure:
    """Compose in this process; for the fresh process that the benchmark starts."""
    from schema.composition import compose
    from schema.sources import SubgraphSource

    sources = [SubgraphSource(**one) for one in json.loads(path.read_text("utf-8"))]
    began, cpu = time.perf_counter(), time.process_time()
    compose(sources).unwrap()
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    return Measure(wall, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def install_peers(folder: Path) -> list[str]:
    """The peers that npm could put into the folder; none without node and npm."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        return []
    (folder / "package.json").write_text("{}")
    (folder / "measure.js").write_text(SCRIPT)
    command = [npm, "install", "--no-audit", "--no-fund", *PEERS.values(), "graphql@16"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=INSTALL_S_MAX, check=False)
    return list(PEERS) if done.returncode == 0 else []


def measure(composer: str, folder: Path, path: Path) -> Measure | None:
    """One composition by one composer, in a process of its own; None when it takes longer than the limit."""
    if composer == OURS:
        command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(path)]
        place = Path(__file__).resolve().parents[2]
    else:
        command, place = ["node", "measure.js", composer, str(path)], folder
    environment = {"PYTHONPATH": str(place), "PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin"}
    node = shutil.which("node")
    if node and composer != OURS:
        command[0] = node
    try:
        ran = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, timeout=TIMEOUT_S_MAX, check=True
        )
    except subprocess.TimeoutExpired:
        return None
    return Measure(**json.loads(ran.stdout))


def growth(points: list[tuple[int, float]]) -> float:
    """The exponent b of seconds = a * size^b that fits the points best."""
    logs = [(math.log(size), math.log(max(seconds, 1e-6))) for size, seconds in points]
    mean_x, mean_y = (sum(axis) / len(logs) for axis in zip(*logs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread if spread else 0.0


def table(found: dict[tuple[str, int], Measure | None], composers: list[str], sizes: list[int]) -> str:
    """The measures as rows, and each composer's growth."""
    lines = [f"{'composer':34} {'subgraphs':>9} {'wall s':>8} {'cpu s':>8} {'peak MB':>8}"]
    for size in sizes:
        for composer in composers:
            m = found[composer, size]
            shown = "> limit" if m is None else f"{m.wall_s:8.2f} {m.cpu_s:8.2f} {m.peak_mb:8.0f}"
            lines.append(f"{composer:34} {size:9} {shown}")
    for composer in composers:
        points = [(size, m.cpu_s) for size in sizes if (m := found[composer, size]) is not None]
        lines.append(f"{composer:34} cpu grows as size^{growth(points):.2f}")
    return "\n".join(lines)


def compare(shape: str, sizes: list[int], composers: list[str], folder: Path) -> str:
    """Measure every composer at every size of one shape, in turns."""
    found: dict[tuple[str, int], Measure | None] = {}
    for size in sizes:
        path = folder / f"{shape}-{size}.json"
        path.write_text(json.dumps(subgraphs(shape, size)), "utf-8")
        for turn in range(ROUNDS):
            for composer in composers:
                best = found.get((composer, size))
                if turn > 0 and best is None:
                    continue  # one run past the limit is enough
                now = measure(composer, folder, path)
                both = [m for m in (best, now) if m is not None]
                found[composer, size] = min(both, key=lambda m: m.cpu_s) if both else None
    return table(found, composers, sizes)


def main(sizes: list[int]) -> None:
    """Print one table a shape."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        composers = [OURS, *install_peers(folder)]
        for shape in SHAPES:
            print(f"{shape}\n{compare(shape, sizes, composers, folder)}\n", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured = measure_ours(Path(sys.argv[2]))
        print(json.dumps(asdict(measured)))
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))
