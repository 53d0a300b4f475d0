"""Generated subgraph sets: this composer and an existing one accept the same and give the same supergraph.

The other composer comes from npm when the test runs; without node and npm the comparison is skipped.
Where the two differ on purpose, `EXPLAINED` says who is right.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schema.composition import compose
from schema.problems import Problem
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph
from tests.kit_composition.generate import subgraph_sets

PEER = "@apollo/composition@2.14.4"
SETS = 400
SCRIPT = """
const {composeServices} = require('@apollo/composition');
const {parse} = require('graphql');
const sets = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(sets.map(set => {
  const r = composeServices(set.map(s => ({name: s.name, url: s.url, typeDefs: parse(s.sdl)})));
  return {sdl: r.supergraphSdl || null, codes: [...new Set((r.errors || []).map(e =>
  e.extensions.code))].sort()};
})));
"""
# Codes that one side alone gives, and why.
EXPLAINED = {
    # The peer refuses an external copy that promises more (`Int!`) than the merged field (`Int`).
    # A copy resolves nothing, so the promise cannot be broken by it.
    "EXTERNAL_TYPE_MISMATCH",
    # The peer stops at the first fault of a field set; here each is reported.
    "KEY_FIELDS_HAS_ARGS",
    # The peer looks for the required fields only from the subgraph that requires them.
    # Here they may also come from the subgraph that was left for it.
    "SATISFIABILITY_ERROR",
}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm to install another composer with")
    folder = tmp_path_factory.mktemp("peer")
    (folder / "package.json").write_text("{}")
    command = [npm, "install", "--no-audit", "--no-fund", PEER, "graphql@16"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, timeout=100, check=False)
    if installed.returncode != 0:
        pytest.skip("the other composer cannot be installed here")
    (folder / "compose.js").write_text(SCRIPT)
    return folder


def composed_by_peer(folder: Path, sets: list[list[SubgraphSource]]) -> list[dict[str, Any]]:
    plain = json.dumps([[{"name": s.name, "url": s.url, "sdl": s.sdl} for s in one] for one in sets])
    command = ["node", "compose.js"]
    ran = subprocess.run(
        command, cwd=folder, input=plain, capture_output=True, text=True, timeout=100, check=True
    )
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def shape(sdl: str) -> dict[str, object]:
    """What a router reads from a supergraph, without the order of anything."""
    graph = read_supergraph(sdl)
    names = {enum: subgraph.name for enum, subgraph in graph.subgraphs.items()}
    found: dict[str, object] = {"subgraphs": sorted(names.values())}
    for owner in graph.types.values():
        found[owner.name] = (owner.kind, sorted(map(str, owner.joins)))
        for field in owner.fields.values():
            found[f"{owner.name}.{field.name}"] = (str(field.type), sorted(map(str, field.joins)))
    return found


def codes(problems: tuple[Problem, ...]) -> set[str]:
    return {problem.code for problem in problems}


@pytest.mark.nightly
def test_generated_sets_compose_like_elsewhere(peer: Path) -> None:
    sets = [subgraph_sets(seed) for seed in range(SETS)]
    differing = []
    for seed, (sources, theirs) in enumerate(zip(sets, composed_by_peer(peer, sets), strict=True)):
        ours = compose(sources)
        if (codes(ours.problems) ^ set(theirs["codes"])) - EXPLAINED:
            differing.append((seed, sorted(codes(ours.problems)), theirs["codes"]))
        elif ours.supergraph_sdl and theirs["sdl"] and shape(ours.supergraph_sdl) != shape(theirs["sdl"]):
            differing.append((seed, ["supergraph"], ["supergraph"]))
    assert differing == []


def test_generated_sets_are_of_both_kinds() -> None:
    outcomes = [compose(subgraph_sets(seed)).supergraph_sdl is not None for seed in range(60)]
    assert 10 < sum(outcomes) < 50
