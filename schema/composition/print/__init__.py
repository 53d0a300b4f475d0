"""Stage 6: `MergedGraph` → the supergraph's SDL, the same for the same subgraphs whatever their order."""

from schema.composition.print.stage import print_supergraph

__all__ = ["print_supergraph"]
