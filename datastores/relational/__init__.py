"""datastores.relational."""
