"""What planning one operation may cost; past a limit it fails with a typed error instead of hanging."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerLimits:
    """Bounds of one planning run.

    `paths_per_leaf_max`: ways weighed for one field. `alternatives_max`: assignments weighed for one
    selection set. `states_max`: (state, selection) pairs visited. `depth_max`: nesting of selections and
    requirements. `fetches_max`: fetch groups of the plan. `duration_ms_max`: CPU time of the planning thread.
    """

    paths_per_leaf_max: int = 200
    alternatives_max: int = 24
    states_max: int = 200_000
    depth_max: int = 120
    fetches_max: int = 2_000
    duration_ms_max: int = 5_000


DEFAULT_LIMITS = PlannerLimits()
