"""Every set of subgraphs that the tests have, by a name that says where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schema.sources import SubgraphSource
from tests.kit_composition.cases import cases
from tests.kit_federation.audit_suites import AUDIT
from tests.kit_federation.case_files import case_names, read_case

ROOT = Path(__file__).parents[2]
_PUBLISHED = ROOT / "schema" / "published"


def all_sets() -> dict[str, list[SubgraphSource]]:
    """Composition cases by their own names; the others with the folder before it."""
    found = {case.folder.name: case.sources for case in cases()}
    found["published"] = _folder(_PUBLISHED)
    for folder in sorted((ROOT / "tests" / "plan_cases").iterdir()):
        if (folder / "subgraphs").is_dir():
            found[f"plan_cases/{folder.name}"] = _folder(folder / "subgraphs")
    for name in case_names():
        subgraphs = {each: parts["sdl"] for each, parts in read_case(name).subgraphs.items()}
        found[f"federation_cases/{name}"] = _sources(subgraphs)
    for folder in sorted(AUDIT.iterdir()):
        if (folder / "subgraphs").is_dir():
            found[f"audit/{folder.name}"] = _folder(folder / "subgraphs")
    return found


def _folder(folder: Path) -> list[SubgraphSource]:
    files = sorted(folder.glob("*.graphql"))
    return _sources({f.stem: f.read_text("utf-8") for f in files if f.stem != "supergraph"})


def _sources(sdls: Mapping[str, str]) -> list[SubgraphSource]:
    return [SubgraphSource(name, f"http://{name}/graphql", sdl) for name, sdl in sorted(sdls.items())]
