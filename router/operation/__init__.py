"""router.operation."""
