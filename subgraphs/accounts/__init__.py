"""subgraphs.accounts."""
