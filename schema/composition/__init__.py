"""schema.composition."""
