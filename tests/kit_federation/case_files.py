"""Federation cases as YAML: subgraphs with rows, queries with the answer and the calls that are owed.

A file has `about`, `subgraphs` (name → `sdl`, `rows` by type with `Query` and `Mutation` as single objects,
`resolvers` by coordinate: a Python expression over `it`, `args` and `rows`) and `tests` (`query`,
`variables`, `data`, `errors`, `calls`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kit_federation.mock_subgraph import MockSubgraph

CASES = Path(__file__).parent.parent / "federation_cases"


@dataclass(frozen=True, slots=True)
class OwedAnswer:
    """One query of a case. `calls` is None where the case does not count them."""

    query: str
    variables: dict[str, Any]
    data: Any
    errors: bool
    calls: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One case as written."""

    about: str
    subgraphs: dict[str, dict[str, Any]]
    tests: tuple[OwedAnswer, ...]


def case_names(folder: Path = CASES) -> list[str]:
    """The names of all cases in the folder."""
    return sorted(it.stem for it in folder.glob("*.yaml"))


def read_case(name: str, folder: Path = CASES) -> CaseFile:
    """The case of this name."""
    raw = yaml.safe_load((folder / f"{name}.yaml").read_text())
    tests = tuple(
        OwedAnswer(
            query=it["query"],
            variables=it.get("variables", {}),
            data=it.get("data"),
            errors=it.get("errors", False),
            calls=it.get("calls"),
        )
        for it in raw["tests"]
    )
    return CaseFile(raw["about"], raw["subgraphs"], tests)


def case_subgraphs(case: CaseFile) -> list[MockSubgraph]:
    """The case's subgraphs, made anew."""
    return [
        MockSubgraph(
            name,
            part["sdl"],
            rows={key: it for key, it in part.get("rows", {}).items() if isinstance(it, list)},
            root=part.get("rows", {}).get("Query", {}) | part.get("rows", {}).get("Mutation", {}),
            resolvers={
                coordinate: _expression(text, part.get("rows", {}))
                for coordinate, text in part.get("resolvers", {}).items()
            },
        )
        for name, part in case.subgraphs.items()
    ]


def _expression(text: str, rows: dict[str, Any]) -> Callable[..., Any]:
    code = compile(text.strip(), "<case>", "eval")

    def resolve(it: Any, **args: Any) -> Any:
        return eval(code, {"it": it, "args": args, "rows": rows})

    return resolve
