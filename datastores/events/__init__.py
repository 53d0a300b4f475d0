"""datastores.events."""
