"""Adapters of the subgraph port: HTTP and in-process."""
