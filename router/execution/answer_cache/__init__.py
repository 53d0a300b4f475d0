"""Answers of subgraphs, kept for as long as they say that they are good."""
