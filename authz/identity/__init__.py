"""authz.identity."""
