"""Stage 1: SDL text → `ParsedSubgraph`, links resolved and directives under their canonical names."""

from schema.composition.parse.stage import ParsedSubgraph, parse_subgraph

__all__ = ["ParsedSubgraph", "parse_subgraph"]
