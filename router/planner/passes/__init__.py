"""Passes over fetch groups: each file one improvement, run in order until nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from router.planner.groups import FetchGroups
from router.planner.passes.drop_idle import drop_idle
from router.planner.passes.merge_siblings import merge_siblings
from router.planner.passes.reduce_dependencies import reduce_dependencies

Pass: TypeAlias = Callable[[FetchGroups], bool]

ROUNDS_MAX: Final = 20
PASSES: Final[tuple[Pass, ...]] = (merge_siblings, drop_idle, reduce_dependencies)


def run_passes(groups: FetchGroups) -> None:
    """Improve the groups in place, to a fixed point or ROUNDS_MAX rounds."""
    for _ in range(ROUNDS_MAX):
        changed = [one(groups) for one in PASSES]
        if not any(changed):
            return
