"""Stage 3: one subgraph at a time against the rules, one rule a file → `ValidSubgraph`."""

from schema.composition.validate.stage import ValidSubgraph, validate

__all__ = ["ValidSubgraph", "validate"]
