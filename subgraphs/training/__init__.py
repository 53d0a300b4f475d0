"""subgraphs.training."""
