"""schema.federation."""
