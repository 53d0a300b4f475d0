"""What giving each argument of the platform demands: a table to read, so that no change goes unseen."""

from __future__ import annotations

import os
from pathlib import Path

from subgraphs.kit.inputs import Proves, Reads, Ruled, Sets, Shapes
from tests.platform.conftest import Seeded

TABLE = Path(__file__).parent / "declared_inputs.txt"


def test_what_every_argument_demands_is_as_written_down(seeded: Seeded) -> None:
    """`STADION_WRITE_SNAPSHOTS=1` writes it anew: read the diff."""
    lines = [
        f"{name} {place}: {says}"
        for name, subgraph in sorted(seeded.platform.subgraphs.items())
        for place, says in sorted(subgraph.inputs().items())
    ]
    found = "\n".join(lines) + "\n"
    if os.environ.get("STADION_WRITE_SNAPSHOTS"):
        TABLE.write_text(found, encoding="utf-8")
    assert found == TABLE.read_text(encoding="utf-8")


def test_every_argument_of_every_mutation_is_declared(seeded: Seeded) -> None:
    for subgraph in seeded.platform.subgraphs.values():
        mutations = subgraph.schema.mutation_type
        taken = {} if mutations is None else mutations.fields
        declared = subgraph.inputs()
        for name, field in taken.items():
            for argument in field.args:
                about = f"Mutation.{name}({argument}"
                found = [
                    says for place, says in declared.items() if place.startswith((f"{about})", f"{about}."))
                ]
                assert found, about
                assert all(isinstance(says, Sets | Ruled | Proves | Shapes | Reads) for says in found)
