"""The domain's part of the graph: types, queries, mutations, subscription; thin over `store` and `edits`."""
