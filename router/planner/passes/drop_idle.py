"""A request that selects nothing and that no other waits for is not made."""

from __future__ import annotations

from router.planner.groups import FetchGroups


def drop_idle(groups: FetchGroups) -> bool:
    """Drop such groups; true where one was."""
    waited_for = {dependency for group in groups for dependency in group.depends_on}
    idle = [group.id for group in groups if group.id not in waited_for and not group.tree.fields]
    for group_id in idle:
        del groups.groups[group_id]
    return bool(idle)
