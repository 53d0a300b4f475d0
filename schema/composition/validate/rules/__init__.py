"""The rules that each subgraph must keep by itself."""
