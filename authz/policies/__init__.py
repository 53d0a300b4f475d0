"""authz.policies."""
