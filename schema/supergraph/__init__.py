"""schema.supergraph."""
