"""The same operation gets the same plan in every process, however its sets are ordered in memory."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.kit_planner.cases import TESTS

PRINT_PLANS = """
from schema.supergraph import read_supergraph
from tests.kit_federation.case_files import read_case
from tests.kit_planner.cases import CASES, case_names, load_case, plan_of, query_of
from router.errors import ClientError

for name in case_names():
    print(name, plan_of(load_case(name).supergraph, query_of(name)))
for path in sorted(CASES.glob("*/others/*.graphql")):
    supergraph = read_supergraph(path.read_text())
    for owed in read_case("answers", path.parent.parent).tests:
        try:
            print(path.parent.parent.name, plan_of(supergraph, owed.query))
        except ClientError as refusal:
            print(path.parent.parent.name, refusal)
"""


async def plans_printed(hash_seed: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PRINT_PLANS,
        cwd=TESTS.parent,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS.parent)},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed


async def test_plans_do_not_hang_on_the_order_of_sets() -> None:
    first, *others = await asyncio.gather(*(plans_printed(seed) for seed in ("0", "1", "4711")))
    assert len(first) > 10_000
    assert all(other == first for other in others)
