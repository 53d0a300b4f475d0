"""Stage 5: what can be judged only when all subgraphs are one graph."""

from schema.composition.post_merge.stage import check_interfaces, check_merged

__all__ = ["check_interfaces", "check_merged"]
