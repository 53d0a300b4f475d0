"""The planner's case folders: supergraph, operation, and the plan that is expected for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from router.operation.model import NormalOperation
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.validate import validate
from router.planner import plan_operation
from router.planner.plan import QueryPlan
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_federation.federation import Federation
from tests.kit_planner.world import World, federated

TESTS = Path(__file__).parent.parent
CASES = TESTS / "plan_cases"
SUPERGRAPHS = TESTS / "data" / "graphql" / "supergraphs"
AUDIT = TESTS / "data" / "graphql" / "federation-audit"


@dataclass(frozen=True)
class Case:
    """One folder of `tests/plan_cases`, or one suite of the audit: a supergraph and its subgraphs."""

    name: str
    supergraph: Supergraph
    sdl_of: dict[str, str]

    def federation(self, salt: int = 0) -> tuple[World, Federation]:
        """A made-up world, and the case's subgraphs as they know it."""
        world, subgraphs = federated(self.supergraph, self.sdl_of, salt)
        return world, Federation(tuple(subgraphs), self.supergraph)


def case_names() -> list[str]:
    """All folders that have a supergraph."""
    return sorted(path.parent.name for path in CASES.glob("*/supergraph.graphql"))


def audit_names() -> list[str]:
    """All audit suites of which there is a supergraph."""
    return sorted(path.stem for path in (SUPERGRAPHS / "audit").glob("*.graphql"))


def load_case(name: str) -> Case:
    """The case of this name, or the audit suite where the name starts with `audit/`."""
    if name.startswith("audit/"):
        suite = name.removeprefix("audit/")
        supergraph, folder = SUPERGRAPHS / "audit" / f"{suite}.graphql", AUDIT / suite
    else:
        supergraph, folder = CASES / name / "supergraph.graphql", CASES / name
    sdl_of = {path.stem: path.read_text() for path in sorted((folder / "subgraphs").glob("*.graphql"))}
    return Case(name, read_supergraph(supergraph.read_text()), sdl_of)


def query_of(name: str) -> str:
    """The case's operation."""
    return (CASES / name / "query.graphql").read_text()


def expect_text(path: Path, found: str) -> None:
    """The file says `found`. With STADION_WRITE_SNAPSHOTS=1 it is written instead; review the diff."""
    if os.environ.get("STADION_WRITE_SNAPSHOTS") == "1":
        path.write_text(found + "\n")
    assert path.read_text() == found + "\n"


def normal_of(supergraph: Supergraph, query: str) -> NormalOperation:
    """parse → validate → normalise."""
    return normalize(validate(parse(query), supergraph.api_schema), supergraph)


def plan_of(supergraph: Supergraph, query: str, *labels: str) -> QueryPlan:
    """The plan, with these override labels on."""
    return plan_operation(normal_of(supergraph, query), supergraph, override_labels=frozenset(labels))
