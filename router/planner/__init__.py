"""router.planner."""
