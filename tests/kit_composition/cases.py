"""Reads composition cases; `STADION_UPDATE_CASES=1` writes what composition says today as the expectation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from graphql import print_schema

from schema.composition import CompositionResult, compose
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph

CASES = Path(__file__).parent.parent / "composition_cases"


@dataclass(frozen=True)
class Case:
    """One folder of tests/composition_cases."""

    folder: Path

    @property
    def sources(self) -> list[SubgraphSource]:
        files = sorted((self.folder / "subgraphs").glob("*.graphql"))
        return [SubgraphSource(f.stem, f"http://{f.stem}/graphql", f.read_text("utf-8")) for f in files]

    def outcome(self) -> dict[str, str]:
        """What composition gives, by the name of the file that keeps it."""
        result = compose(self.sources)
        found = (
            {"problems.txt": describe(result)}
            if result.supergraph_sdl is None
            else supergraph(result.supergraph_sdl)
        )
        warnings = "\n\n".join(h.describe() for h in result.hints if h.severity.value in ("warn", "info"))
        return {**found, "hints.txt": f"{warnings}\n"} if warnings else found

    def expected(self) -> dict[str, str]:
        return {f.name: f.read_text("utf-8") for f in self.folder.glob("*.*") if f.name != "case.md"}

    def accept(self, outcome: dict[str, str]) -> None:
        for name in self.expected():
            (self.folder / name).unlink()
        for name, text in outcome.items():
            (self.folder / name).write_text(text, "utf-8")


def describe(result: CompositionResult) -> str:
    return "\n\n".join(problem.describe() for problem in result.problems) + "\n"


def supergraph(sdl: str) -> dict[str, str]:
    return {"supergraph.graphql": sdl, "api.graphql": print_schema(read_supergraph(sdl).api_schema) + "\n"}


def cases() -> list[Case]:
    return [Case(folder) for folder in sorted(CASES.iterdir()) if (folder / "subgraphs").is_dir()]


IS_UPDATING = os.environ.get("STADION_UPDATE_CASES") == "1"
