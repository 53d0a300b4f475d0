"""Who is what to whom: relationship and consent facts with validity and version, read in batches."""

from authz.facts.model import ConsentFact, RelationshipFact
from authz.facts.store import Facts, MemoryFacts, Standing

__all__ = ["ConsentFact", "Facts", "MemoryFacts", "RelationshipFact", "Standing"]
