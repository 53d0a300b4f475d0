"""A group that waits for another through a third need not wait for it directly."""

from __future__ import annotations

from router.planner.groups import FetchGroups


def reduce_dependencies(groups: FetchGroups) -> bool:
    """Drop dependencies that others imply; never reports a change, for it makes no new chances."""
    for group in groups:
        implied = {
            dependency
            for dependency in group.depends_on
            if any(other != dependency and groups.waits_for(other, dependency) for other in group.depends_on)
        }
        group.depends_on -= implied
    return False
