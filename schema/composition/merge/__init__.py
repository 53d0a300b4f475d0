"""Stage 4: all valid subgraphs → one `MergedGraph`."""

from schema.composition.merge.stage import merge

__all__ = ["merge"]
