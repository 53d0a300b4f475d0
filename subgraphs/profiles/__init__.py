"""subgraphs.profiles."""
