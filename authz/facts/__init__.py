"""authz.facts."""
