"""Stage 6: every operation that the API allows can be answered by the subgraphs."""

from schema.composition.satisfiability.labels import check_satisfiability

__all__ = ["check_satisfiability"]
