"""subgraphs.medical."""
