"""datastores.vault."""
