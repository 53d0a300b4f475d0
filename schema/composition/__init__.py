"""Composition: subgraphs in, one supergraph or every problem out.

parse → upgrade → validate → merge → check → satisfiability → print
"""

from schema.composition.compose import CompositionResult, compose

__all__ = ["CompositionResult", "compose"]
