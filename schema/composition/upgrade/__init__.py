"""Stage 2: Federation 1 subgraphs say what Federation 2 wants said → `UpgradedSubgraph`."""

from schema.composition.upgrade.stage import UpgradedSubgraph, upgrade

__all__ = ["UpgradedSubgraph", "upgrade"]
