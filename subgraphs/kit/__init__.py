"""subgraphs.kit."""
