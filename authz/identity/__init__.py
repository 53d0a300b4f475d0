"""Who is asking: token to Subject, and Subject to a short-lived signature for one subgraph call."""
