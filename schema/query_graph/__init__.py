"""schema.query_graph."""
