"""router.execution."""
